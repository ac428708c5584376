"""The proxy class against an API server over HTTP and agents that acknowledge, stay silent or hang up."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from aiohttp import web
from ansible_collections.campus.jupyterhub.tests.unit.waiting import LoopClock, eventually
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


async def within_reason(work: asyncio.Task[None]) -> None:
    """Wait for work whose bounds are far longer than this, so that it ends for another reason or not at all."""
    async with asyncio.timeout(30):
        await work


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
    *,
    proxy: EndpointSliceProxy,
    ann: CampusSpawner,
    replicas: list[Replica],
    mode: str,
    clock: LoopClock,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr("campus_hub.replicas.WITHDRAWAL_SECONDS", 0)
    replicas[0].mode = mode
    before = SILENT.labels(replica="proxy-0")._value.get()
    answered: dict[str, bool] = {}
    ask = proxy.replicas._ask

    async def noting(replica: str, query: dict[str, str], deadline: float) -> bool:
        answered[replica] = await ask(replica, query, deadline)
        return answered[replica]

    monkeypatch.setattr(proxy.replicas, "_ask", noting)
    adding = asyncio.create_task(proxy.add_user(ann.user))
    await eventually(lambda: bool(replicas[0].asked) and answered == {"proxy-1": True})
    assert not adding.done()
    clock.forward(proxy.silent_replica_timeout)

    await within_reason(adding)

    assert answered == {"proxy-0": False, "proxy-1": True}
    assert SILENT.labels(replica="proxy-0")._value.get() == before + 1
    assert "Replica proxy-0 did not acknowledge" in caplog.text
    assert "proxy-1" not in caplog.text


async def test_a_replica_that_goes_away_is_no_longer_waited_for(
    api: FakeApi,
    proxy: EndpointSliceProxy,
    ann: CampusSpawner,
    replicas: list[Replica],
    caplog: pytest.LogCaptureFixture,
) -> None:
    replicas[0].mode = "dead"
    adding = asyncio.create_task(proxy.add_user(ann.user))
    await eventually(lambda: len(replicas[0].asked) > 1)
    assert not adding.done()
    api.put("endpointslices", agent_slice("proxy-0", "127.0.0.1", replicas[0].port, ready=False), "MODIFIED")

    await within_reason(adding)

    assert "did not acknowledge" not in caplog.text


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
    api: FakeApi, proxy: EndpointSliceProxy, ann: CampusSpawner, clock: LoopClock
) -> None:
    await proxy.get_all_routes()
    late = LATE._value.get()
    api.fault = lambda request: 503
    api.calls.clear()
    adding = asyncio.create_task(proxy.add_user(ann.user))
    await eventually(lambda: len(api.calls) > 1)
    assert not adding.done()
    clock.forward(proxy.route_timeout)

    await within_reason(adding)

    assert LATE._value.get() == late + 1
    api.fault = lambda request: None
    await eventually(lambda: "/user/ann/" in routes_in(api))


async def test_a_server_s_short_start_timeout_bounds_the_wait(
    api: FakeApi, proxy: EndpointSliceProxy, ann: CampusSpawner, clock: LoopClock
) -> None:
    ann.start_timeout = 60
    api.fault = lambda request: 503
    api.calls.clear()
    adding = asyncio.create_task(proxy.add_user(ann.user))
    await eventually(lambda: len(api.calls) > 1)
    assert not adding.done()
    clock.forward(ann.start_timeout)

    await within_reason(adding)

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
        replica.asked.clear()

    await proxy.delete_user(ann.user)

    assert routes_in(api) == {}
    assert [replica.asked for replica in replicas] == [[], []]


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
