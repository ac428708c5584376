"""The proxy class against an API server over HTTP and agents that acknowledge, stay silent or hang up."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from aiohttp import web
from campus_hub.proxy import LATE, EndpointSliceProxy
from campus_hub.replicas import SILENT
from campus_hub.routes import RouteRefused, parse_slice, slice_name
from campus_hub.spawner import CampusSpawner
from campus_hub.store import StoreError

from .conftest import FakeApi, Hub, Replica, Spawn, agent_slice, student_pod

NAME = slice_name("jupyterhub", "/user/ann/")


def routes_in(api: FakeApi) -> dict[str, Any]:
    """Return routespec → target of the stored routes."""
    found = [route for item in api.of("endpointslices") if (route := parse_slice(item))]
    return {route["routespec"]: route["target"] for route in found}


@pytest.fixture
async def ann(api: FakeApi, hub: Hub, spawn: Spawn) -> CampusSpawner:
    """Ann's server, whose pod runs."""
    spawner = spawn("ann")
    api.put("pods", student_pod("jupyter-ann", "ann"))
    hub.add(spawner)
    return spawner


async def test_a_user_is_added_once_every_replica_has_the_route(
    api: FakeApi, proxy: EndpointSliceProxy, ann: CampusSpawner, replicas: list[Replica]
) -> None:
    await proxy.add_user(ann.user)

    stored = api.objects["endpointslices", NAME]
    assert stored["metadata"]["ownerReferences"][0]["uid"] == api.objects["pods", "jupyter-ann"]["metadata"]["uid"]
    assert json.loads(stored["metadata"]["annotations"]["campus.jupyterhub/data"]) == {"user": "ann", "server_name": ""}
    for replica in replicas:
        assert [(asked["uid"], asked["resourceVersion"]) for asked in replica.asked] == [
            (stored["metadata"]["uid"], stored["metadata"]["resourceVersion"])
        ]


async def test_a_route_goes_to_the_pod_even_if_the_database_has_an_old_address(
    api: FakeApi, hub: Hub, proxy: EndpointSliceProxy, ann: CampusSpawner
) -> None:
    hub.add(ann, "http://10.9.9.9:8888")

    await proxy.add_user(ann.user)

    assert routes_in(api) == {"/user/ann/": "http://10.1.2.3:8888"}


async def test_a_named_server_has_a_route_of_its_own(
    api: FakeApi, hub: Hub, proxy: EndpointSliceProxy, spawn: Spawn
) -> None:
    spawner = spawn("ann", "lab")
    api.put("pods", student_pod(spawner.pod_name, "ann", "lab", "fd00::7"))
    user = hub.add(spawner, "http://[fd00::7]:8888")

    await proxy.add_user(user, "lab")

    assert routes_in(api) == {"/user/ann/lab/": "http://[fd00::7]:8888"}
    await proxy.delete_user(user, "lab")
    assert routes_in(api) == {}


@pytest.mark.parametrize("mode", ["silent", "stale", "dead"])
async def test_a_replica_without_the_route_is_skipped_after_a_bound_counted_and_logged(
    proxy: EndpointSliceProxy, ann: CampusSpawner, replicas: list[Replica], mode: str, caplog: pytest.LogCaptureFixture
) -> None:
    replicas[0].mode = mode
    before = SILENT.labels(replica="proxy-0")._value.get()
    start = time.monotonic()

    await proxy.add_user(ann.user)

    assert 0.5 < time.monotonic() - start < 1.6
    assert SILENT.labels(replica="proxy-0")._value.get() == before + 1
    assert "Replica proxy-0 did not acknowledge" in caplog.text
    assert "proxy-1" not in caplog.text


async def test_a_replica_that_goes_away_is_no_longer_waited_for(
    api: FakeApi, proxy: EndpointSliceProxy, ann: CampusSpawner, replicas: list[Replica]
) -> None:
    proxy.silent_replica_timeout = 5
    replicas[0].mode = "dead"
    start = time.monotonic()

    async def vanish() -> None:
        await asyncio.sleep(0.4)
        api.put("endpointslices", agent_slice("proxy-0", "127.0.0.1", replicas[0].port, ready=False), "MODIFIED")

    await asyncio.gather(proxy.add_user(ann.user), vanish())

    assert time.monotonic() - start < 3


async def test_a_draining_replica_is_waited_for(
    api: FakeApi, proxy: EndpointSliceProxy, ann: CampusSpawner, replicas: list[Replica]
) -> None:
    draining = {"ready": False, "serving": True, "terminating": True}
    api.put("endpointslices", agent_slice("proxy-0", "127.0.0.1", replicas[0].port, **draining))

    await proxy.add_user(ann.user)

    assert replicas[0].asked


async def test_without_replicas_the_route_is_written_all_the_same(
    api: FakeApi, proxy: EndpointSliceProxy, ann: CampusSpawner
) -> None:
    await proxy.add_user(ann.user)

    assert "/user/ann/" in routes_in(api)


async def test_a_slow_api_server_is_tried_again(api: FakeApi, proxy: EndpointSliceProxy, ann: CampusSpawner) -> None:
    answers = iter([503, 500, 429])
    api.fault = lambda request: next(answers, None) if request.method == "POST" else None

    await proxy.add_user(ann.user)

    assert "/user/ann/" in routes_in(api)


async def test_an_absent_api_server_holds_nobody_up_and_the_route_follows(
    api: FakeApi, proxy: EndpointSliceProxy, ann: CampusSpawner
) -> None:
    await proxy.get_all_routes()
    late, start = LATE._value.get(), time.monotonic()
    api.fault = lambda request: 503

    await proxy.add_user(ann.user)

    assert time.monotonic() - start < 2.5
    assert LATE._value.get() == late + 1
    api.fault = lambda request: None
    await eventually(lambda: "/user/ann/" in routes_in(api))


async def test_a_server_s_short_start_timeout_bounds_the_wait(
    api: FakeApi, proxy: EndpointSliceProxy, ann: CampusSpawner
) -> None:
    ann.start_timeout = 1
    proxy.route_timeout = 60
    api.fault = lambda request: 503
    start = time.monotonic()

    await proxy.add_user(ann.user)

    assert time.monotonic() - start < 2
    api.fault = lambda request: None
    await eventually(lambda: "/user/ann/" in routes_in(api))


async def test_a_deletion_overtakes_a_route_that_is_still_being_written(
    api: FakeApi, proxy: EndpointSliceProxy, ann: CampusSpawner
) -> None:
    proxy.route_timeout = 0.3
    api.fault = lambda request: 503
    await proxy.add_user(ann.user)
    await proxy.delete_user(ann.user)

    api.fault = lambda request: None
    await eventually(lambda: not proxy._background)

    assert routes_in(api) == {}
    assert not proxy._intentions
    assert not proxy._locks


async def test_what_the_api_server_forbids_is_an_error(
    api: FakeApi, proxy: EndpointSliceProxy, ann: CampusSpawner
) -> None:
    api.fault = lambda request: 403 if request.method == "POST" else None

    with pytest.raises(StoreError, match="403"):
        await proxy.add_user(ann.user)


async def test_a_pod_that_is_gone_gets_no_route(api: FakeApi, proxy: EndpointSliceProxy, ann: CampusSpawner) -> None:
    api.drop("pods", "jupyter-ann")

    with pytest.raises(RouteRefused, match="is gone"):
        await proxy.add_user(ann.user)


async def test_deleting_what_is_not_there_is_fine(proxy: EndpointSliceProxy) -> None:
    await proxy.delete_route("/user/nobody/")


async def test_deleting_waits_for_no_replica(
    api: FakeApi, proxy: EndpointSliceProxy, ann: CampusSpawner, replicas: list[Replica]
) -> None:
    await proxy.add_user(ann.user)
    for replica in replicas:
        replica.mode = "silent"
    start = time.monotonic()

    await proxy.delete_user(ann.user)

    assert time.monotonic() - start < 0.5
    assert routes_in(api) == {}


async def test_adding_the_same_route_again_writes_nothing(
    api: FakeApi, proxy: EndpointSliceProxy, ann: CampusSpawner
) -> None:
    await proxy.add_user(ann.user)
    version = api.objects["endpointslices", NAME]["metadata"]["resourceVersion"]

    await proxy.add_user(ann.user)

    assert api.objects["endpointslices", NAME]["metadata"]["resourceVersion"] == version


async def test_a_changed_port_replaces_the_slice_in_place(
    api: FakeApi, hub: Hub, proxy: EndpointSliceProxy, ann: CampusSpawner
) -> None:
    await proxy.add_user(ann.user)
    uid = api.objects["endpointslices", NAME]["metadata"]["uid"]

    await proxy.add_user(hub.add(ann, "http://10.1.2.3:9999"))

    assert routes_in(api)["/user/ann/"] == "http://10.1.2.3:9999"
    assert api.objects["endpointslices", NAME]["metadata"]["uid"] == uid


async def test_another_pod_s_slice_makes_way_for_a_new_uid(
    api: FakeApi, hub: Hub, proxy: EndpointSliceProxy, ann: CampusSpawner
) -> None:
    await proxy.add_user(ann.user)
    uid = api.objects["endpointslices", NAME]["metadata"]["uid"]
    api.put("pods", student_pod("jupyter-ann", "ann", ip="10.4.4.4"))

    await proxy.add_user(hub.add(ann, "http://10.4.4.4:8888"))

    assert routes_in(api)["/user/ann/"] == "http://10.4.4.4:8888"
    assert api.objects["endpointslices", NAME]["metadata"]["uid"] != uid


async def test_a_returning_hub_finds_every_route(
    api: FakeApi, hub: Hub, proxy: EndpointSliceProxy, ann: CampusSpawner
) -> None:
    await proxy.add_user(ann.user)
    await proxy.add_route("/services/news/", "http://news.jupyterhub.svc:80", {"service": "news"})

    found = await EndpointSliceProxy(app=hub, hub=hub.hub, namespace="jupyterhub").get_all_routes()

    assert {spec: (route["target"], route["data"]) for spec, route in found.items()} == {
        "/": ("http://hub:8081", {"hub": True}),
        "/user/ann/": ("http://10.1.2.3:8888", {"user": "ann", "server_name": ""}),
        "/services/news/": ("http://news.jupyterhub.svc:80", {"service": "news"}),
    }


async def test_another_hub_s_routes_are_not_seen(
    api: FakeApi, hub: Hub, proxy: EndpointSliceProxy, ann: CampusSpawner
) -> None:
    await proxy.add_user(ann.user)

    found = await EndpointSliceProxy(app=hub, hub=hub.hub, namespace="jupyterhub", name="other").get_all_routes()

    assert set(found) == {"/"}


async def test_the_hub_s_own_route_is_not_stored(api: FakeApi, hub: Hub, proxy: EndpointSliceProxy) -> None:
    await proxy.add_hub_route(hub.hub)
    await proxy.delete_route("/")

    assert api.of("endpointslices") == []
    assert (await proxy.get_all_routes())["/"]["target"] == "http://hub:8081"


async def test_everything_else_cannot_be_sent_elsewhere(hub: Hub, proxy: EndpointSliceProxy) -> None:
    hub.hub.routespec = "/hub/"

    with pytest.raises(RouteRefused, match="choose a longer path"):
        await proxy.add_route("/", "http://elsewhere.svc", {"extra": True})


async def test_internal_ssl_is_refused(api: FakeApi, hub: Hub) -> None:
    hub.internal_ssl = True

    with pytest.raises(RouteRefused, match="internal_ssl"):
        EndpointSliceProxy(app=hub, hub=hub.hub, namespace="jupyterhub")


# The returning hub is the dangerous actor: what it may delete.


async def test_a_check_keeps_the_route_of_a_running_pod_that_the_hub_does_not_know(
    api: FakeApi, hub: Hub, proxy: EndpointSliceProxy, ann: CampusSpawner
) -> None:
    await proxy.add_user(ann.user)
    hub.users.clear()

    await proxy.check_routes({}, {})

    assert "/user/ann/" in routes_in(api)


@pytest.mark.parametrize(
    "end",
    [
        lambda api: api.drop("pods", "jupyter-ann"),
        lambda api: api.put("pods", student_pod("jupyter-ann", "ann")),
        lambda api: api.put(
            "pods",
            student_pod("jupyter-ann", "ann", phase="Failed", containerStatuses=None)
            | {"metadata": api.objects["pods", "jupyter-ann"]["metadata"]},
        ),
    ],
    ids=["gone", "another pod of the same name", "failed"],
)
async def test_a_check_deletes_the_route_of_a_pod_that_ended(
    api: FakeApi, proxy: EndpointSliceProxy, ann: CampusSpawner, end: Callable[[FakeApi], None]
) -> None:
    await proxy.add_user(ann.user)
    end(api)

    await proxy.check_routes({}, {})

    assert routes_in(api) == {}


async def test_a_check_deletes_nothing_when_the_pods_cannot_be_read(
    api: FakeApi, proxy: EndpointSliceProxy, ann: CampusSpawner
) -> None:
    await proxy.add_user(ann.user)
    api.drop("pods", "jupyter-ann")
    api.fault = lambda request: 500 if request.match_info["kind"] == "pods" else None

    await proxy.check_routes({}, {})

    assert "/user/ann/" in routes_in(api)


async def test_a_check_adds_the_missing_and_deletes_stale_services(
    api: FakeApi, hub: Hub, proxy: EndpointSliceProxy, ann: CampusSpawner
) -> None:
    await proxy.add_route("/services/old/", "http://old.svc", {"service": "old"})
    news = SimpleNamespace(name="news", proxy_spec="/services/news/", server=SimpleNamespace(host="http://news.svc:80"))

    await proxy.check_routes(ready(ann), {"news": news})

    assert routes_in(api) == {"/user/ann/": "http://10.1.2.3:8888", "/services/news/": "http://news.svc:80"}


async def test_a_check_that_fails_does_not_end_the_hub(
    api: FakeApi, proxy: EndpointSliceProxy, ann: CampusSpawner, caplog: pytest.LogCaptureFixture
) -> None:
    api.fault = lambda request: 403

    await proxy.check_routes(ready(ann), {})

    assert "could not be checked" in caplog.text


async def test_a_check_reads_the_routes_anew(api: FakeApi, proxy: EndpointSliceProxy, ann: CampusSpawner) -> None:
    stale = await proxy.get_all_routes()
    stale["/user/gone/"] = {"routespec": "/user/gone/", "target": "http://10.0.0.1:1", "data": {"user": "gone"}}
    await proxy.add_user(ann.user)
    api.calls.clear()

    await proxy.check_routes(ready(ann), {}, stale)

    assert ("DELETE", "endpointslices") not in api.calls
    assert "/user/ann/" in routes_in(api)


async def test_a_thousand_checks_at_once_queue_up(api: FakeApi, proxy: EndpointSliceProxy, ann: CampusSpawner) -> None:
    def slow(request: web.Request) -> int | None:
        return None

    api.fault = slow
    await asyncio.gather(*(proxy.check_routes(ready(ann), {}) for _unused in range(20)))

    assert "/user/ann/" in routes_in(api)


def ready(spawner: CampusSpawner) -> dict[int, Any]:
    """Return users as check_routes gets them, with this server ready."""
    view = SimpleNamespace(
        ready=True, pending=None, proxy_spec=spawner.proxy_spec, server=SimpleNamespace(host="http://10.1.2.3:8888")
    )
    spawner.user.spawners = SpawnersView(view, spawner)
    return {1: spawner.user}


class SpawnersView(dict[str, Any]):
    """The user's spawners: the check looks at the view, the route is made from the spawner."""

    def __init__(self, view: Any, spawner: CampusSpawner) -> None:
        super().__init__({"": spawner})
        self.view = view

    def items(self) -> Any:
        return {"": self.view}.items()

    def values(self) -> Any:
        return [self.view]


async def eventually(true: Callable[[], bool], bound: float = 8) -> None:
    """Wait until something holds, at most bound seconds."""
    async with asyncio.timeout(bound):
        while not true():
            await asyncio.sleep(0.05)
