"""Routes and EndpointSlices: one can be read from the other, and what cannot be served is refused."""

from __future__ import annotations

import ipaddress
import re
from typing import Any

import pytest
from campus_hub import routes
from campus_hub.routes import Pod, RouteRefused
from hypothesis import given
from hypothesis import strategies as st

routespecs = st.one_of(
    st.text(min_size=0, max_size=300).map(lambda text: f"/{text}/"),
    st.text(alphabet="abc-.", min_size=1, max_size=60).map(lambda host: f"{host}/user/x/"),
)
data = st.dictionaries(
    st.sampled_from(["user", "server_name", "service", "extra"]), st.text(max_size=80) | st.booleans(), max_size=4
)
pods = st.builds(
    Pod,
    namespace=st.just("jupyterhub"),
    name=st.text(alphabet="abc-", min_size=1),
    uid=st.uuids().map(str),
    address=st.ip_addresses().map(str),
)


def build(routespec: str, target: str, data: dict[str, Any], pod: Pod | None) -> routes.Manifest:
    return routes.build_slice("jupyterhub", "jupyterhub", routespec, target=target, data=data, pod=pod)


@given(routespec=routespecs, data=data, pod=pods, port=st.integers(1, 65535))
def test_a_pod_s_route_comes_back_from_its_slice(routespec: str, data: dict[str, Any], pod: Pod, port: int) -> None:
    host = f"[{pod.address}]" if ":" in pod.address else pod.address
    target = f"http://{host}:{port}"

    found = routes.parse_slice(build(routespec, target, data, pod))

    assert found == {"routespec": routespec, "target": target, "data": data, "pod": pod}


@given(routespec=routespecs, data=data, port=st.integers(1, 65535))
def test_a_service_s_route_comes_back_from_its_slice(routespec: str, data: dict[str, Any], port: int) -> None:
    target = f"http://announcement.other.svc:{port}"

    found = routes.parse_slice(build(routespec, target, data, None))

    assert found == {"routespec": routespec, "target": target, "data": data, "pod": None}


@given(routespec=routespecs, pod=pods)
def test_a_slice_is_one_that_the_api_server_takes(routespec: str, pod: Pod) -> None:
    manifest = build(routespec, "http://127.0.0.1:8888", {}, pod)

    name = manifest["metadata"]["name"]
    assert re.fullmatch(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?", name)
    assert len(name) <= 63
    for value in manifest["metadata"]["labels"].values():
        assert re.fullmatch(r"[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?", value)
    assert manifest["addressType"] == f"IPv{ipaddress.ip_address(pod.address).version}"
    assert manifest["metadata"]["ownerReferences"] == [
        {"apiVersion": "v1", "kind": "Pod", "name": pod.name, "uid": pod.uid}
    ]


def test_two_routespecs_have_two_names() -> None:
    assert routes.slice_name("jupyterhub", "/user/a/") != routes.slice_name("jupyterhub", "/user/A/")


@pytest.mark.parametrize(
    ("target", "says"),
    [
        ("https://10.0.0.1:8888", "must be http://"),
        ("http://10.0.0.1:8888/prefix", "has a path"),
        ("http://10.0.0.1:8888/?a=b", "has a path"),
        ("http://:8888", "names no host"),
        ("http://10.0.0.1:notaport", "is not a URL"),
        ("http://127.0.0.1:10101", "give a Service's URL"),
        ("http://localhost:10101", "give a Service's URL"),
        ("http://[::1]:10101", "give a Service's URL"),
        ("unix:///run/x.sock", "must be http://"),
    ],
)
def test_a_target_that_cannot_work_is_refused_with_the_reason(target: str, says: str) -> None:
    with pytest.raises(RouteRefused, match=re.escape(says)):
        build("/services/x/", target, {}, None)


@pytest.mark.parametrize(
    "metadata",
    [
        {"annotations": None},
        {"annotations": {routes.ROUTESPEC: "not json", routes.DATA: "{}"}},
        {"annotations": {routes.ROUTESPEC: '"/a/"', routes.DATA: "[]"}},
        {"annotations": {routes.ROUTESPEC: '"/a/"', routes.DATA: "{}"}},
    ],
)
def test_a_foreign_slice_holds_no_route(metadata: dict[str, Any]) -> None:
    assert routes.parse_slice({"metadata": metadata, "endpoints": None, "ports": None}) is None


def test_additions_of_the_api_server_make_no_difference() -> None:
    pod = Pod("jupyterhub", "jupyter-ann", "1", "10.0.0.1")
    wanted = build("/user/ann/", "http://10.0.0.1:8888", {"user": "ann"}, pod)
    stored = build("/user/ann/", "http://10.0.0.1:8888", {"user": "ann"}, pod)
    stored["metadata"] |= {"uid": "x", "resourceVersion": "7", "generation": 1}
    stored["metadata"]["labels"]["added"] = "by someone"
    stored["endpoints"][0]["conditions"] = {"ready": True, "serving": True}

    assert routes.same_route(stored, wanted)
    assert not routes.same_route(stored, build("/user/ann/", "http://10.0.0.1:9999", {"user": "ann"}, pod))
