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
DELETE = "run `make down DELETE_DISKS=yes` (teardown_delete_disks: true; for the role cluster_delete_disks: true)"
# By this label kind knows its nodes.
LABEL = "io.x-k8s.kind.cluster"
# A client that gives up on a pod that hangs leaves an entry in the connection tracking of its node. kube-proxy would
# keep it for an hour, and a new connection from the same port of that client would lead to the same pod, dead or not.
KUBE_PROXY = {"kind": "KubeProxyConfiguration", "conntrack": {"tcpCloseWaitTimeout": "1m0s"}}
# One control plane needs no election. A leader that cannot renew its Lease ends itself: after an outage of the API
# server no pod would be scheduled until the kubelet's back-off is over. kind writes these arguments as the version of
# kubeadm's configuration wants them, as long as the patch names no version.
UNELECTED = {"extraArgs": {"leader-elect": "false"}}
CONTROL_PLANE = {"kind": "ClusterConfiguration", "scheduler": UNELECTED, "controllerManager": UNELECTED}
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
    """What is there: the containers with their states, the mark, whether the API server answers, taken ports.

    ``begun`` says that a run of this collection began to make the cluster and did not come to the end.
    """

    containers: Mapping[str, str]
    mark: Json | None = None
    uid: str = ""
    taken: Sequence[HostPort] = ()
    begun: bool = False

    @property
    def stopped(self) -> list[str]:
        """Return the containers that do not run, in order."""
        return sorted(name for name, state in self.containers.items() if state != "running")


@dataclass(frozen=True)
class Plan:
    """What to do; ``warnings`` are differences that are left as they are."""

    create: bool = False
    registry: bool = False
    warnings: tuple[str, ...] = ()


def delete_command(name: str, runtime: str) -> str:
    """Return what a user types to remove a cluster; kind itself need not be in the PATH."""
    return f"{runtime} rm --force --volumes $({runtime} ps --all --quiet --filter label={LABEL}={name})"


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
    if found.begun and found.mark is None:
        raise KindError(
            f"The kind cluster {wanted.name} was begun by an earlier run that did not come to its end: remove it with "
            "`make down` (playbooks/teardown.yml) and run again."
        )
    if found.stopped:
        raise KindError(
            f"The kind cluster {wanted.name} is not running: {', '.join(found.stopped)} stopped. Start it with "
            f"'{runtime} start {' '.join(found.stopped)}', or remove it with '{remove}' and run again."
        )
    if found.mark is None:
        raise KindError(
            f"A kind cluster {wanted.name} exists that was not made by this collection: choose another cluster_name, "
            f"or remove it with '{remove}'."
        )
    if not found.uid:
        raise KindError(
            f"The nodes of the kind cluster {wanted.name} run, but its API server does not answer: wait a minute and "
            f"run again, or remove it with '{remove}'."
        )
    return reuse(wanted, found.mark, remove)


def decide_removal(name: str, found: Found, runtime: str, delete_disks: bool) -> None:
    """Raise KindError where the cluster that is there must not be removed, or nobody can say whether it may.

    A cluster that was only begun never had a student.
    """
    if not found.containers or (found.begun and found.mark is None):
        return
    if found.mark is None:
        raise KindError(
            f"The kind cluster {name} was not made by this collection and is left alone; remove it with "
            f"'{delete_command(name, runtime)}'."
        )
    if not found.uid and not delete_disks:
        start = f"Start it with '{runtime} start {' '.join(found.stopped)}'" if found.stopped else "Wait a minute"
        raise KindError(
            f"The kind cluster {name} does not answer, so nobody can say which students have disks there. Nothing was "
            f"removed. {start} and try again; to delete it with whatever is on its disks, {DELETE}."
        )


def keep_disks(students: Sequence[str]) -> None:
    """Raise KindError when there are students with disks or snapshots."""
    if students:
        raise KindError(
            f"Students have disks or snapshots here ({len(students)}): {', '.join(students)}. Nothing was removed. To "
            f"delete their work as well, {DELETE}."
        )


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
    cluster: Json = dict(CONTROL_PLANE)
    if versions := dict(wanted.built):
        cluster["etcd"] = {"local": {"imageTag": versions["etcd"]}}
        cluster["dns"] = {"imageTag": versions["coredns"]}
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
