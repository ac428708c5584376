"""What the hub says while its database is away."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from campus_hub import database
from jupyterhub import orm
from jupyterhub.handlers.base import BaseHandler
from sqlalchemy.exc import OperationalError

from . import real_hub
from .conftest import FakeApi
from .real_hub import Campus, ask, visitor

ground = real_hub.ground


def away(*_arguments: Any, **_options: Any) -> Any:
    """Fail as every look into a database that is away does."""
    raise OperationalError("select", {}, Exception("server closed the connection unexpectedly"))


def test_jupyterhub_still_has_what_is_wrapped() -> None:
    assert asyncio.iscoroutinefunction(BaseHandler.prepare)
    assert asyncio.iscoroutinefunction(BaseHandler.get_current_user)


def test_the_wrappers_go_on_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(BaseHandler, "prepare", BaseHandler.prepare)
    monkeypatch.setattr(BaseHandler, "get_current_user", BaseHandler.get_current_user)
    database.install()
    first = (BaseHandler.prepare, BaseHandler.get_current_user)
    database.install()

    assert (BaseHandler.prepare, BaseHandler.get_current_user) == first
    assert {wrapper.__module__ for wrapper in first} == {"campus_hub.database"}


async def test_who_cannot_be_looked_up_is_not_refused(
    api: FakeApi, ground: Campus, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with ground.hub() as app:
        spawner = await ground.spawn(app, "ann")
        token = spawner.api_token
        assert (await ask(app, token, "GET", "user"))[0] == 200
        with monkeypatch.context() as patch:
            patch.setattr(orm.APIToken, "find", away)
            status, said = await ask(app, token, "GET", "user")
            assert (status, said["message"]) == (503, database.AWAY)
            # Where the form's own check would refuse first, too.
            assert (await ask(app, token, "POST", "users/ann/activity", {"servers": {}}))[0] == 503
        assert (await ask(app, token, "GET", "user"))[0] == 200
        assert (await ask(app, "another", "GET", "user"))[0] == 403


async def test_somebody_with_a_cookie_is_told(api: FakeApi, ground: Campus, monkeypatch: pytest.MonkeyPatch) -> None:
    async with ground.hub() as app, visitor(app) as ann:
        assert await ann.log_in("ann") == 302
        with monkeypatch.context() as patch:
            patch.setattr(BaseHandler, "_user_for_cookie", away)
            answer = await ann.open("home")
            assert answer.status == 503
            assert "database does not answer" in await answer.text()
        assert (await ann.open("home")).status == 200


def test_postgresql_that_is_gone_without_a_word_is_noticed() -> None:
    (found,) = database.connection("postgresql+psycopg://u:p@db/hub").values()
    assert 0 < found["connect_timeout"] <= 10
    assert 0 < found["tcp_user_timeout"] <= 30_000
    assert database.connection("sqlite:////srv/x") == {}
