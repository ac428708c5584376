"""The command campus-hub: the election in its thread, against a Kubernetes API over real HTTP."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from aiohttp import web
from ansible_collections.campus.jupyterhub.tests.unit.waiting import eventually
from campus_hub import launch, mark
from campus_hub.fence import FENCE
from campus_hub.kube import LABELS
from campus_hub.lease import Times

from .conftest import NAMESPACE, FakeApi, serve

ENV = {"POD_NAMESPACE": NAMESPACE, "POD_NAME": "hub-a", "POD_UID": "1234"}
FAST = Times(duration=1, deadline=0.6, retry=0.1)


def test_the_holder_is_the_pod_not_its_name_alone() -> None:
    assert launch.place(ENV) == launch.Place(NAMESPACE, "hub-a", "hub-a_1234", False, Times(6, 4, 1))
    assert launch.place({**ENV, "CAMPUS_STANDBY": "true"}).standby


def test_an_incomplete_environment_is_refused() -> None:
    with pytest.raises(launch.SettingsError, match="POD_NAME, POD_UID must be set"):
        launch.place({"POD_NAMESPACE": NAMESPACE})


def test_the_times_follow_the_duration() -> None:
    assert launch.place({**ENV, "CAMPUS_LEASE_SECONDS": "15"}).times == Times(15, 10, 2.5)


@pytest.mark.parametrize("seconds", ["2", "0", "-6", "6.5", "", "six"])
def test_a_useless_duration_is_refused(seconds: str) -> None:
    with pytest.raises(launch.SettingsError, match="CAMPUS_LEASE_SECONDS is"):
        launch.place({**ENV, "CAMPUS_LEASE_SECONDS": seconds})


class Ended(threading.Event):
    """Takes the place of the end of the process."""

    def end(self, code: int) -> None:
        assert code != 0
        self.set()


@pytest.fixture
async def ended(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Ended]:
    event = Ended()
    monkeypatch.setattr(launch, "end", event.end)
    monkeypatch.setattr(mark, "CALM", 0.05)
    monkeypatch.setattr(mark, "AGAIN", 0.02)
    yield event
    FENCE.open_until(float("inf"))


@pytest.fixture
def elector(api: FakeApi, ended: Ended) -> Callable[..., launch.Elector]:
    """Return a function that starts an election for a pod."""

    def start(pod: str = "hub-a", **settings: bool) -> launch.Elector:
        api.put("pods", {"metadata": {"name": pod, "labels": {**LABELS, "hub-active": "true"}}})
        found = launch.Elector(launch.Place(NAMESPACE, pod, f"{pod}_1", settings.get("standby", False), FAST))
        found.start()
        return found

    return start


def lease(api: FakeApi) -> dict[str, Any]:
    found: dict[str, Any] = api.objects["leases", "hub"]["spec"]
    return found


def label(api: FakeApi, pod: str = "hub-a") -> str | None:
    found: str | None = api.objects["pods", pod]["metadata"]["labels"].get("hub-active")
    return found


Start = Callable[..., launch.Elector]


async def test_the_label_comes_when_the_port_answers(
    api: FakeApi, elector: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    runner, port = await serve(web.Application())
    monkeypatch.setattr(launch, "PORT", port)
    first = elector()
    await eventually(first.won.done)
    await eventually(first.unlabelled.done)
    assert label(api) is None
    first.hub_starts()
    await eventually(lambda: label(api) == "true")
    await asyncio.to_thread(first.release)
    await runner.cleanup()


async def test_a_release_hands_the_lease_on(api: FakeApi, elector: Start, ended: Ended) -> None:
    first = elector()
    await eventually(first.won.done)
    assert lease(api)["holderIdentity"] == "hub-a_1"
    await asyncio.to_thread(first.release)
    assert lease(api)["holderIdentity"] == ""
    assert not FENCE.is_open()
    assert not ended.is_set()


async def test_who_never_held_it_gives_nothing_back(api: FakeApi, elector: Start) -> None:
    api.put("leases", {"metadata": {"name": "hub"}, "spec": {"holderIdentity": "other", "leaseDurationSeconds": 60}})
    waiting = elector()
    await eventually(lambda: api.calls.count(("GET", "leases")) > 2)
    await asyncio.to_thread(waiting.release)
    assert not waiting.won.done()
    assert lease(api)["holderIdentity"] == "other"


@pytest.mark.parametrize("standby", [True, False])
async def test_a_lease_that_was_taken_ends_the_process(
    api: FakeApi, elector: Start, ended: Ended, standby: bool
) -> None:
    first = elector(standby=standby)
    await eventually(first.won.done)
    api.put("leases", {"metadata": {"name": "hub"}, "spec": {"holderIdentity": "other", "leaseDurationSeconds": 60}})
    await eventually(ended.is_set)
    assert not FENCE.is_open()


async def test_a_missed_deadline_ends_a_hub_that_has_a_standby(api: FakeApi, elector: Start, ended: Ended) -> None:
    first = elector(standby=True)
    await eventually(first.won.done)
    api.fault = lambda _request: 503
    await eventually(ended.is_set)
    assert not FENCE.is_open()


async def test_a_missed_deadline_only_stops_the_changes_of_a_single_hub(
    api: FakeApi, elector: Start, ended: Ended
) -> None:
    first = elector()
    await eventually(first.won.done)
    api.fault = lambda _request: 503
    await eventually(lambda: not FENCE.is_open())
    api.fault = lambda _request: None
    await eventually(FENCE.is_open)
    assert not ended.is_set()
    await asyncio.to_thread(first.release)


async def test_the_lease_says_whose_it_is(api: FakeApi, elector: Start) -> None:
    first = elector()
    await eventually(first.won.done)
    assert api.objects["leases", "hub"]["metadata"]["labels"] == {"app": "jupyterhub", "component": "hub"}
    assert lease(api)["leaseDurationSeconds"] == FAST.duration
    assert lease(api)["renewTime"].endswith("Z")
    await asyncio.to_thread(first.release)
