"""The routing table: whatever the order of events, it says what a fresh look at everything would say."""

from __future__ import annotations

from typing import Any

from ansible_collections.campus.jupyterhub.tests.unit.images.proxy.fakes import (
    NAMESPACE,
    PREFIX,
    make_pod,
    make_slice,
    make_target_slice,
)
from campus_proxy.table import Table
from hypothesis import given, settings
from hypothesis import strategies as st

ROUTESPECS = ["/user/ann/", "/user/anna/", "/user/a@b/", "/user/a%40b/", "/user/ann/a/", "/services/x/", "/"]
PODS = ["p1", "p2"]
IPS = ["10.0.0.1", "10.0.0.2"]


def table() -> Table:
    """An empty table."""
    return Table(PREFIX, NAMESPACE)


def versioned(obj: dict[str, Any], version: int) -> dict[str, Any]:
    """The object with another resource version and age."""
    created = f"2026-01-01T00:00:{version % 60:02d}Z"
    return obj | {"metadata": obj["metadata"] | {"resourceVersion": str(version), "creationTimestamp": created}}


def test_a_route_needs_its_pod() -> None:
    routes = table()
    routes.put_slice(make_slice("/user/ann/"))
    changes = routes.take_changes()
    assert changes.values == {"/user/ann/": None}
    assert [status and status.reason for status in changes.statuses.values()] == ["its pod does not exist"]
    routes.put_pod(make_pod(phase="Pending"))
    assert [s and s.reason for s in routes.take_changes().statuses.values()] == [
        "its pod is not running with that address"
    ]
    routes.put_pod(make_pod())
    changes = routes.take_changes()
    assert changes.values == {"/user/ann/": "10.0.0.1|8888"}
    assert [status and status.reason for status in changes.statuses.values()] == [""]
    assert not routes.take_changes()


def test_a_new_pod_with_an_old_address_meets_no_old_route() -> None:
    routes = table()
    routes.put_slice(make_slice("/user/ann/", pod="p1"))
    routes.put_pod(make_pod("p1"))
    routes.take_changes()
    routes.drop_pod(make_pod("p1"))
    routes.put_pod(make_pod("p2"))
    assert routes.take_changes().values == {"/user/ann/": None}


def test_two_spellings_of_one_url_do_not_take_turns() -> None:
    routes = table()
    routes.put_pod(make_pod("p1", IPS[0]))
    routes.put_pod(make_pod("p2", IPS[1]))
    routes.put_slice(versioned(make_slice("/user/a%40b/", IPS[0], pod="p1"), 1))
    routes.put_slice(versioned(make_slice("/user/a@b/", IPS[1], pod="p2"), 2))
    changes = routes.take_changes()
    assert changes.values == {"/user/a@b/": "10.0.0.1|8888"}
    assert sorted(s.reason for s in changes.statuses.values() if s) == ["", "another slice has the same URL"]
    routes.drop_pod(make_pod("p1"))
    assert routes.take_changes().values == {"/user/a@b/": "10.0.0.2|8888"}


def test_a_name_keeps_its_last_address_when_the_slice_is_written_again() -> None:
    routes = table()
    routes.put_slice(make_target_slice("/services/x/", "http://x:80"))
    assert routes.hosts() == {"x"}
    routes.put_address("x", "10.0.0.9")
    assert routes.take_changes().values == {"/services/x/": "10.0.0.9|80"}
    routes.put_slice(versioned(make_target_slice("/services/x/", "http://x:80"), 2))
    assert routes.take_changes().values == {"/services/x/": "10.0.0.9|80"}
    routes.drop_slice(make_target_slice("/services/x/", "http://x:80"))
    routes.forget_addresses()
    assert not routes.addresses


def test_junk_is_counted_and_the_rest_goes_on() -> None:
    routes = table()
    routes.replace_slices([{}, {"metadata": 5}, {"metadata": {"name": "x"}}, make_slice("/user/ann/")])
    routes.replace_pods([{}, {"metadata": []}, make_pod()])
    assert routes.refusals == 3
    assert routes.take_changes().values == {"/user/ann/": "10.0.0.1|8888"}


def test_a_route_that_becomes_junk_is_gone() -> None:
    routes = table()
    routes.put_pod(make_pod())
    routes.put_slice(make_slice("/user/ann/"))
    routes.take_changes()
    routes.put_slice(versioned(make_slice("/user/ann/", "nonsense"), 2))
    changes = routes.take_changes()
    assert changes.values == {"/user/ann/": None}
    assert [status and status.reason for status in changes.statuses.values()] == ["its address is not an IP address"]


def test_the_default_route_is_acknowledged_but_not_in_the_map() -> None:
    routes = table()
    routes.put_slice(make_target_slice("/", "http://hub:8081", {"hub": True}))
    changes = routes.take_changes()
    assert changes.values == {"/": None}
    assert [status and status.reason for status in changes.statuses.values()] == [""]
    assert not routes.hosts()


SLICE = st.builds(
    lambda spec, ip, pod, version: versioned(
        make_target_slice(spec, "http://x:80") if spec.startswith("/services") else make_slice(spec, ip, pod=pod),
        version,
    ),
    st.sampled_from(ROUTESPECS),
    st.sampled_from([*IPS, "junk"]),
    st.sampled_from(PODS),
    st.integers(1, 50),
)
POD = st.builds(make_pod, st.sampled_from(PODS), st.sampled_from(IPS), st.sampled_from(["Running", "Pending"]))
STEP = st.one_of(
    st.tuples(st.just("put_slice"), SLICE),
    st.tuples(st.just("drop_slice"), SLICE),
    st.tuples(st.just("put_pod"), POD),
    st.tuples(st.just("drop_pod"), POD),
    st.tuples(st.just("replace_slices"), st.lists(SLICE, max_size=4, unique_by=lambda obj: obj["metadata"]["name"])),
    st.tuples(st.just("replace_pods"), st.lists(POD, max_size=2, unique_by=lambda obj: obj["metadata"]["uid"])),
    st.tuples(st.just("take"), st.none()),
)


@settings(max_examples=150)
@given(st.lists(STEP, max_size=25))
def test_changes_add_up_to_the_whole(steps: list[tuple[str, Any]]) -> None:
    routes = table()
    routes.put_address("x", "10.0.0.9")
    in_map: dict[str, str] = {}
    statuses: dict[str, Any] = {}

    def take() -> None:
        changes = routes.take_changes()
        for key, value in changes.values.items():
            in_map.pop(key, None)
            if value is not None:
                in_map[key] = value
        for name, status in changes.statuses.items():
            statuses.pop(name, None)
            if status is not None:
                statuses[name] = status

    for step, argument in steps:
        if step == "take":
            take()
        else:
            getattr(routes, step)(argument)
    take()
    whole = routes.everything()
    assert in_map == whole.values
    assert statuses == whole.statuses
    for name, route in routes.routes.items():
        if not statuses[name].reason and route.pod_uid:
            assert routes.pods[route.pod_uid].serves(route.host)
            assert in_map[route.key] == f"{route.host}|{route.port}"
