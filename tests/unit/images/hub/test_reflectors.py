"""Watches that outlive the API server."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.campus.jupyterhub.tests.unit.waiting import eventually
from campus_hub import reflectors
from campus_hub.health import CampusHealthHandler
from campus_hub.reflectors import SliceReflector
from kubespawner.reflector import ResourceReflector

from .conftest import NAMESPACE, FakeApi, agent_slice


@pytest.fixture
async def reflector(api: FakeApi) -> SliceReflector:
    """A watch of the proxy's replicas."""
    return SliceReflector(namespace=NAMESPACE, labels={"kubernetes.io/service-name": "proxy-agent"}, timeout_seconds=1)


async def knows(reflector: SliceReflector, count: int) -> None:
    """Wait until the watch knows so many objects."""
    await eventually(lambda: len(reflector.resources) == count)


async def test_it_follows_changes(api: FakeApi, reflector: SliceReflector) -> None:
    await reflector.loaded()
    api.put("endpointslices", agent_slice("proxy-0", "10.0.0.1", 8002))
    await knows(reflector, 1)
    api.drop("endpointslices", "proxy-agent-proxy-0")
    await knows(reflector, 0)
    await reflector.stop()


async def test_it_starts_again_after_it_gave_up(
    api: FakeApi, reflector: SliceReflector, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(reflectors, "MAX_DELAY", 0.1)
    await reflector.loaded()
    parent = ResourceReflector._watch_and_update
    calls = []

    async def give_up_once(self: SliceReflector) -> None:
        calls.append(self)
        if len(calls) > 1:
            await parent(self)

    monkeypatch.setattr(ResourceReflector, "_watch_and_update", give_up_once)
    assert reflector.watch_task is not None
    reflector.watch_task.cancel()
    reflector.watch_task = asyncio.create_task(reflector._watch_and_update())
    api.put("endpointslices", agent_slice("proxy-0", "10.0.0.1", 8002))

    await knows(reflector, 1)

    assert "gave up; starting it again" in caplog.text
    await reflector.stop()


async def test_its_age_grows_while_the_api_server_is_away(
    api: FakeApi, reflector: SliceReflector, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = reflector.born
    monkeypatch.setattr(reflectors, "time", SimpleNamespace(monotonic=lambda: now))
    api.fault = lambda request: 503
    loading = asyncio.create_task(reflector.loaded())
    await eventually(lambda: len(api.calls) > 1)
    now += 40
    assert reflector.age == pytest.approx(40)
    api.fault = lambda request: None
    await asyncio.wait_for(loading, 30)
    assert reflector.age == 0
    now += 5
    assert reflector.age == pytest.approx(5)
    await reflector.stop()


@pytest.mark.parametrize(("silence", "status"), [(0, 200), (200, 503)])
async def test_health_tells_of_a_watch_that_hears_nothing(
    reflector: SliceReflector, monkeypatch: pytest.MonkeyPatch, silence: float, status: int
) -> None:
    monkeypatch.setattr(reflectors, "_running", {"endpointslices": reflector})
    reflector.listed = 1000.0
    monkeypatch.setattr(reflectors, "time", SimpleNamespace(monotonic=lambda: 1000.0 + silence))
    said: dict[str, Any] = {}

    class Handler(CampusHealthHandler):
        """The handler without a request."""

        def __init__(self) -> None:
            pass

        def set_status(self, status_code: int, reason: str | None = None) -> None:
            said["status"] = status_code

        def finish(self, chunk: object = None) -> None:
            said["body"] = chunk

    Handler().get()

    assert said["status"] == status
    assert said["body"]["healthy"] == (status == 200)
    assert said["body"]["watches"]["endpointslices"]["seconds_since_list"] == silence
