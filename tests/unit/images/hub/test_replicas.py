"""Which replicas are waited for."""

from __future__ import annotations

import asyncio

import pytest
from ansible_collections.campus.jupyterhub.tests.unit.waiting import LoopClock, eventually
from campus_hub.proxy import EndpointSliceProxy
from campus_hub.replicas import serving

from .conftest import FakeApi, Replica, agent_slice, fail


@pytest.mark.parametrize(
    ("conditions", "counts"),
    [
        ({}, True),
        ({"ready": True}, True),
        ({"ready": False}, False),
        ({"ready": False, "serving": True, "terminating": True}, True),
        ({"ready": False, "serving": False, "terminating": True}, False),
        ({"ready": False, "serving": True, "terminating": False}, False),
    ],
)
def test_ready_and_draining_replicas_count(conditions: dict[str, bool], counts: bool) -> None:
    found = serving([agent_slice("proxy-0", "10.0.0.1", 8002, **conditions)], "agent")

    assert found == ({"proxy-0": "http://10.0.0.1:8002"} if counts else {})


def test_a_replica_with_two_addresses_is_asked_once() -> None:
    four, six = agent_slice("proxy-0", "10.0.0.1", 8002), agent_slice("proxy-0", "fd00::1", 8002)

    assert len(serving([four, six], "agent")) == 1
    assert serving([six], "agent") == {"proxy-0": "http://[fd00::1]:8002"}


def test_slices_without_the_port_or_endpoints_are_passed_over() -> None:
    other = agent_slice("proxy-0", "10.0.0.1", 8002) | {"ports": None}
    empty = agent_slice("proxy-1", "10.0.0.1", 8002) | {"endpoints": None}

    assert serving([other, empty], "agent") == {}


async def test_a_route_is_not_offered_while_a_replica_that_is_behind_is_sent_newcomers(
    api: FakeApi, proxy: EndpointSliceProxy, replicas: list[Replica], clock: LoopClock
) -> None:
    replicas[0].mode = "silent"
    route = api.put("endpointslices", {"metadata": {"name": "route"}})["metadata"]
    version = (route["name"], route["uid"], route["resourceVersion"])
    waiting = asyncio.create_task(proxy.replicas.wait_until_applied(*version, bound=600))
    await eventually(lambda: bool(replicas[0].asked) and bool(replicas[1].asked))
    clock.forward(600.5)
    done, _pending = await asyncio.wait([waiting], timeout=0.5)
    assert not done
    api.put("endpointslices", agent_slice("proxy-0", "127.0.0.1", replicas[0].port, ready=False), "MODIFIED")

    assert await asyncio.wait_for(waiting, 30) == ["proxy-0"]


async def test_after_a_failure_nobody_is_asked_before_it_is_known_who_is_there(
    api: FakeApi, proxy: EndpointSliceProxy, replicas: list[Replica]
) -> None:
    api.put("endpointslices", agent_slice("proxy-0", "127.0.0.1", replicas[0].port, ready=False), "MODIFIED")
    watch = proxy.replicas.reflector
    await watch.current()
    route = api.put("endpointslices", {"metadata": {"name": "route"}})["metadata"]
    api.fault = fail("endpointslices", "GET", 503)
    await eventually(lambda: not watch._current.is_set())
    # While the watch is away, one more replica is sent newcomers.
    api.put("endpointslices", agent_slice("proxy-0", "127.0.0.1", replicas[0].port), "MODIFIED")
    version = (route["name"], route["uid"], route["resourceVersion"])
    waiting = asyncio.create_task(proxy.replicas.wait_until_applied(*version, bound=600))
    await asyncio.sleep(0)
    api.fault = lambda request: None

    assert await asyncio.wait_for(waiting, 30) == []

    assert replicas[0].asked
