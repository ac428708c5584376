"""A hub that ended while a server was starting, and the one that comes after it."""

from __future__ import annotations

from ansible_collections.campus.jupyterhub.tests.unit.waiting import eventually
from jupyterhub import orm

from . import real_hub
from .conftest import FakeApi
from .real_hub import Campus, active, rows, the_pod

ground = real_hub.ground


async def test_a_start_that_another_hub_did_not_finish_is_not_taken_for_a_server_that_runs(
    api: FakeApi, ground: Campus
) -> None:
    async with ground.hub() as app:
        await ground.spawn(app, "ann")
        before = rows(app, "ann")
        # What User.spawn has written before the pod has an address.
        orm.User.find(app.db, "ann").orm_spawners[""].server.ip = "hub-1"
        app.db.commit()
    status = the_pod(api)["status"]
    the_pod(api)["status"] = {"phase": "Pending"}

    async with ground.hub() as app:
        assert not active(app, "ann")
        assert api.of("endpointslices") == []
        the_pod(api)["status"] = status
        api.put("pods", the_pod(api), "MODIFIED")
        await eventually(lambda: active(app, "ann"), 60)
        assert rows(app, "ann") == before
        # Nobody else would lead the student there.
        await eventually(lambda: api.of("endpointslices"), 60)
