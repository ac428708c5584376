"""Watches that outlive the API server."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.campus.jupyterhub.tests.unit.waiting import eventually
from campus_hub import reflectors
from campus_hub.health import CampusHealthHandler
from campus_hub.reflectors import EventsByPod, PatientEventReflector, PatientPodReflector, SliceReflector
from kubespawner.reflector import ResourceReflector

from .conftest import NAMESPACE, FakeApi, agent_slice, student_pod


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


async def test_it_finds_an_api_server_that_was_long_away_as_soon_as_one_that_was_not(
    api: FakeApi, reflector: SliceReflector, monkeypatch: pytest.MonkeyPatch
) -> None:
    await reflector.loaded()
    api.fault = lambda request: 503
    pauses: list[float] = []
    sleep = asyncio.sleep

    async def noted(seconds: float) -> None:
        pauses.append(seconds)
        await sleep(0)

    monkeypatch.setattr(reflectors, "asyncio", SimpleNamespace(**vars(asyncio) | {"sleep": noted}))
    await eventually(lambda: len(pauses) > 20)
    api.put("endpointslices", agent_slice("proxy-0", "10.0.0.1", 8002))
    api.fault = lambda request: None

    await knows(reflector, 1)

    assert max(pauses) <= reflectors.MAX_DELAY * 1.2
    await reflector.stop()


async def test_what_is_known_is_current_again_with_the_list_after_a_failure(
    api: FakeApi, reflector: SliceReflector
) -> None:
    await asyncio.wait_for(reflector.current(), 30)
    api.fault = lambda request: 503
    await eventually(lambda: not reflector._current.is_set())
    waiting = asyncio.create_task(reflector.current())
    await reflector.refresh()
    assert not waiting.done()
    api.put("endpointslices", agent_slice("proxy-0", "10.0.0.1", 8002))
    api.fault = lambda request: None

    await asyncio.wait_for(waiting, 30)

    assert len(reflector.resources) == 1
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


@pytest.mark.parametrize(("version", "seconds", "lists"), [("7", 59, 0), ("7", 61, 1), ("0", 1, 1), (None, 1, 1)])
async def test_a_watch_that_ends_goes_on_without_a_list_for_a_minute(
    api: FakeApi, reflector: SliceReflector, version: str | None, seconds: float, lists: int
) -> None:
    await reflector._list_and_update()
    assert reflector.listed is not None
    reflector.listed -= seconds
    api.calls.clear()

    goes_on_from = await reflector._list_and_update(version)

    assert len(api.calls) == lists
    assert lists or goes_on_from == version


async def test_it_follows_changes_over_the_end_of_a_watch(
    api: FakeApi, reflector: SliceReflector, monkeypatch: pytest.MonkeyPatch
) -> None:
    parent = ResourceReflector._list_and_update
    lists: list[str | None] = []

    async def counted(self: SliceReflector, resource_version: str | None = None) -> Any:
        lists.append(resource_version)
        return await parent(self, resource_version)

    monkeypatch.setattr(ResourceReflector, "_list_and_update", counted)
    await reflector.loaded()
    await eventually(lambda: len(lists) == 2)
    before = len(api.calls)
    await eventually(lambda: len(api.calls) > before + 1)
    api.put("endpointslices", agent_slice("proxy-0", "10.0.0.1", 8002))
    await knows(reflector, 1)
    assert lists == [None, "0"]
    await reflector.stop()


async def test_pods_are_kept_without_the_notes_on_their_fields(api: FakeApi) -> None:
    reflector = PatientPodReflector(namespace=NAMESPACE, timeout_seconds=1)
    for name in ("ann", "bob"):
        manifest = student_pod(name, name)
        manifest["metadata"]["managedFields"] = [{"manager": "kubelet"}]
        api.put("pods", manifest)
        await reflector.loaded()
        await knows(reflector, len(api.objects))
    assert [set(pod["metadata"]) & {"name", "managedFields"} for pod in reflector.pods.values()] == [{"name"}] * 2
    await reflector.stop()


def event(uid: str, pod: str, at: str) -> dict[str, Any]:
    """An event about a pod."""
    return {"metadata": {"uid": uid}, "involvedObject": {"name": pod}, "lastTimestamp": at, "eventTime": None}


def test_events_are_found_by_their_pod() -> None:
    events = EventsByPod({"a": event("a", "ann", "10:02"), "b": event("b", "bob", "10:01")})
    events["c"] = event("c", "ann", "10:01")
    assert [each["metadata"]["uid"] for each in events.of("ann")] == ["c", "a"]
    events["a"] = event("a", "ann", "10:00")
    assert [each["metadata"]["uid"] for each in events.of("ann")] == ["a", "c"]
    assert events.pop("b")["metadata"]["uid"] == "b"
    assert events.pop("b", None) is None
    assert events.of("bob") == []
    assert set(events) == {"a", "c"}


async def test_a_watch_of_events_keeps_them_by_pod(api: FakeApi) -> None:
    reflector = PatientEventReflector(namespace=NAMESPACE, timeout_seconds=1)
    api.put("events", {"metadata": {"name": "ann.1"}, "involvedObject": {"name": "ann"}, "lastTimestamp": "10:01"})
    await reflector.loaded()
    assert len(reflector.of("ann")) == 1
    api.put("events", {"metadata": {"name": "ann.2"}, "involvedObject": {"name": "ann"}, "lastTimestamp": "10:02"})
    await eventually(lambda: len(reflector.of("ann")) == 2)
    api.drop("events", "ann.1")
    await eventually(lambda: [each["metadata"]["name"] for each in reflector.of("ann")] == ["ann.2"])
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
