"""Servers that run although the hub's database does not know them."""

from __future__ import annotations

import asyncio
import shutil
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from ansible_collections.campus.jupyterhub.tests.unit.waiting import eventually
from campus_hub import adoption
from jupyterhub import orm
from jupyterhub.app import JupyterHub
from jupyterhub.authenticators.shared import SharedPasswordAuthenticator
from jupyterhub.handlers.base import BaseHandler
from sqlalchemy.exc import OperationalError

from . import real_hub
from .conftest import FakeApi
from .real_hub import Campus, active, ask, rows, the_pod, visitor

ground = real_hub.ground


def token_of(api: FakeApi) -> str:
    """The token in the one pod."""
    (token,) = [
        variable["value"]
        for variable in the_pod(api)["spec"]["containers"][0]["env"]
        if variable["name"] == "JUPYTERHUB_API_TOKEN"
    ]
    return str(token)


def said(ground: Campus) -> str:
    """What the hubs have warned of."""
    return "\n".join(ground.said)


def test_jupyterhub_still_has_what_is_wrapped() -> None:
    assert asyncio.iscoroutinefunction(JupyterHub.init_spawners)
    assert asyncio.iscoroutinefunction(BaseHandler.auth_to_user)
    assert asyncio.iscoroutinefunction(JupyterHub._get_or_create_user)


def test_the_wrappers_go_on_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(JupyterHub, "init_spawners", JupyterHub.init_spawners)
    monkeypatch.setattr(BaseHandler, "auth_to_user", BaseHandler.auth_to_user)
    adoption.install()
    first = (JupyterHub.init_spawners, BaseHandler.auth_to_user)
    adoption.install()

    assert (JupyterHub.init_spawners, BaseHandler.auth_to_user) == first
    assert {wrapper.__module__ for wrapper in first} == {"campus_hub.adoption"}


SERVERS = [
    ("ann", ""),
    ("ann", "thesis"),
    ("ann.lee@example.edu", ""),
    ("ann lee", "lab"),
    ("åsa", ""),
    ("李明", ""),
    ("ann--lee", ""),
    ("7%20up+", ""),
    ("a" * 200, ""),
]


def scopes_of(spawner: Any) -> list[str]:
    """A site's own idea of what a server may do; asks for more than a student has."""
    return ["users:activity!user", "access:servers!server", "admin:users", "list:users"]


@pytest.mark.parametrize(
    "classes",
    [
        {"JupyterHub": {"allow_named_servers": True}},
        {
            "JupyterHub": {"base_url": "/teaching/hub one/", "allow_named_servers": True},
            "Spawner": {"server_token_scopes": scopes_of, "oauth_client_allowed_scopes": ["read:users!user"]},
        },
        {
            "JupyterHub": {"subdomain_host": "http://hub.example:8000", "allow_named_servers": True},
            "KubeSpawner": {
                "hub_connect_url": "http://hub.jupyterhub.svc:8081",
                "pvc_name_template": "disk-{user_server}",
            },
        },
    ],
)
async def test_an_adopted_server_is_registered_exactly_as_its_start_registered_it(
    api: FakeApi, ground: Campus, classes: dict[str, Any]
) -> None:
    async with ground.hub(**classes) as app:
        for name, server in SERVERS:
            await ground.spawn(app, name, server)
        before = {(name, server): rows(app, name, server) for name, server in SERVERS}
    pods = {manifest["metadata"]["uid"] for manifest in api.of("pods")}
    ground.database.unlink()

    async with ground.hub(**classes) as app:
        for name, server in SERVERS:
            assert rows(app, name, server) == before[name, server]
            assert active(app, name, server)
    assert {manifest["metadata"]["uid"] for manifest in api.of("pods")} == pods


async def test_a_student_of_a_wiped_database_logs_in_once_and_is_where_they_were(api: FakeApi, ground: Campus) -> None:
    async with ground.hub() as app:
        await ground.spawn(app, "ann")
        await app.proxy.add_user(app.users["ann"])
    ground.database.unlink()
    route = api.of("endpointslices")

    async with ground.hub() as app:
        token = token_of(api)
        redirect = "/user/ann/oauth_callback"
        async with visitor(app) as ann:
            assert await ann.log_in("ann") == 302
            assert await ann.open_server("jupyterhub-user-ann", redirect, token) == "ann"
        # A little later than the adoption, which counts as activity.
        used = (datetime.now(UTC) + timedelta(minutes=5)).isoformat()
        report = {"servers": {"": {"last_activity": used}}}
        assert (await ask(app, token, "POST", "users/ann/activity", report))[0] == 200
        own = orm.User.find(app.db, "ann").new_api_token()
        _status, told = await ask(app, own, "GET", "users/ann")
        assert told["servers"][""]["ready"]
        assert told["servers"][""]["last_activity"][:19] == used[:19]
        assert api.of("endpointslices") == route
        # And it ends as any other.
        assert (await ask(app, own, "DELETE", "users/ann/server"))[0] in (202, 204)
        await eventually(lambda: not api.of("pods"), 60)
        await eventually(lambda: not active(app, "ann"), 60)
        assert orm.APIToken.find(app.db, token) is None
        assert api.of("endpointslices") == []


async def test_an_older_database_learns_of_today_s_server(api: FakeApi, ground: Campus) -> None:
    older = ground.folder / "older.sqlite"
    async with ground.hub() as app:
        await ground.spawn(app, "ann")
        app.db.commit()
        shutil.copy(ground.database, older)
        await app.users["ann"].stop()
        await ground.spawn(app, "ann")
        before = rows(app, "ann")
    shutil.copy(older, ground.database)
    uid, token = the_pod(api)["metadata"]["uid"], token_of(api)

    async with ground.hub() as app:
        assert orm.APIToken.find(app.db, token).user.name == "ann"
        async with visitor(app) as ann:
            await ann.log_in("ann")
            assert await ann.open_server("jupyterhub-user-ann", "/user/ann/oauth_callback", token) == "ann"
        assert active(app, "ann")
        found = rows(app, "ann")
        assert {key: found[key] for key in ("state", "client", "address")} == {
            key: before[key] for key in ("state", "client", "address")
        }
    assert the_pod(api)["metadata"]["uid"] == uid


async def test_an_older_database_that_knows_another_pod_lets_go_of_it(api: FakeApi, ground: Campus) -> None:
    older = ground.folder / "older.sqlite"
    names = [{"KubeSpawner": {"pod_name_template": f"{prefix}-{{username}}"}} for prefix in ("old", "new")]
    async with ground.hub(**names[0]) as app:
        await ground.spawn(app, "ann")
        app.db.commit()
        shutil.copy(ground.database, older)
        await app.users["ann"].stop()
    async with ground.hub(**names[1]) as app:
        await ground.spawn(app, "ann")
    shutil.copy(older, ground.database)

    async with ground.hub(**names[1]) as app:
        assert active(app, "ann")
        assert app.users["ann"].spawners[""].pod_name == "new-ann" == the_pod(api)["metadata"]["name"]


async def test_a_database_that_knows_its_servers_is_left_as_it_is(api: FakeApi, ground: Campus) -> None:
    async with ground.hub() as app:
        await ground.spawn(app, "ann")
        before = rows(app, "ann")
        # Somebody revokes the token of the running server.
        app.db.delete(orm.APIToken.find(app.db, token_of(api)))
        app.db.commit()

    async with ground.hub() as app:
        assert active(app, "ann")
        assert rows(app, "ann") == before | {"tokens": []}
    assert "Adopted" not in said(ground)


async def test_a_hub_that_died_during_a_start_knows_the_server_when_it_runs(api: FakeApi, ground: Campus) -> None:
    async with ground.hub() as app:
        await ground.spawn(app, "ann")
        before = rows(app, "ann")
    ground.database.unlink()
    status = the_pod(api)["status"]
    the_pod(api)["status"] = {"phase": "Pending"}

    async with ground.hub() as app:
        assert not active(app, "ann")
        the_pod(api)["status"] = status
        api.put("pods", the_pod(api), "MODIFIED")
        await eventually(lambda: active(app, "ann"), 60)
        assert rows(app, "ann") == before


async def test_without_the_api_server_the_hub_starts_and_adopts_later(
    api: FakeApi, ground: Campus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adoption, "PATIENCE", 0.2)
    async with ground.hub() as app:
        await ground.spawn(app, "ann")
    ground.database.unlink()
    api.fault = lambda request: 503 if request.match_info["kind"] == "pods" else None

    async with ground.hub() as app:
        assert not active(app, "ann")
        api.fault = lambda request: None
        await eventually(lambda: active(app, "ann"), 60)
        # It is looked after like any other: when it ends, the hub notices.
        spawner = app.users["ann"].spawners[""]
        assert spawner._poll_callback is not None
        api.drop("pods", "jupyter-ann")
        await eventually(lambda: not app.users["ann"].spawners[""].pod_reflector.pods, 60)
        await spawner.poll_and_notify()
        await eventually(lambda: not active(app, "ann"), 60)


async def test_a_failing_database_is_tried_again(api: FakeApi, ground: Campus, monkeypatch: pytest.MonkeyPatch) -> None:
    async with ground.hub() as app:
        await ground.spawn(app, "ann")
    ground.database.unlink()
    real, failures = adoption.granted, iter([OperationalError("insert", {}, Exception("another hub was quicker"))])

    async def fail_once(db: Any, spawner: Any) -> set[str]:
        for error in failures:
            raise error
        return await real(db, spawner)

    monkeypatch.setattr(adoption, "granted", fail_once)
    async with ground.hub() as app:
        await eventually(lambda: active(app, "ann"), 60)


async def test_a_server_that_the_hub_is_starting_or_stopping_is_left_to_it(api: FakeApi, ground: Campus) -> None:
    async with ground.hub() as app:
        spawner = await ground.spawn(app, "ann")
        found = app.campus_adoption
        # As in a database that is older than the server.
        app.db.delete(orm.APIToken.find(app.db, token_of(api)))
        spawner.orm_spawner.oauth_client.secret = ""
        app.db.commit()
        # Nothing was left at the start, and what came later is not the adoption's.
        assert await found.adopt()
        assert orm.APIToken.find(app.db, token_of(api)) is None
        spawner._stop_pending = True
        found._left = None
        assert not await found.adopt()
        assert orm.APIToken.find(app.db, token_of(api)) is None
        spawner._stop_pending = False
        assert await found.adopt()
        assert orm.APIToken.find(app.db, token_of(api)) is not None


async def test_a_hub_that_was_away_for_long_takes_nobody_for_idle(api: FakeApi, ground: Campus) -> None:
    long_ago = datetime(2020, 1, 1)
    async with ground.hub() as app:
        await ground.spawn(app, "ann")
        for table in (orm.User, orm.Spawner, orm.APIToken):
            app.db.query(table).update({table.last_activity: long_ago})
        app.db.commit()

    async with ground.hub() as app:
        assert orm.User.find(app.db, "ann").orm_spawners[""].last_activity > long_ago


# What it must not do


async def test_nobody_becomes_an_administrator(api: FakeApi, ground: Campus) -> None:
    async with ground.hub() as app:
        await ground.spawn(app, "ann")
        app.users["ann"].admin = True
        app.db.commit()
    ground.database.unlink()

    async with ground.hub() as app:
        assert active(app, "ann")
        assert not rows(app, "ann")["admin"]
        assert rows(app, "ann")["roles"] == ["user"]


class Faculty(SharedPasswordAuthenticator):  # type: ignore[misc]
    """Lets in whom the configuration names, and members of the faculty."""

    def check_allowed(self, username: str, authentication: Any = None) -> bool:
        """Say whether somebody may log in."""
        return username.startswith("prof-") or bool(super().check_allowed(username, authentication))


async def test_where_the_database_says_who_may_log_in_nobody_gets_into_it_by_a_pod(
    api: FakeApi, ground: Campus
) -> None:
    async with ground.hub() as app:
        for name in ("ann", "ben", "prof-lee"):
            await ground.spawn(app, name)
    ground.database.unlink()
    classes: dict[str, dict[str, Any]] = {
        "JupyterHub": {"authenticator_class": Faculty},
        "Authenticator": {"allow_all": False, "allowed_users": {"ben"}},
    }

    for _unused in range(2):
        # JupyterHub allows at its next start whoever is in the database.
        async with ground.hub(**classes) as app:
            assert app.authenticator.allow_existing_users
            assert active(app, "ben")
            assert orm.User.find(app.db, "ann") is None
            async with visitor(app) as ann:
                assert await ann.log_in("ann") == 403
            assert orm.User.find(app.db, "ann") is None
    assert len(api.of("pods")) == 3

    async with ground.hub(**classes) as app:
        # Whom the authenticator lets in finds the server after the login.
        assert orm.User.find(app.db, "prof-lee") is None
        async with visitor(app) as lee:
            assert await lee.log_in("prof-lee") == 302
        assert active(app, "prof-lee")


async def test_who_is_not_allowed_any_more_cannot_log_in(api: FakeApi, ground: Campus) -> None:
    async with ground.hub() as app:
        await ground.spawn(app, "ann")
    ground.database.unlink()
    classes = {"Authenticator": {"allow_all": False, "admin_users": {"root"}}}

    for _unused in range(2):
        async with ground.hub(**classes) as app:
            assert active(app, "ann")
            async with visitor(app) as ann:
                assert await ann.log_in("ann") == 403


async def test_a_blocked_student_gets_nothing_back(api: FakeApi, ground: Campus) -> None:
    async with ground.hub() as app:
        await ground.spawn(app, "ann")
    ground.database.unlink()

    async with ground.hub(Authenticator={"blocked_users": {"ann"}}) as app:
        assert orm.User.find(app.db, "ann") is None
        assert orm.APIToken.find(app.db, token_of(api)) is None
    assert "Pod jupyter-ann of ann runs and is left alone: the student is blocked" in said(ground)


async def test_a_token_of_somebody_else_is_not_registered_again(api: FakeApi, ground: Campus) -> None:
    async with ground.hub() as app:
        await ground.spawn(app, "ann")
        the_pod(api)["metadata"]["annotations"]["hub.jupyter.org/username"] = "ben"
        for variable in the_pod(api)["spec"]["containers"][0]["env"]:
            variable["value"] = variable["value"].replace("/user/ann/", "/user/ben/")

    async with ground.hub() as app:
        assert orm.User.find(app.db, "ben") is None
        assert orm.APIToken.find(app.db, token_of(api)).user.name == "ann"
    assert "its token is somebody else's" in said(ground)


@pytest.mark.parametrize(
    "classes",
    [
        {"JupyterHub": {"base_url": "/course/"}},
        {"JupyterHub": {"hub_connect_url": "http://another-hub:8081"}},
    ],
)
async def test_another_hub_s_servers_are_left_alone(api: FakeApi, ground: Campus, classes: dict[str, Any]) -> None:
    async with ground.hub() as app:
        await ground.spawn(app, "ann")
    ground.database.unlink()

    async with ground.hub(**classes) as app:
        assert orm.User.find(app.db, "ann") is None
    assert "started by a hub with other addresses" in said(ground)


async def test_a_server_that_cannot_be_registered_keeps_no_other_from_it(api: FakeApi, ground: Campus) -> None:
    async with ground.hub() as app:
        await ground.spawn(app, "ann")
        await ground.spawn(app, "ben")
    ground.database.unlink()
    api.objects["pods", "jupyter-ann"]["spec"]["containers"][0]["ports"] = []

    async with ground.hub() as app:
        assert active(app, "ben")
        assert not active(app, "ann")
        assert orm.User.find(app.db, "ann").api_tokens == []
    assert "Pod jupyter-ann of ann runs but cannot be registered" in said(ground)


async def test_other_spawners_are_none_of_our_business(api: FakeApi, ground: Campus) -> None:
    async with ground.hub() as app:
        await ground.spawn(app, "ann")
    ground.database.unlink()

    async with ground.hub(JupyterHub={"spawner_class": "simple"}) as app:
        assert orm.User.find(app.db, "ann") is None
