"""The hub writes what the agent reads."""

from __future__ import annotations

from typing import Any

import pytest
from campus_hub.routes import Pod, build_slice
from campus_proxy.routes import parse_slice, selector

POD = Pod("campus", "jupyter-ann", "uid-1", "10.244.1.3")
POD6 = Pod("campus", "jupyter-ann", "uid-1", "fd00::3")


@pytest.mark.parametrize(
    ("routespec", "target", "data", "pod", "route"),
    [
        ("/user/ann/", "http://10.244.1.3:8888", {"user": "ann"}, POD, ("/user/ann/", "10.244.1.3", 8888)),
        ("/user/ann/lab/", "http://10.244.1.3:9999", {"user": "ann"}, POD, ("/user/ann/lab/", "10.244.1.3", 9999)),
        ("/user/a%40b/", "http://[fd00::3]:8888", {"user": "a@b"}, POD6, ("/user/a@b/", "fd00::3", 8888)),
        ("h.example.org/user/a/", "http://10.244.1.3:8888", {}, POD, ("h.example.org/user/a/", "10.244.1.3", 8888)),
        ("/services/x/", "http://x.tools.svc:80/", {"service": "x"}, None, ("/services/x/", "x.tools.svc", 80)),
    ],
)
def test_a_route_arrives(
    routespec: str, target: str, data: dict[str, Any], pod: Pod | None, route: tuple[str, str, int]
) -> None:
    manifest = build_slice("hub", "campus", routespec, target=target, data=data, pod=pod)
    read = parse_slice(manifest, "hub", "campus")
    assert (read.key, read.host, read.port) == route
    assert read.pod_uid == (pod.uid if pod else "")
    assert dict(read.data) == data


def test_the_agent_selects_what_the_hub_labels() -> None:
    manifest = build_slice("hub", "campus", "/user/ann/", target="http://10.244.1.3:8888", data={}, pod=POD)
    wanted = dict(term.split("=") for term in selector("hub").split(","))
    assert wanted.items() <= manifest["metadata"]["labels"].items()
