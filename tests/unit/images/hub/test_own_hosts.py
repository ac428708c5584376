"""Routes where each student has a host of their own."""

from __future__ import annotations

import pytest
from campus_hub.proxy import EndpointSliceProxy
from campus_hub.routes import parse_slice

from .conftest import FakeApi, Hub, Replica, Spawn, student_pod


def routespecs(api: FakeApi) -> list[str]:
    """The stored routes."""
    return [route["routespec"] for item in api.of("endpointslices") if (route := parse_slice(item))]


async def test_a_route_is_for_one_host_alone(
    api: FakeApi, hub: Hub, proxy: EndpointSliceProxy, spawn: Spawn, replicas: list[Replica]
) -> None:
    hub.subdomain_host = "https://hub.example.org"
    proxy.host_routing = True
    spawner = spawn("ann")
    spawner.proxy_spec = spawner.user.proxy_spec = "ann.hub.example.org/user/ann/"
    api.put("pods", student_pod("jupyter-ann", "ann"))

    await proxy.add_user(hub.add(spawner))

    assert routespecs(api) == ["ann.hub.example.org/user/ann/"]
    assert all(replica.asked for replica in replicas)
    await proxy.delete_user(spawner.user)
    assert routespecs(api) == []


async def test_a_route_for_every_host_is_refused(proxy: EndpointSliceProxy) -> None:
    proxy.host_routing = True
    with pytest.raises(ValueError, match="without host"):
        await proxy.add_route("/services/grader/", "http://grader:8000", {})
