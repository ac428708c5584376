"""What counts as a route, and what does not."""

from __future__ import annotations

import json
from typing import Any

import pytest
from ansible_collections.campus.jupyterhub.tests.unit.images.proxy.fakes import (
    NAMESPACE,
    PREFIX,
    make_pod,
    make_slice,
    make_target_slice,
)
from campus_proxy.routes import DATA, MAX_DATA, ROUTESPEC, BadRoute, host_address, parse_pod, parse_slice, slice_name
from hypothesis import given
from hypothesis import strategies as st

JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


def change(obj: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    """A copy of the object with one place changed; `path` is dotted, a number is an index."""
    copy: Any = json.loads(json.dumps(obj))
    place = copy
    *parts, last = path.split(".")
    for part in parts:
        place = place[int(part)] if isinstance(place, list) else place[part]
    place[int(last) if isinstance(place, list) else last] = value
    return copy  # type: ignore[no-any-return]


def renamed(routespec_json: str) -> dict[str, Any]:
    """A slice whose routespec annotation is this text."""
    obj = make_slice("/user/ann/")
    obj["metadata"]["annotations"][ROUTESPEC] = routespec_json
    return obj


def test_a_route_of_a_pod() -> None:
    route = parse_slice(make_slice("/user/ann/", "10.1.2.3", 8888, "uid-1"), PREFIX, NAMESPACE)
    assert (route.key, route.host, route.port, route.pod_uid) == ("/user/ann/", "10.1.2.3", 8888, "uid-1")
    assert not route.is_default


def test_a_route_over_ipv6() -> None:
    assert parse_slice(make_slice("/user/ann/", "FD00:0::1"), PREFIX, NAMESPACE).host == "fd00::1"


@pytest.mark.parametrize(
    ("target", "host", "port"),
    [
        ("http://grader:9000", "grader", 9000),
        ("http://grader.tools.svc:9000/", "grader.tools.svc", 9000),
        ("http://10.0.0.9:80", "10.0.0.9", 80),
        ("http://[fd00::9]:8000", "fd00::9", 8000),
        ("http://grader", "grader", 80),
    ],
)
def test_a_route_to_a_target(target: str, host: str, port: int) -> None:
    route = parse_slice(make_target_slice("/services/grader/", target), PREFIX, NAMESPACE)
    assert (route.host, route.port, route.pod_uid) == (host, port, "")


@pytest.mark.parametrize("routespec", ["/", "hub.example.org/"])
def test_the_default_route_is_known_as_such(routespec: str) -> None:
    assert parse_slice(make_target_slice(routespec, "http://hub:8081", {"hub": True}), PREFIX, NAMESPACE).is_default


@pytest.mark.parametrize(
    ("path", "value", "reason"),
    [
        ("metadata.labels", None, "managed by something else"),
        ("metadata.labels", {"endpointslice.kubernetes.io/managed-by": "x"}, "managed by something else"),
        ("metadata.annotations", None, "is missing"),
        ("metadata.annotations", {}, "is missing"),
        ("metadata.annotations", {ROUTESPEC: 5, DATA: "{}"}, "is missing"),
        ("metadata.annotations", {ROUTESPEC: '"/user/ann/"'}, "is missing"),
        ("metadata.annotations", {ROUTESPEC: "/user/ann/", DATA: "{}"}, "not JSON"),
        ("metadata.annotations", {ROUTESPEC: '"/user/ann/"', DATA: "[" * 9000}, "not JSON"),
        ("metadata.annotations", {ROUTESPEC: '"/user/ann/"', DATA: "[]"}, "not a string and an object"),
        ("metadata.annotations", {ROUTESPEC: "[]", DATA: "{}"}, "not a string and an object"),
        ("metadata.annotations", {ROUTESPEC: '"/user/ann/"', DATA: '"' + "x" * MAX_DATA + '"'}, "longer"),
        ("metadata.name", "something-else", "does not belong"),
        ("metadata", [], "managed by something else"),
        ("endpoints", None, "not exactly one endpoint"),
        ("endpoints", [], "not exactly one endpoint"),
        ("endpoints", [1], "not exactly one endpoint"),
        ("endpoints", [{}] * 1000, "not exactly one endpoint"),
        ("endpoints.0.addresses", [], "not exactly one address"),
        ("endpoints.0.addresses", ["10.0.0.1", "10.0.0.2"], "not exactly one address"),
        ("endpoints.0.addresses", ["ann"], "not an IP address"),
        ("endpoints.0.addresses", ["10.0.0.1\n"], "not an IP address"),
        ("endpoints.0.addresses", ["127.0.0.1"], "not one of a host"),
        ("endpoints.0.addresses", ["::1"], "not one of a host"),
        ("endpoints.0.addresses", ["::ffff:10.0.0.1"], "not one of a host"),
        ("endpoints.0.addresses", ["169.254.169.254"], "not one of a host"),
        ("endpoints.0.addresses", ["0.0.0.0"], "not one of a host"),
        ("endpoints.0.addresses", ["fd00::1%eth0"], "scope"),
        ("endpoints.0.targetRef", None, "refers to no pod"),
        ("endpoints.0.targetRef", {"kind": "Node", "uid": "u"}, "refers to no pod"),
        ("endpoints.0.targetRef", {"kind": "Pod", "uid": ""}, "elsewhere"),
        ("endpoints.0.targetRef", {"kind": "Pod", "uid": "u", "namespace": "other"}, "elsewhere"),
        ("ports", None, "not exactly one port"),
        ("ports.0.port", 0, "not a port number"),
        ("ports.0.port", True, "not a port number"),
        ("ports.0.port", "8888", "not a port number"),
        ("ports.0.port", 70000, "not a port number"),
    ],
)
def test_a_slice_that_is_no_route(path: str, value: Any, reason: str) -> None:
    with pytest.raises(BadRoute, match=reason):
        parse_slice(change(make_slice("/user/ann/"), path, value), PREFIX, NAMESPACE)


@pytest.mark.parametrize(
    ("routespec_json", "reason"),
    [
        (r'"/user/a\nb/"', "control characters"),
        (r'"/user/\ud800/"', "not text"),
        (r'"/user/\udc80/"', "not text"),
        ('"/user/ann"', "slash"),
        ('"/user/../"', "dot segments"),
        ('"/user/bob/"', "does not belong"),
    ],
)
def test_a_routespec_that_is_no_route(routespec_json: str, reason: str) -> None:
    with pytest.raises(BadRoute, match=reason):
        parse_slice(renamed(routespec_json), PREFIX, NAMESPACE)


@pytest.mark.parametrize(
    "target",
    [
        "https://grader:443",
        "http://grader:8000/path",
        "http://grader:8000/?a=b",
        "http://user@grader:8000",
        "http://grader:99999",
        "http://grader:0",
        "http://127.0.0.1:8000",
        "http://169.254.169.254",
        "http://1.2.3",
        "http://[::1]:80",
        "http://-x",
        "http://a..b",
        "http://" + "a" * 300,
        "http://",
        "grader:8000",
        "",
    ],
)
def test_a_target_that_is_refused(target: str) -> None:
    with pytest.raises(BadRoute):
        parse_slice(make_target_slice("/services/grader/", target), PREFIX, NAMESPACE)


def test_a_target_beside_an_endpoint_is_refused() -> None:
    obj = make_target_slice("/services/x/", "http://x") | {"endpoints": make_slice("/services/x/")["endpoints"]}
    with pytest.raises(BadRoute, match="both"):
        parse_slice(obj, PREFIX, NAMESPACE)


def test_only_the_hub_has_the_default_route() -> None:
    with pytest.raises(BadRoute, match="only the hub"):
        parse_slice(make_slice("/"), PREFIX, NAMESPACE)


@given(
    st.sampled_from(
        [
            "metadata",
            "metadata.name",
            "metadata.labels",
            "metadata.annotations",
            "metadata.creationTimestamp",
            "endpoints",
            "endpoints.0",
            "endpoints.0.addresses",
            "endpoints.0.targetRef",
            "endpoints.0.targetRef.uid",
            "ports",
            "ports.0",
            "ports.0.port",
        ]
    ),
    JUNK,
)
def test_junk_is_never_worse_than_refused(path: str, junk: Any) -> None:
    try:
        parse_slice(change(make_slice("/user/ann/"), path, junk), PREFIX, NAMESPACE)
    except BadRoute:
        return


@given(st.sampled_from([ROUTESPEC, DATA]), JUNK.map(json.dumps) | st.text(max_size=20))
def test_junk_annotations_are_never_worse_than_refused(key: str, text: str) -> None:
    obj = make_slice("/user/ann/")
    obj["metadata"]["annotations"][key] = text
    try:
        parse_slice(obj, PREFIX, NAMESPACE)
    except BadRoute:
        return


@given(st.dictionaries(st.sampled_from(["metadata", "status"]), JUNK))
def test_a_junk_pod_is_never_worse_than_unknown(obj: dict[str, Any]) -> None:
    pod = parse_pod(obj)
    assert pod is None or not pod.serves("10.0.0.1")


@pytest.mark.parametrize(
    ("pod", "serves"),
    [
        (make_pod(), True),
        (make_pod(ip="10.0.0.2"), False),
        (make_pod(phase="Pending"), False),
        (make_pod(phase="Succeeded"), False),
        (make_pod(phase="Unknown"), False),
        (change(make_pod(), "status.podIPs", [{"ip": "10.0.0.9"}, {"ip": "10.0.0.1"}]), True),
        (change(make_pod(), "status", None), False),
    ],
)
def test_when_a_pod_serves_an_address(pod: dict[str, Any], serves: bool) -> None:
    parsed = parse_pod(pod)
    assert parsed is not None
    assert parsed.serves("10.0.0.1") is serves


def test_the_name_of_a_slice_is_a_name_kubernetes_takes() -> None:
    assert slice_name("jupyterhub", "/user/éva/").startswith("jupyterhub-route-")
    assert len(slice_name("jupyterhub", "/" + "x" * 900 + "/")) == len("jupyterhub-route-") + 40


def test_an_address_is_written_one_way() -> None:
    assert host_address("FD00:0:0::1") == "fd00::1"
