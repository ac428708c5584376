# Copyright: campus.jupyterhub contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The table of allowed flows, held against the policies that the roles render."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

Render = Callable[..., list[dict[str, Any]]]

TEMPLATES = [
    ("hub", "network.yml.j2"),
    ("proxy", "namespace.yml.j2"),
    ("proxy", "network.yml.j2"),
    ("snapshots", "network.yml.j2"),
    ("snapshots", "page_network.yml.j2"),
    ("snapshots", "drill_network.yml.j2"),
    ("hub_backup", "network.yml.j2"),
]
HUB, PROXY, STUDENT = "hub", "proxy", "singleuser-server"


def part(address: str, component: str, namespace: str = "jupyterhub") -> tuple[str, str, dict[str, str]]:
    return address, namespace, {"app": "jupyterhub", "component": component}


ENDS: dict[str, Any] = {
    "proxy": part("10.244.1.1", PROXY),
    "another proxy": part("10.244.2.1", PROXY),
    "hub": part("10.244.1.2", HUB),
    "student": part("10.244.1.3", STUDENT),
    "another student": part("10.244.2.3", STUDENT),
    "image puller": part("10.244.1.4", "image-puller"),
    "unknown pod": ("10.244.1.5", "jupyterhub", {}),
    "elsewhere": ("10.244.1.6", "default", {}),
    "false proxy": part("10.244.1.7", PROXY, "default"),
    "false hub": part("10.244.1.8", HUB, "default"),
    "DNS": ("10.244.0.2", "kube-system", {"k8s-app": "kube-dns"}),
    "node's DNS cache": ("169.254.20.10",),
    "API server": ("172.18.0.2",),
    "internet": ("93.184.216.34",),
    "internet by IPv6": ("2606:2800:220:1::1",),
    "private network": ("10.1.2.3",),
    "private network by IPv6": ("fd12::1",),
    "cloud metadata": ("169.254.169.254",),
    "cloud metadata by IPv6": ("fd00:ec2::254",),
    "other cloud's metadata": ("100.100.100.200",),
    "database": ("10.8.0.4",),
    "edge's proxy": part("10.244.1.10", PROXY, "jupyterhub-edge"),
    "another edge's proxy": part("10.244.2.10", PROXY, "jupyterhub-edge"),
    "edge's certificate job": part("10.244.1.11", "certificate", "jupyterhub-edge"),
    "edge's unknown pod": ("10.244.1.12", "jupyterhub-edge", {}),
    "edge's false hub": part("10.244.1.13", HUB, "jupyterhub-edge"),
    "certificate job": part("10.244.1.9", "certificate"),
    "snapshots": part("10.244.1.14", "snapshots"),
    "figures": part("10.244.1.15", "snapshots-metrics"),
    "files history": part("10.244.1.17", "files-history"),
    "reader": (
        "10.244.1.18",
        "jupyterhub",
        {"app": "jupyterhub", "component": "restore", "campus.jupyterhub/files-history": "reader"},
    ),
    "drill that records": part("10.244.1.20", "snapshots-record"),
    "drill that compares": part("10.244.1.21", "snapshots-compare"),
    "drill's reader": (
        "10.244.1.22",
        "jupyterhub",
        {"app": "jupyterhub", "component": "restore", "campus.jupyterhub/drill": "reader"},
    ),
    "restore": part("10.244.1.19", "restore"),
    "hub's backup": part("10.244.1.23", "hub-backup"),
    "Prometheus": ("10.244.1.16", "monitoring", {"app": "prometheus"}),
}

ALLOWED = [
    ("proxy", "student", 8888),
    ("proxy", "hub", 8081),
    ("hub", "student", 8888),
    ("hub", "proxy", 8002),
    ("hub", "another proxy", 8002),
    ("proxy", "another proxy", 8002),
    ("student", "hub", 8081),
    ("hub", "API server", 6443),
    ("proxy", "API server", 6443),
    ("hub", "DNS", 53),
    ("proxy", "DNS", 53),
    ("student", "DNS", 53),
    ("student", "node's DNS cache", 53),
    ("hub", "internet", 443),
    ("student", "internet", 443),
    ("student", "internet", 22),
    ("student", "internet by IPv6", 443),
    ("internet", "proxy", 8080),
    ("snapshots", "API server", 6443),
    ("snapshots", "DNS", 53),
    ("figures", "API server", 6443),
    ("figures", "DNS", 53),
    ("proxy", "files history", 8080),
    ("hub", "files history", 8080),
    ("files history", "hub", 8081),
    ("files history", "reader", 8080),
    ("files history", "API server", 6443),
    ("files history", "DNS", 53),
    ("drill that records", "API server", 6443),
    ("drill that records", "DNS", 53),
    ("drill that compares", "API server", 6443),
    ("drill that compares", "DNS", 53),
    ("hub's backup", "API server", 6443),
    ("hub's backup", "DNS", 53),
]

DENIED = [
    ("student", "another student", 8888),
    ("student", "another student", 22),
    ("student", "proxy", 8002),
    ("student", "API server", 6443),
    ("student", "API server", 443),
    ("student", "private network", 443),
    ("student", "private network by IPv6", 443),
    ("student", "cloud metadata", 80),
    ("student", "cloud metadata by IPv6", 80),
    ("student", "other cloud's metadata", 80),
    ("student", "hub", 22),
    ("student", "elsewhere", 443),
    ("student", "database", 5432),
    ("hub", "cloud metadata", 80),
    ("hub", "cloud metadata", 443),
    ("hub", "cloud metadata by IPv6", 443),
    ("hub", "internet", 80),
    ("hub", "internet", 25),
    ("hub", "database", 5432),
    ("hub", "elsewhere", 8081),
    ("hub", "student", 22),
    ("hub", "false proxy", 8002),
    ("proxy", "internet", 80),
    ("proxy", "cloud metadata", 80),
    ("proxy", "cloud metadata", 443),
    ("proxy", "student", 22),
    ("proxy", "hub", 22),
    ("proxy", "elsewhere", 8888),
    ("proxy", "database", 5432),
    ("false proxy", "student", 8888),
    ("false proxy", "hub", 8081),
    ("false proxy", "proxy", 8002),
    ("false hub", "student", 8888),
    ("false hub", "proxy", 8002),
    ("elsewhere", "student", 8888),
    ("elsewhere", "hub", 8081),
    ("elsewhere", "proxy", 8002),
    ("unknown pod", "student", 8888),
    ("unknown pod", "hub", 8081),
    ("unknown pod", "internet", 443),
    ("image puller", "internet", 443),
    ("image puller", "hub", 8081),
    ("internet", "hub", 8081),
    ("internet", "student", 8888),
    ("internet", "proxy", 8002),
    ("edge's proxy", "student", 8888),
    ("edge's proxy", "hub", 8081),
    ("snapshots", "internet", 443),
    ("snapshots", "hub", 8081),
    ("snapshots", "student", 8888),
    ("snapshots", "cloud metadata", 80),
    ("figures", "internet", 443),
    ("figures", "student", 8888),
    ("Prometheus", "figures", 8080),
    ("student", "figures", 8080),
    ("elsewhere", "figures", 8080),
    ("student", "files history", 8080),
    ("elsewhere", "files history", 8080),
    ("edge's proxy", "files history", 8080),
    ("files history", "student", 8888),
    ("files history", "restore", 8080),
    ("files history", "internet", 443),
    ("student", "reader", 8080),
    ("proxy", "reader", 8080),
    ("hub", "reader", 8080),
    ("elsewhere", "reader", 8080),
    ("reader", "files history", 8080),
    ("reader", "hub", 8081),
    ("reader", "API server", 6443),
    ("reader", "DNS", 53),
    ("reader", "internet", 443),
    ("drill that records", "internet", 443),
    ("drill that compares", "student", 8888),
    ("student", "drill that compares", 8080),
    ("drill's reader", "API server", 6443),
    ("drill's reader", "DNS", 53),
    ("drill's reader", "internet", 443),
    ("drill that compares", "drill's reader", 8080),
    ("files history", "drill's reader", 8080),
    ("student", "drill's reader", 8080),
    ("hub's backup", "internet", 443),
    ("hub's backup", "hub", 8081),
    ("hub's backup", "student", 8888),
    ("hub's backup", "cloud metadata", 80),
    ("hub's backup", "database", 5432),
    ("student", "hub's backup", 8080),
    ("hub", "hub's backup", 8080),
    ("elsewhere", "hub's backup", 8080),
]


def policies(render: Render, **options: Any) -> tuple[dict[str, Any], ...]:
    """NetworkPolicies of both roles; the same names in the same namespace would replace one another."""
    found = [item for item in render(*TEMPLATES, **options) if item["kind"] == "NetworkPolicy"]
    names = [(item["metadata"]["namespace"], item["metadata"]["name"]) for item in found]
    assert len(set(names)) == len(names)
    return tuple(found)


@pytest.fixture(scope="module")
def allows(render: Render, network_of: Any, end_of: Any) -> Callable[..., bool]:
    """allows(source, target, port, **options): whether the policies rendered with these options let it through."""

    def answer(source: str, target: str, port: int, **options: Any) -> bool:
        network = network_of(policies(render, **options))
        answers = {
            network.allows(end_of(*ENDS[source]), end_of(*ENDS[target]), port, protocol)
            for protocol in (("TCP", "UDP") if port == 53 else ("TCP",))
        }
        assert len(answers) == 1
        return bool(answers.pop())

    return answer


@pytest.mark.parametrize(("source", "target", "port"), ALLOWED)
def test_allowed(allows: Callable[..., bool], source: str, target: str, port: int) -> None:
    assert allows(source, target, port)


@pytest.mark.parametrize(("source", "target", "port"), DENIED)
def test_denied(allows: Callable[..., bool], source: str, target: str, port: int) -> None:
    assert not allows(source, target, port)


# One set of options for all of these: they do not touch each other.
CONFIGURED: dict[str, Any] = {
    "hub_student_egress": [],
    "hub_db_url": "postgresql://hub:p@db:5432/hub",
    "hub_egress": [],
    "hub_config": {"KubeSpawner": {"port": 9999}},
    # By default the API server may be anywhere.
    "hub_api_server_to": [{"ipBlock": {"cidr": "172.18.0.2/32"}}],
    "proxy_api_server_to": [{"ipBlock": {"cidr": "172.18.0.2/32"}}],
    "snapshots_api_server_to": [{"ipBlock": {"cidr": "172.18.0.2/32"}}],
    "hub_backup_api_server_to": [{"ipBlock": {"cidr": "172.18.0.2/32"}}],
    "snapshots_metrics_from": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}],
}


@pytest.mark.parametrize(
    ("source", "target", "port", "allowed"),
    [
        ("snapshots", "API server", 6443, True),
        ("snapshots", "private network", 443, False),
        ("Prometheus", "figures", 8080, True),
        ("Prometheus", "figures", 22, False),
        ("student", "figures", 8080, False),
        ("student", "internet", 443, False),
        ("student", "DNS", 53, True),
        ("student", "hub", 8081, True),
        ("hub", "database", 5432, True),
        ("hub", "database", 5433, False),
        ("hub", "elsewhere", 5432, True),
        ("hub", "cloud metadata", 5432, False),
        ("hub's backup", "database", 5432, True),
        ("hub's backup", "database", 5433, False),
        ("hub's backup", "cloud metadata", 5432, False),
        ("hub's backup", "API server", 6443, True),
        ("hub's backup", "private network", 443, False),
        ("student", "database", 5432, False),
        ("hub", "student", 9999, True),
        ("hub", "student", 8888, False),
        ("hub", "API server", 6443, True),
        ("hub", "internet", 443, False),
        ("hub", "private network", 443, False),
        ("proxy", "API server", 6443, True),
        ("proxy", "internet", 443, False),
        ("proxy", "private network", 443, False),
    ],
)
def test_the_options_open_and_close(
    allows: Callable[..., bool], source: str, target: str, port: int, allowed: bool
) -> None:
    assert allows(source, target, port, **CONFIGURED) is allowed


LETSENCRYPT: dict[str, Any] = {
    "jupyterhub_url": "https://hub.example.org/",
    "proxy_https": "letsencrypt",
    "proxy_api_server_to": [{"ipBlock": {"cidr": "172.18.0.2/32"}}],
}


@pytest.mark.parametrize(
    ("source", "target", "port", "allowed"),
    [
        ("proxy", "certificate job", 8080, True),
        ("certificate job", "proxy", 8080, True),
        ("certificate job", "internet", 443, True),
        ("certificate job", "internet by IPv6", 443, True),
        ("certificate job", "API server", 6443, True),
        ("certificate job", "DNS", 53, True),
        ("certificate job", "internet", 80, False),
        ("certificate job", "cloud metadata", 443, False),
        ("certificate job", "cloud metadata by IPv6", 443, False),
        ("certificate job", "other cloud's metadata", 443, False),
        ("certificate job", "hub", 8081, False),
        ("certificate job", "student", 8888, False),
        ("certificate job", "proxy", 8002, False),
        ("student", "certificate job", 8080, False),
        ("hub", "certificate job", 8080, False),
        ("internet", "certificate job", 8080, False),
        ("elsewhere", "certificate job", 8080, False),
    ],
)
def test_the_job_that_orders_the_certificate(
    allows: Callable[..., bool], source: str, target: str, port: int, allowed: bool
) -> None:
    assert allows(source, target, port, **LETSENCRYPT) is allowed


HOST_PORT: dict[str, Any] = {
    **LETSENCRYPT,
    "proxy_expose": "host_port",
}


@pytest.mark.parametrize(
    ("source", "target", "port", "allowed"),
    [
        ("internet", "edge's proxy", 8080, True),
        ("internet", "edge's proxy", 8443, True),
        ("internet", "edge's proxy", 8002, False),
        ("edge's proxy", "another edge's proxy", 8002, True),
        ("proxy", "edge's proxy", 8002, False),
        ("edge's proxy", "student", 8888, True),
        ("edge's proxy", "student", 22, False),
        ("edge's proxy", "hub", 8081, True),
        ("edge's proxy", "hub", 22, False),
        ("edge's proxy", "API server", 6443, True),
        ("edge's proxy", "DNS", 53, True),
        ("edge's proxy", "internet", 443, False),
        ("edge's proxy", "cloud metadata", 80, False),
        ("hub", "edge's proxy", 8002, True),
        ("hub", "edge's proxy", 8404, False),
        ("edge's proxy", "edge's certificate job", 8080, True),
        ("edge's certificate job", "edge's proxy", 8080, True),
        ("edge's certificate job", "internet", 443, True),
        ("edge's certificate job", "hub", 8081, False),
        ("edge's certificate job", "student", 8888, False),
        ("edge's unknown pod", "student", 8888, False),
        ("edge's unknown pod", "hub", 8081, False),
        ("edge's unknown pod", "internet", 443, False),
        ("edge's false hub", "student", 8888, False),
        ("edge's false hub", "edge's proxy", 8002, False),
        ("student", "edge's proxy", 8002, False),
        ("student", "edge's unknown pod", 80, False),
        ("false proxy", "student", 8888, False),
    ],
)
def test_a_proxy_in_a_namespace_of_its_own(
    allows: Callable[..., bool], source: str, target: str, port: int, allowed: bool
) -> None:
    assert allows(source, target, port, **HOST_PORT) is allowed
