"""Without the Lease a hub changes nothing in the cluster."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from campus_hub.fence import FENCE, Fence, now
from campus_hub.store import RouteStore, StoreError

from .conftest import NAMESPACE, FakeApi, Spawn, student_pod

SLICE: dict[str, Any] = {"metadata": {"name": "route", "resourceVersion": "1"}, "addressType": "IPv4"}


@pytest.fixture
def no_lease() -> Iterator[None]:
    """The Lease was lost."""
    FENCE.close()
    yield
    FENCE.open_until(float("inf"))


def changes(api: FakeApi) -> list[tuple[str, str]]:
    return [call for call in api.calls if call[0] != "GET"]


def test_a_fence_is_open_until_its_moment() -> None:
    moment = SimpleNamespace(now=10.0)
    fence = Fence(lambda: moment.now)
    assert fence.is_open()
    fence.open_until(20)
    moment.now = 19.9
    assert fence.is_open()
    moment.now = 20.0
    assert not fence.is_open()
    fence.open_until(30)
    assert fence.is_open()
    fence.close()
    assert not fence.is_open()


def test_the_clock_only_goes_forward() -> None:
    first = now()
    assert now() >= first


@pytest.mark.usefixtures("no_lease")
async def test_no_route_is_written_or_deleted(api: FakeApi) -> None:
    store = RouteStore(NAMESPACE)
    for change in (store.create(SLICE), store.replace(SLICE), store.delete("route")):
        with pytest.raises(StoreError, match="does not hold the Lease") as refused:
            await change
        # The Lease may come back.
        assert refused.value.passing
    assert changes(api) == []
    assert await store.list("") == []


@pytest.mark.usefixtures("no_lease")
async def test_no_pod_or_disk_is_made_and_no_pod_deleted(api: FakeApi, spawn: Spawn) -> None:
    spawner = spawn("ann")
    api.put("pods", student_pod("ann", "ann"))
    assert not await spawner._make_create_pod_request({"metadata": {"name": "other"}}, 1)
    assert not await spawner._make_create_pvc_request(None, 1)
    assert not await spawner._make_delete_pod_request("ann", None, 1, 1)
    assert changes(api) == []
    assert ("pods", "ann") in api.objects


async def test_with_the_lease_all_of_that_happens(api: FakeApi, spawn: Spawn) -> None:
    spawner = spawn("ann")
    assert await spawner._make_create_pvc_request(None, 1)
    store = RouteStore(NAMESPACE)
    made = await store.create({**SLICE, "metadata": {"name": "route"}})
    await store.replace(made)
    await store.delete("route")
    assert [method for method, _kind in changes(api)] == ["POST", "POST", "PUT", "DELETE"]
