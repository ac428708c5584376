"""The label of the hub that serves, against a Kubernetes API over real HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from ansible_collections.campus.jupyterhub.tests.unit.waiting import eventually
from campus_hub import mark
from campus_hub.fence import Fence
from campus_hub.kube import HubPods, KubeError
from kubernetes_asyncio.client import ApiClient

from .conftest import NAMESPACE, FakeApi, Manifest


def hub_pod(name: str, **labels: str) -> Manifest:
    return {"metadata": {"name": name, "labels": {"app": "jupyterhub", "component": "hub", **labels}}}


def active(name: str) -> Manifest:
    return hub_pod(name, **{"hub-active": "true"})


def labelled(api: FakeApi) -> set[str]:
    return {pod["metadata"]["name"] for pod in api.of("pods") if pod["metadata"]["labels"].get("hub-active")}


async def at_once() -> None:
    """Serve already."""


@pytest.fixture
async def pods(api: FakeApi) -> AsyncIterator[HubPods]:
    async with ApiClient() as client:
        yield HubPods(client, NAMESPACE)


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mark, "CALM", 0.05)
    monkeypatch.setattr(mark, "AGAIN", 0.02)


async def test_the_winner_takes_the_label_from_the_old_hub_and_sets_it_once_it_serves(
    api: FakeApi, pods: HubPods
) -> None:
    for pod in (active("old"), hub_pod("new"), hub_pod("third")):
        api.put("pods", pod)
    serves = asyncio.Event()

    async def serving() -> None:
        await serves.wait()

    keeping = asyncio.create_task(mark.keep(pods, "new", Fence(), serving))
    await eventually(lambda: labelled(api) == set())
    serves.set()
    await eventually(lambda: labelled(api) == {"new"})
    # A request of the old hub that was under way comes late.
    api.put("pods", active("old"), "MODIFIED")
    await eventually(lambda: labelled(api) == {"new"})
    keeping.cancel()


async def test_the_hub_that_serves_is_the_last_to_be_removed(api: FakeApi, pods: HubPods) -> None:
    api.put("pods", hub_pod("me"))
    await pods.mark("me", True)
    assert api.objects["pods", "me"]["metadata"]["annotations"] == {"controller.kubernetes.io/pod-deletion-cost": "100"}
    await pods.mark("me", False)
    assert api.objects["pods", "me"]["metadata"]["annotations"] == {}


async def test_a_hub_without_the_lease_touches_no_label(api: FakeApi, pods: HubPods) -> None:
    for pod in (active("other"), hub_pod("me")):
        api.put("pods", pod)
    fence = Fence()
    fence.close()
    keeping = asyncio.create_task(mark.keep(pods, "me", fence, at_once))
    await eventually(lambda: api.calls.count(("GET", "pods")) > 3)
    keeping.cancel()
    assert labelled(api) == {"other"}
    assert not [call for call in api.calls if call[0] != "GET"]


async def test_an_earlier_runs_label_is_taken_away_however_often_that_fails(api: FakeApi, pods: HubPods) -> None:
    api.put("pods", active("me"))
    failures = iter([500, 403, 503])
    api.fault = lambda _request: next(failures, None)
    await asyncio.wait_for(mark.clear(pods, "me"), 10)
    assert labelled(api) == set()


async def test_labels_are_kept_through_failures(api: FakeApi, pods: HubPods) -> None:
    for pod in (active("old"), hub_pod("me")):
        api.put("pods", pod)
    down = True

    def fault(request: web.Request) -> int | None:
        return 503 if down else None

    api.fault = fault
    keeping = asyncio.create_task(mark.keep(pods, "me", Fence(), at_once))
    await eventually(lambda: len(api.calls) > 3)
    down = False
    await eventually(lambda: labelled(api) == {"me"})
    keeping.cancel()


async def test_a_pod_that_is_gone_needs_no_label(pods: HubPods) -> None:
    await pods.mark("gone", False)


async def test_a_refusal_is_told(api: FakeApi, pods: HubPods) -> None:
    api.fault = lambda _request: 403
    with pytest.raises(KubeError, match="403"):
        await pods.marked()
