"""Who has to answer JupyterHub's HTTP check, and what happens to who does not."""

from __future__ import annotations

import asyncio
import logging
from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.campus.jupyterhub.tests.unit.waiting import LoopClock, eventually
from campus_hub import patience
from jupyterhub.user import User

from .conftest import FakeApi, Spawn

USER = SimpleNamespace(log=logging.getLogger("test"))


class Original:
    """Stands for User._wait_up, which stops the server that does not answer."""

    def __init__(self) -> None:
        self.asked: list[Any] = []

    async def __call__(self, user: Any, spawner: Any) -> Any:
        self.asked.append(spawner)
        raise TimeoutError("it would be stopped now")


class Server:
    """A server that never answers."""

    url = "http://127.0.0.1:1/user/ann/"

    async def wait_up(self, **options: Any) -> None:
        raise TimeoutError


def test_jupyterhub_still_has_the_method_that_is_wrapped() -> None:
    assert asyncio.iscoroutinefunction(User._wait_up)


def test_the_wrapper_goes_on_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(User, "_wait_up", User._wait_up)
    patience.install()
    first = User._wait_up
    patience.install()

    assert User._wait_up is first
    assert first.__module__ == "campus_hub.patience"


async def test_a_new_server_has_to_answer(api: FakeApi, spawn: Spawn) -> None:
    spawner = spawn(http_timeout=1)
    spawner._start_pending = True
    spawner._server = spawner.orm_spawner = None
    spawner._server = Server()

    with pytest.raises(TimeoutError, match="stopped now"):
        await patience.patient(Original())(USER, spawner)


async def test_a_server_from_before_the_hub_s_restart_is_left_alone(api: FakeApi, spawn: Spawn) -> None:
    spawner, original = spawn(), Original()
    spawner._start_pending = False

    assert await patience.patient(original)(USER, spawner) is spawner
    assert original.asked == []


async def test_a_taken_over_server_that_does_not_answer_is_left_alone(
    api: FakeApi, spawn: Spawn, caplog: pytest.LogCaptureFixture
) -> None:
    spawner, original = spawn(), Original()
    spawner.orm_spawner = None
    spawner._server = Server()
    spawner._start_pending, spawner._waiting_for_response, spawner.adopted = True, True, True

    assert await patience.patient(original)(USER, spawner) is spawner
    assert original.asked == []
    assert "leaving it alone" in caplog.text
    assert not spawner._start_pending
    assert not spawner._waiting_for_response


async def test_other_spawners_are_none_of_our_business() -> None:
    original = Original()

    with pytest.raises(TimeoutError):
        await patience.patient(original)(USER, SimpleNamespace(_start_pending=False))


async def test_listening_is_noticed_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    server = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    tries = count_tries(monkeypatch)

    await patience.listening(f"http://127.0.0.1:{port}/user/ann/", 600)

    assert len(tries) == 1
    server.close()


async def test_listening_is_tried_until_the_bound(monkeypatch: pytest.MonkeyPatch, clock: LoopClock) -> None:
    tries = count_tries(monkeypatch)
    waiting = asyncio.create_task(patience.listening("http://127.0.0.1:1/", 600))
    await eventually(lambda: len(tries) > 2)
    assert not waiting.done()

    clock.forward(600)

    async with asyncio.timeout(30):
        await waiting


def count_tries(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Return a list that gets an entry for each try to connect."""
    connect, tries = asyncio.open_connection, []

    async def counting(host: str, port: int) -> Any:
        tries.append((host, port))
        return await connect(host, port)

    monkeypatch.setattr(asyncio, "open_connection", counting)
    return tries
