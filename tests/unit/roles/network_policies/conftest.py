# Copyright: campus.jupyterhub contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What NetworkPolicies allow, as far as the collection uses them: kind's own network does not enforce them."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

Policy = Mapping[str, Any]


@dataclass(frozen=True)
class End:
    """One end of a connection: a pod, or, without a namespace, an address outside the cluster."""

    address: str
    namespace: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)

    def selected(self, selector: Mapping[str, Any], labels: Mapping[str, str] | None = None) -> bool:
        """Whether a label selector takes these labels, by default those of the pod."""
        labels = self.labels if labels is None else labels
        assert set(selector) <= {"matchLabels"}, "the evaluator knows no other kind of selector"
        return all(labels.get(key) == value for key, value in selector.get("matchLabels", {}).items())

    def is_peer(self, peer: Mapping[str, Any], own_namespace: str) -> bool:
        """Whether one entry of a rule's from or to means this end."""
        if "ipBlock" in peer:
            # A plugin may or may not apply it to pods; taking it at its widest finds every hole.
            return _in_block(self.address, peer["ipBlock"])
        if not self.namespace:
            return False
        if "namespaceSelector" in peer:
            names = {"kubernetes.io/metadata.name": self.namespace}
            in_namespace = self.selected(peer["namespaceSelector"], names)
        else:
            in_namespace = self.namespace == own_namespace
        return in_namespace and self.selected(peer.get("podSelector", {}))


def _in_block(address: str, block: Mapping[str, Any]) -> bool:
    ip = ipaddress.ip_address(address)
    return ip in ipaddress.ip_network(block["cidr"]) and not any(
        ip in ipaddress.ip_network(cidr) for cidr in block.get("except", [])
    )


def _port_is_meant(rule: Mapping[str, Any], port: int, protocol: str) -> bool:
    ports = rule.get("ports") or []
    return not ports or any(
        entry.get("protocol", "TCP") == protocol and entry.get("port", port) == port for entry in ports
    )


@dataclass(frozen=True)
class Network:
    """A set of policies."""

    policies: tuple[Policy, ...]

    def allows(self, source: End, target: End, port: int, protocol: str = "TCP") -> bool:
        """Whether a connection may be opened: its source may send and its target may receive."""
        return self._end_allows(source, "Egress", target, port, protocol) and self._end_allows(
            target, "Ingress", source, port, protocol
        )

    def _end_allows(self, end: End, direction: str, other: End, port: int, protocol: str) -> bool:
        ruling = [policy for policy in self._selecting(end) if direction in policy["spec"]["policyTypes"]]
        rules = [rule for policy in ruling for rule in policy["spec"].get(direction.lower()) or []]
        key = "to" if direction == "Egress" else "from"
        meant = [rule for rule in rules if _port_is_meant(rule, port, protocol)]
        peers = [rule.get(key) or [] for rule in meant]
        return not ruling or any(
            not found or any(other.is_peer(peer, end.namespace) for peer in found) for found in peers
        )

    def _selecting(self, end: End) -> Iterable[Policy]:
        return (
            policy
            for policy in self.policies
            if policy["metadata"]["namespace"] == end.namespace and end.selected(policy["spec"]["podSelector"])
        )


@pytest.fixture(scope="session")
def network_of() -> type[Network]:
    """Network(policies): evaluates a set of policies."""
    return Network


@pytest.fixture(scope="session")
def end_of() -> type[End]:
    """End(address, namespace, labels): one end of a connection."""
    return End
