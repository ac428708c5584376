# Copyright: campus.jupyterhub contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What is made so that people reach the Service, besides the Service."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

Render = Callable[..., list[dict[str, Any]]]

EXPOSE = ("proxy", "expose.yml.j2")
WORKLOADS = ("proxy", "workloads.yml.j2")
SITE = {"jupyterhub_url": "https://hub.example.org/jupyter/", "proxy_trusted_networks": ["10.244.0.0/16"]}


def rendered(render: Render, **options: Any) -> dict[str, Any]:
    """The one object that comes out, its Service being one that it can send to."""
    service, *_unused = render(WORKLOADS, EXPOSE, **options)
    (found,) = [
        item
        for item in render(WORKLOADS, EXPOSE, **options)
        if item["kind"] in ("Ingress", "HTTPRoute", "Route") and item["metadata"]["name"] == "proxy"
    ]
    assert service["metadata"]["name"] == "proxy-public"
    assert service["spec"]["type"] == "ClusterIP"
    assert found["metadata"]["namespace"] == service["metadata"]["namespace"]
    labels = {"app": "jupyterhub", "component": "proxy", "app.kubernetes.io/managed-by": "campus.jupyterhub"}
    assert found["metadata"]["labels"] == labels
    return found


def test_nothing_is_made_by_default(render: Render) -> None:
    assert render(EXPOSE) == []


def test_an_ingress(render: Render) -> None:
    options = {"proxy_ingress_class": "nginx", "proxy_ingress_tls_secret": "site-tls"}
    found = rendered(render, proxy_expose="ingress", proxy_expose_annotations={"a/b": "c"}, **SITE, **options)
    assert found["metadata"]["annotations"] == {"a/b": "c"}
    path = {
        "path": "/jupyter/",
        "pathType": "Prefix",
        "backend": {"service": {"name": "proxy-public", "port": {"name": "http"}}},
    }
    assert found["spec"] == {
        "ingressClassName": "nginx",
        "tls": [{"hosts": ["hub.example.org"], "secretName": "site-tls"}],
        "rules": [{"host": "hub.example.org", "http": {"paths": [path]}}],
    }


def test_an_ingress_of_http(render: Render) -> None:
    spec = rendered(render, proxy_expose="ingress", jupyterhub_url="http://hub.example.org")["spec"]
    assert set(spec) == {"rules"}
    assert spec["rules"][0]["http"]["paths"][0]["path"] == "/"


def test_an_http_route(render: Render) -> None:
    options = {"proxy_gateway_name": "campus", "proxy_gateway_namespace": "gateways", "proxy_gateway_listener": "https"}
    found = rendered(render, proxy_expose="gateway", **SITE, **options)
    assert found["apiVersion"] == "gateway.networking.k8s.io/v1"
    rule = {
        "matches": [{"path": {"type": "PathPrefix", "value": "/jupyter/"}}],
        "timeouts": {"request": "0s"},
        "backendRefs": [{"name": "proxy-public", "port": 80}],
    }
    assert found["spec"] == {
        "parentRefs": [{"name": "campus", "namespace": "gateways", "sectionName": "https"}],
        "hostnames": ["hub.example.org"],
        "rules": [rule],
    }


OWN_HOSTS = {**SITE, "hub_subdomain_host": "https://hub.example.org"}
NAMES = ["hub.example.org", "*.hub.example.org"]


def test_an_ingress_where_students_have_hosts_of_their_own(render: Render) -> None:
    spec = rendered(render, proxy_expose="ingress", proxy_ingress_tls_secret="site-tls", **OWN_HOSTS)["spec"]
    assert spec["tls"] == [{"hosts": NAMES, "secretName": "site-tls"}]
    assert [rule["host"] for rule in spec["rules"]] == NAMES
    assert spec["rules"][0]["http"] == spec["rules"][1]["http"]


def test_an_http_route_where_students_have_hosts_of_their_own(render: Render) -> None:
    assert (
        rendered(render, proxy_expose="gateway", proxy_gateway_name="campus", **OWN_HOSTS)["spec"]["hostnames"] == NAMES
    )


def test_openshift_routes_where_students_have_hosts_of_their_own(render: Render) -> None:
    hub, students = render(EXPOSE, proxy_expose="openshift_route", **OWN_HOSTS)
    assert (hub["metadata"]["name"], students["metadata"]["name"]) == ("proxy", "proxy-students")
    assert (hub["spec"]["host"], hub["spec"]["wildcardPolicy"]) == ("hub.example.org", "None")
    # What a router takes for "all names below hub.example.org"; a path it would refuse.
    assert (students["spec"]["host"], students["spec"]["wildcardPolicy"]) == ("students.hub.example.org", "Subdomain")
    assert "path" not in students["spec"]
    own = {"host": "", "path": "", "wildcardPolicy": ""}
    assert {**hub["spec"], **own} == {**students["spec"], **own}
    assert hub["metadata"]["annotations"] == students["metadata"]["annotations"]


ROUTE = {
    "host": "hub.example.org",
    "to": {"kind": "Service", "name": "proxy-public", "weight": 100},
    "wildcardPolicy": "None",
}
TIMES = {"haproxy.router.openshift.io/timeout": "1h", "haproxy.router.openshift.io/timeout-tunnel": "24h"}


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (
            SITE,
            {
                "path": "/jupyter/",
                "port": {"targetPort": "http"},
                "tls": {"termination": "edge", "insecureEdgeTerminationPolicy": "Redirect"},
            },
        ),
        ({"jupyterhub_url": "http://hub.example.org/"}, {"port": {"targetPort": "http"}}),
        (
            {**SITE, "proxy_https": "secret", "proxy_https_secret": "site-tls"},
            {
                "port": {"targetPort": "https"},
                "tls": {"termination": "passthrough", "insecureEdgeTerminationPolicy": "Redirect"},
            },
        ),
    ],
)
def test_an_openshift_route(render: Render, options: dict[str, Any], expected: dict[str, Any]) -> None:
    found = rendered(render, proxy_expose="openshift_route", proxy_expose_annotations={"a/b": "c"}, **options)
    assert found["apiVersion"] == "route.openshift.io/v1"
    assert found["spec"] == {**ROUTE, **expected}
    assert found["metadata"]["annotations"] == {**TIMES, "a/b": "c"}
