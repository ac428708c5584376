# Copyright: campus.jupyterhub contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a kind cluster should be, what was found, and what follows from both. Pure.

Private to the collection: it may change in any release.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

Json = dict[str, Any]

# Written into the control plane's container when the cluster is complete; says who made it, and how.
MARK = "/kind/campus.jupyterhub.json"
# A client that gives up on a pod that hangs leaves an entry in the connection tracking of its node. kube-proxy would
# keep it for an hour, and a new connection from the same port of that client would lead to the same pod, dead or not.
KUBE_PROXY = {"kind": "KubeProxyConfiguration", "conntrack": {"tcpCloseWaitTimeout": "1m0s"}}
# Podman's containers may not raise limits that the machine itself forbids; kubelet then has to be told.
KUBELET = {"kind": "KubeletConfiguration", "failCgroupV1": False, "cgroupDriver": "systemd"}


class KindError(Exception):
    """What went wrong with the kind cluster, in one sentence that says what to do."""


@dataclass(frozen=True)
class HostPort:
    """A port of this machine that leads to a port of the nodes."""

    address: str
    host: int
    node: int


@dataclass(frozen=True)
class Wanted:
    """The cluster that is asked for; ``built`` maps components to versions where the node image was built here."""

    name: str
    workers: int
    image: str
    host_ports: tuple[HostPort, ...]
    registry_port: int
    built: tuple[tuple[str, str], ...] = ()
    limited: bool = False

    def mark(self) -> Json:
        """Return what is remembered of it."""
        return {
            "workers": self.workers,
            "image": self.image,
            "host_ports": [asdict(port) for port in self.host_ports],
            "registry_port": self.registry_port,
        }


@dataclass(frozen=True)
class Found:
    """What is there: the containers with their states, the mark, whether the API server answers, taken ports."""

    containers: Mapping[str, str]
    mark: Json | None = None
    uid: str = ""
    taken: Sequence[HostPort] = ()


@dataclass(frozen=True)
class Plan:
    """What to do; ``warnings`` are differences that are left as they are."""

    create: bool = False
    registry: bool = False
    warnings: tuple[str, ...] = ()


def delete_command(name: str, runtime: str) -> str:
    """Return what a user types to remove a cluster."""
    return f"KIND_EXPERIMENTAL_PROVIDER={runtime} kind delete cluster --name {name}"


def decide(wanted: Wanted, found: Found, runtime: str) -> Plan:
    """Return what to do; raises KindError where the cluster that is there must not be touched."""
    remove = delete_command(wanted.name, runtime)
    if not found.containers:
        if found.taken:
            port = found.taken[0]
            raise KindError(
                f"Port {port.host} of {port.address} is taken by another program: stop it, or choose another port in "
                "cluster_host_ports."
            )
        return Plan(create=True, registry=bool(wanted.registry_port))
    stopped = sorted(name for name, state in found.containers.items() if state != "running")
    if stopped:
        raise KindError(
            f"The kind cluster {wanted.name} is not running: {', '.join(stopped)} stopped. Start it with "
            f"'{runtime} start {' '.join(stopped)}', or remove it with '{remove}' and run again."
        )
    if found.mark is None:
        raise KindError(
            f"A kind cluster {wanted.name} exists that was not made, or not finished, by this collection: choose "
            f"another cluster_name, or remove it with '{remove}'."
        )
    if not found.uid:
        raise KindError(
            f"The nodes of the kind cluster {wanted.name} run, but its API server does not answer: wait a minute and "
            f"run again, or remove it with '{remove}'."
        )
    return reuse(wanted, found.mark, remove)


def reuse(wanted: Wanted, mark: Json, remove: str) -> Plan:
    """Return what has to follow for a cluster that was made before; raises KindError where it cannot be changed."""
    now = wanted.mark()
    for key, option in (("workers", "cluster_workers"), ("host_ports", "cluster_host_ports")):
        if mark.get(key) != now[key]:
            raise KindError(
                f"The kind cluster {wanted.name} was made with {option} {plain(mark.get(key))}, not "
                f"{plain(now[key])}, which cannot be changed later: set it back, or remove the cluster with "
                f"'{remove}' and run again."
            )
    warnings = []
    if wanted.image and mark.get("image") != wanted.image:
        warnings.append(
            f"The nodes of {wanted.name} were made from {mark.get('image')}; a new cluster would be made from "
            f"{wanted.image}."
        )
    return Plan(registry=mark.get("registry_port") != wanted.registry_port, warnings=tuple(warnings))


def plain(value: Any) -> str:
    """Return a remembered option as people write it."""
    if isinstance(value, list):
        return ", ".join(f"{port['address']}:{port['host']}→{port['node']}" for port in value) or "none"
    return str(value)


def config(wanted: Wanted) -> Json:
    """Return kind's configuration file."""
    ports = [
        {"containerPort": port.node, "hostPort": port.host, "listenAddress": port.address, "protocol": "TCP"}
        for port in wanted.host_ports
    ]
    control_plane = {"role": "control-plane", "image": wanted.image, "extraPortMappings": ports}
    workers = [{"role": "worker", "image": wanted.image} for _number in range(wanted.workers)]
    return {
        "kind": "Cluster",
        "apiVersion": "kind.x-k8s.io/v1alpha4",
        "name": wanted.name,
        "nodes": [control_plane, *workers],
        "kubeadmConfigPatches": [json.dumps(patch) for patch in patches(wanted)],
    }


def patches(wanted: Wanted) -> list[Json]:
    """Return the changes to kubeadm's configuration."""
    kubelet = dict(KUBELET)
    if wanted.limited:
        kubelet["featureGates"] = {"KubeletInUserNamespace": True}
    versions = dict(wanted.built)
    if not versions:
        return [kubelet, KUBE_PROXY]
    etcd = {"local": {"imageTag": versions["etcd"]}}
    cluster = {"kind": "ClusterConfiguration", "etcd": etcd, "dns": {"imageTag": versions["coredns"]}}
    return [cluster, kubelet, KUBE_PROXY]


def registry_hosts(container: str) -> str:
    """Return how containerd reaches the local registry from a node."""
    return f'[host."http://{container}:5000"]\n'


def registry_hosting(port: int) -> Json:
    """Return the object by which a cluster tells tools about its local registry."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "local-registry-hosting", "namespace": "kube-public"},
        "data": {"localRegistryHosting.v1": f'host: "localhost:{port}"\n'},
    }
