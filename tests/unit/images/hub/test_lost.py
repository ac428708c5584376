"""Which replica of the proxy is taken for lost, and what becomes of it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest
from ansible_collections.campus.jupyterhub.tests.unit.waiting import LoopClock, eventually
from campus_hub import lost
from campus_hub.lost import LostReplicas, answers_at_all
from campus_hub.proxy import EndpointSliceProxy
from campus_hub.store import StoreError

from .conftest import FakeApi, Hub, Replica, agent_slice


@pytest.fixture
def taken() -> LostReplicas:
    """One that only takes note."""

    async def delete(name: str) -> None:
        raise AssertionError(name)

    return LostReplicas(None, delete, logging.getLogger("test"))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("looks", "found"),
    [
        ([{"a": False, "b": True}] * 3, "a"),
        ([{"a": False, "b": True}] * 2, ""),
        ([{"a": False, "b": True}, {"a": True, "b": True}, *[{"a": False, "b": True}] * 2], ""),
        # Nothing comes back from anybody: this hub may be the one that is lost.
        ([{"a": False, "b": False}] * 9, ""),
        ([*[{"a": False, "b": True}] * 2, {"a": False, "b": False}, {"a": False, "b": True}], ""),
        ([{"a": False}] * 9, ""),
        ([{}], ""),
        # A replica of another pod begins anew.
        ([*[{"a": False, "b": True}] * 2, {"b": True}, {"a": False, "b": True}], ""),
        ([{"a": False, "b": False, "c": True}] * 3, "a"),
    ],
)
def test_a_replica_is_lost_that_misses_three_looks_while_another_answers(
    taken: LostReplicas, looks: list[dict[str, bool]], found: str
) -> None:
    assert [taken._take_note(look) for look in looks][-1] == found


@asynccontextmanager
async def mute() -> AsyncIterator[int]:
    """A port that takes connections and never says anything, as a node does whose processes are frozen."""
    ended = asyncio.Event()

    async def say_nothing(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await ended.wait()
        writer.close()

    server = await asyncio.start_server(say_nothing, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        ended.set()
        server.close()


async def test_silence_is_no_answer_and_a_refusal_is_one(replicas: list[Replica]) -> None:
    timeout = aiohttp.ClientTimeout(total=0.3)
    async with aiohttp.ClientSession(timeout=timeout) as session, mute() as port:
        assert not await answers_at_all(session, f"http://127.0.0.1:{port}")
        assert await answers_at_all(session, "http://127.0.0.1:1")
        # A page that is not there is an answer, and time enough is given for it.
    async with aiohttp.ClientSession() as session:
        assert await answers_at_all(session, f"http://127.0.0.1:{replicas[0].port}")


@pytest.fixture
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Looks that follow each other at once."""
    monkeypatch.setattr(lost, "EVERY", 0.01)
    monkeypatch.setattr(lost, "ANSWER", 0.5)


@pytest.mark.usefixtures("hurry")
async def test_its_pod_is_deleted_and_for_a_while_no_other(
    api: FakeApi, hub: Hub, replicas: list[Replica], clock: LoopClock
) -> None:
    proxy = EndpointSliceProxy(app=hub, hub=hub.hub, namespace="jupyterhub")
    async with mute() as port:
        for name in ("proxy-7", "proxy-8"):
            api.put("pods", {"metadata": {"name": name}})
            api.put("endpointslices", agent_slice(name, "127.0.0.1", port))
        await proxy.check_routes({}, {})
        await eventually(lambda: ("pods", "proxy-7") not in api.objects)
        api.drop("endpointslices", "proxy-agent-proxy-7")
        deleted = [call for call in api.calls if call[0] == "DELETE"]
        await eventually(lambda: "proxy-7" not in proxy.replicas.taking_new())
        assert ("pods", "proxy-8") in api.objects

        clock.forward(lost.PAUSE)
        await eventually(lambda: ("pods", "proxy-8") not in api.objects)
        assert len(deleted) == 1


async def test_a_deletion_that_fails_is_tried_again_later(caplog: pytest.LogCaptureFixture) -> None:
    class Known:
        """Two replicas, of which one is lost."""

        def taking_new(self) -> dict[str, str]:
            return {"a": "http://a", "b": "http://b"}

    async def delete(name: str) -> None:
        raise StoreError(403, "not allowed")

    async def answers(session: aiohttp.ClientSession, url: str) -> bool:
        return url == "http://b"

    watcher = LostReplicas(Known(), delete, logging.getLogger("test"))  # type: ignore[arg-type]
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(lost, "answers_at_all", answers)
        async with aiohttp.ClientSession() as session:
            for _unused in range(lost.LOOKS):
                await watcher._look(session)
    assert "Pod a could not be deleted: 403 not allowed" in caplog.text
