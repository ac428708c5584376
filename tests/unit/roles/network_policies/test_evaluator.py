# Copyright: campus.jupyterhub contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The evaluator itself, on the examples of Kubernetes' documentation."""

from __future__ import annotations

from typing import Any

import pytest

DB = {"role": "db"}
FRONTEND = {"role": "frontend"}


def policy(**spec: Any) -> dict[str, Any]:
    return {"metadata": {"namespace": "default"}, "spec": {"podSelector": {"matchLabels": DB}, **spec}}


# https://kubernetes.io/docs/concepts/services-networking/network-policies/#networkpolicy-resource
DOCUMENTED = policy(
    policyTypes=["Ingress", "Egress"],
    ingress=[
        {
            "from": [
                {"ipBlock": {"cidr": "172.17.0.0/16", "except": ["172.17.1.0/24"]}},
                {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "myproject"}}},
                {"podSelector": {"matchLabels": FRONTEND}},
            ],
            "ports": [{"protocol": "TCP", "port": 6379}],
        }
    ],
    egress=[{"to": [{"ipBlock": {"cidr": "10.0.0.0/24"}}], "ports": [{"protocol": "TCP", "port": 5978}]}],
)


@pytest.mark.parametrize(
    ("source", "port", "allowed"),
    [
        (("172.17.0.9", "", {}), (6379, "TCP"), True),
        (("172.17.1.9", "", {}), (6379, "TCP"), False),
        (("9.9.9.9", "myproject", {}), (6379, "TCP"), True),
        (("9.9.9.9", "default", FRONTEND), (6379, "TCP"), True),
        (("9.9.9.9", "default", {}), (6379, "TCP"), False),
        (("9.9.9.9", "other", FRONTEND), (6379, "TCP"), False),
        (("9.9.9.9", "default", FRONTEND), (6380, "TCP"), False),
        (("9.9.9.9", "default", FRONTEND), (6379, "UDP"), False),
    ],
)
def test_ingress(network_of: Any, end_of: Any, source: Any, port: tuple[int, str], allowed: bool) -> None:
    network, database = network_of((DOCUMENTED,)), end_of("9.0.0.1", "default", DB)
    assert network.allows(end_of(*source), database, *port) is allowed


@pytest.mark.parametrize(("address", "port", "allowed"), [("10.0.0.7", 5978, True), ("10.0.1.7", 5978, False)])
def test_egress(network_of: Any, end_of: Any, address: str, port: int, allowed: bool) -> None:
    assert network_of((DOCUMENTED,)).allows(end_of("9.0.0.1", "default", DB), end_of(address), port) is allowed


def test_a_pod_without_a_policy_is_open(network_of: Any, end_of: Any) -> None:
    assert network_of((DOCUMENTED,)).allows(end_of("1.1.1.1"), end_of("9.0.0.2", "default", {"role": "web"}), 80)


def test_a_policy_without_rules_forbids_its_direction_alone(network_of: Any, end_of: Any) -> None:
    closed = network_of((policy(policyTypes=["Ingress"]),))
    pod = end_of("9.0.0.1", "default", DB)
    assert not closed.allows(end_of("1.1.1.1"), pod, 80)
    assert closed.allows(pod, end_of("1.1.1.1"), 80)


def test_both_ends_have_to_allow(network_of: Any, end_of: Any) -> None:
    receives = policy(policyTypes=["Ingress"], ingress=[{}])
    sends = {"metadata": {"namespace": "default"}, "spec": {"podSelector": {}, "policyTypes": ["Egress"]}}
    web, database = end_of("9.0.0.2", "default", {}), end_of("9.0.0.1", "default", DB)
    assert network_of((receives,)).allows(web, database, 80)
    assert not network_of((receives, sends)).allows(web, database, 80)


def test_policies_add_up(network_of: Any, end_of: Any) -> None:
    closed, opened = policy(policyTypes=["Ingress"]), policy(policyTypes=["Ingress"], ingress=[{}])
    assert network_of((closed, opened)).allows(end_of("1.1.1.1"), end_of("9.0.0.1", "default", DB), 80)


def test_selectors_in_one_peer_have_to_match_both(network_of: Any, end_of: Any) -> None:
    peer = {
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "other"}},
        "podSelector": {"matchLabels": FRONTEND},
    }
    network = network_of((policy(policyTypes=["Ingress"], ingress=[{"from": [peer]}]),))
    database = end_of("9.0.0.1", "default", DB)
    assert network.allows(end_of("9.0.0.2", "other", FRONTEND), database, 80)
    assert not network.allows(end_of("9.0.0.2", "other", {}), database, 80)
    assert not network.allows(end_of("9.0.0.2", "default", FRONTEND), database, 80)
