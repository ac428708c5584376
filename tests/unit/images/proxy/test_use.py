"""What a replica tells staff of single students."""

from __future__ import annotations

import pytest
from ansible_collections.campus.jupyterhub.tests.unit.images.proxy.fakes import SLICES
from ansible_collections.campus.jupyterhub.tests.unit.images.proxy.whole import Replica

pytestmark = pytest.mark.usefixtures("loopback_pods", "impatient")


async def test_what_a_student_s_server_is_asked_for(replica: Replica) -> None:
    for name in ("ann", "bob"):
        await replica.acknowledge(await replica.student(name))
    for path in ("/user/ann/", "/user/ann/lab", "/user/bob/"):
        await replica.until(path, path.split("/")[2])
    async with replica.session.ws_connect(f"{replica.haproxy.url}/user/ann/ws") as socket:
        await socket.send_str("x")
        await socket.receive()

        (ann,) = await replica.uses(top="1")
        assert (ann["student"], ann["server"], ann["routespec"]) == ("ann", "", "/user/ann/")
        assert (ann["requests"], ann["open"], ann["failed"]) == (3, 1, 0)
        assert ann["bytes_out"] > 0
    assert [row["student"] for row in await replica.uses()] == ["ann", "bob"]
    assert [row["requests"] for row in await replica.uses(student="bob")] == [1]
    assert await replica.uses(student="carol") == []
    assert (await replica.client.get("/students", params={"by": "name"})).status == 400


async def test_who_comes_to_an_address_next_begins_at_nothing(replica: Replica) -> None:
    obj = await replica.student("ann")
    await replica.acknowledge(obj)
    await replica.until("/user/ann/", "ann")
    replica.api.delete(SLICES, obj["metadata"]["name"])
    await replica.until("/user/ann/", "hub")
    again = replica.api.put(SLICES, obj)
    await replica.acknowledge(again)
    assert [row["requests"] for row in await replica.uses()] == [0]
