"""The site that faults are done to: its parts, whether it is whole, and what runs on it."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import Any

from ansible_collections.campus.jupyterhub.plugins.module_utils._build_runtime import find_runtime
from ansible_collections.campus.jupyterhub.plugins.module_utils._smoke_test_client import Refused
from ansible_collections.campus.jupyterhub.tests.cluster.support import (
    HUB,
    POSTGRES,
    ROUTES,
    SERVER,
    SERVING_HUB,
    STUDENTS,
    USERNAME,
    Kube,
    Site,
    Student,
    ready,
    wait_until,
)
from ansible_collections.campus.jupyterhub.tests.faults.checker import State
from ansible_collections.campus.jupyterhub.tests.faults.clients import Clients
from ansible_collections.campus.jupyterhub.tests.faults.newcomer import Newcomer
from ansible_collections.campus.jupyterhub.tests.faults.nodes import ControlPlane, Node, Task
from kubernetes import client
from kubernetes.client.exceptions import ApiException
from urllib3.exceptions import HTTPError

APP = "app=jupyterhub"
PROXY = "app=jupyterhub,component=proxy"
CONTROL_PLANE = "node-role.kubernetes.io/control-plane"
NEWCOMER = "newcomer"
ADMIN = "admin"
DATA = "campus.jupyterhub/data"
WHOLE_SECONDS = 300.0
AWAY = (ApiException, HTTPError, OSError)
"""What an API server that is away makes the client raise."""


class World:
    """A site, its cluster, and the students who are always at work on it.

    Attributes:
        kube: the site's Kubernetes.
        namespace: where the hub and the proxy are.
        clients: the students at work.
        control_plane: the node of the API server.
        newcomer: a student without a server, who starts one while something is broken.
        hubs: how many hubs there should be, the standby among them.
    """

    def __init__(self, site: Site, kube: Kube, clients: Clients, log_in: Callable[[str], Student]) -> None:
        self.kube = kube
        self.namespace = site.namespace
        self.clients = clients
        self._log_in = log_in
        self._runtime = find_runtime("auto", site.folder)
        (name,) = [node.metadata.name for node in kube.core.list_node(label_selector=CONTROL_PLANE).items]
        self.control_plane = ControlPlane(self.node(name))
        self._replicas: list[Any] = []
        self.newcomer = Newcomer(log_in(NEWCOMER))
        self.hubs: int = kube.apps.read_namespaced_deployment("hub", self.namespace).spec.replicas
        self._admin = log_in(ADMIN)

    def log_in_again(self) -> None:
        """Log everybody in once more, as people do when the hub does not know them."""
        self.newcomer.student = self._log_in(NEWCOMER)
        self._admin = self._log_in(ADMIN)
        for desk in self.clients.desks.values():
            desk.token = self._log_in(desk.name).token

    def newcomers(self, *names: str) -> list[Newcomer]:
        """More students without a server."""
        return [Newcomer(self._log_in(name)) for name in names]

    def node(self, name: str) -> Node:
        """A node by its name."""
        return Node(self._runtime, name)

    # Pods and their processes

    def replicas(self) -> list[Any]:
        """The pods of the proxy that are not on their way out; as last seen while the API server is away."""
        try:
            self._replicas = [pod for pod in self.kube.pods(PROXY) if pod.metadata.deletion_timestamp is None]
        except AWAY:
            assert self._replicas, "the replicas were never seen"
        return self._replicas

    def busiest(self) -> Any:
        """The replica with the most open connections, which is the one whose loss is noticed."""
        return max(self.replicas(), key=lambda replica: self.haproxy(replica).connections())

    def haproxy(self, replica: Any) -> Task:
        """The HAProxy of a replica; waits for one that is being started."""
        return self._task(replica, "haproxy")

    def agent(self, replica: Any) -> Task:
        """The routes agent of a replica."""
        return self._task(replica, "agent")

    def hub(self) -> Task:
        """The process of the hub that serves."""
        (pod,) = wait_until("a hub serves", lambda: self.running(SERVING_HUB), WHOLE_SECONDS)
        return self._task(pod, "hub")

    def every_hub(self) -> list[Task]:
        """The processes of the hub and its standby."""
        pods = wait_until("every hub runs", self._hubs, WHOLE_SECONDS)
        return [self._task(pod, "hub") for pod in pods]

    def _hubs(self) -> list[Any]:
        found = self.running(HUB)
        return found if len(found) == self.hubs else []

    def database(self) -> Task:
        """The process of PostgreSQL."""
        (pod,) = wait_until("PostgreSQL runs", lambda: self.running(POSTGRES), WHOLE_SECONDS)
        return self._task(pod, "postgres")

    def running(self, selector: str) -> list[Any]:
        """The pods that run and are ready."""
        return [pod for pod in self.kube.pods(selector) if pod.status.phase == "Running" and ready(pod)]

    def _task(self, pod: Any, container: str) -> Task:
        node = self.node(pod.spec.node_name)
        task = wait_until(f"{container} runs", lambda: node.task(pod.metadata.uid, container), 60)
        assert task is not None
        return task

    def scale(self, deployment: str, replicas: int) -> None:
        """Ask for that many pods."""
        self.kube.apps.patch_namespaced_deployment_scale(deployment, self.namespace, {"spec": {"replicas": replicas}})

    def evict(self, pod: Any) -> None:
        """Ask the API server to evict a pod, as a drain does, until the disruption budget lets it go."""
        metadata = client.V1ObjectMeta(name=pod.metadata.name, namespace=pod.metadata.namespace)
        body = client.V1Eviction(metadata=metadata)

        def evicted() -> bool:
            try:
                self.kube.core.create_namespaced_pod_eviction(pod.metadata.name, pod.metadata.namespace, body)
            except ApiException as error:
                return bool(error.status == HTTPStatus.NOT_FOUND)
            except AWAY:
                return False
            return True

        wait_until(f"{pod.metadata.name} may be evicted", evicted, WHOLE_SECONDS)

    def drain(self, name: str) -> None:
        """Cordon a node and evict every pod that a node's own DaemonSets do not keep there."""
        self.kube.core.patch_node(name, {"spec": {"unschedulable": True}})
        for pod in self._movable(name):
            self.evict(pod)
        wait_until(f"{name} is empty", lambda: not self._movable(name), WHOLE_SECONDS)

    def _movable(self, name: str) -> list[Any]:
        found = self.kube.core.list_pod_for_all_namespaces(field_selector=f"spec.nodeName={name}").items
        return [
            pod for pod in found if not any(owner.kind == "DaemonSet" for owner in pod.metadata.owner_references or [])
        ]

    # Whole again?

    def _deployments(self) -> list[Any]:
        own: list[Any] = self.kube.apps.list_namespaced_deployment(self.namespace).items
        dns: list[Any] = self.kube.apps.list_namespaced_deployment(
            "kube-system", label_selector="k8s-app=kube-dns"
        ).items
        return own + dns

    def is_whole(self) -> bool:
        """Whether all nodes are ready, everything runs in full number, and nothing is on its way out."""
        try:
            nodes = self.kube.core.list_node().items
            leaving = [pod for pod in self.kube.pods(APP) if pod.metadata.deletion_timestamp]
            return all(map(usable, nodes)) and all(map(complete, self._deployments())) and not leaving
        except AWAY:
            return False

    def settle(self) -> None:
        """Wait until the site is whole and every student is answered and listens again."""
        wait_until("the site is whole again", self.is_whole, WHOLE_SECONDS)
        wait_until("every websocket is open", self.clients.listening, WHOLE_SECONDS)

    # What runs

    def state(self) -> State:
        """Running servers by their pods, by the hub, by the routes and by each replica. Raises AWAY and Refused."""
        pods = [pod for pod in self.kube.pods(STUDENTS) if ready(pod)]
        users = self._admin.ask("GET", "hub/api/users").json()
        servers = [
            f"{user['name']}/{name}"
            for user in users
            for name, server in (user.get("servers") or {}).items()
            if server["ready"]
        ]
        slices = self.kube.discovery.list_namespaced_endpoint_slice(self.namespace, label_selector=ROUTES).items
        return State(
            pods=frozenset(
                f"{pod.metadata.annotations[USERNAME]}/{pod.metadata.annotations.get(SERVER) or ''}" for pod in pods
            ),
            servers=frozenset(servers),
            routes=servers_of(json.loads(each.metadata.annotations[DATA]) for each in slices),
            replicas={pod.metadata.name: self._served_by(pod) for pod in self.replicas()},
        )

    def _served_by(self, replica: Any) -> frozenset[str]:
        """The servers that a replica has routes to; asked from its own node, so past every Service."""
        url = f"http://{replica.status.pod_ip}:8002/routes"
        answer = json.loads(self.node(replica.spec.node_name).sh('curl -sSf -m 10 "$0"', url))
        return servers_of(route["data"] for route in answer["routes"] if route["served"])

    def difference(self, seconds: float) -> list[str]:
        """What is still not the same everywhere after so many seconds."""
        found = ["not asked yet"]

        def same() -> bool:
            nonlocal found
            try:
                found = self.state().differences()
            except (*AWAY, Refused, client.OpenApiException) as error:
                found = [f"the state cannot be read: {error}"]
            return not found

        with contextlib.suppress(AssertionError):
            wait_until("the same everywhere", same, seconds)
        return found

    def disks(self) -> dict[str, str]:
        """Names and uids of the students' disks."""
        claims = self.kube.core.list_namespaced_persistent_volume_claim(self.namespace).items
        return {claim.metadata.name: claim.metadata.uid for claim in claims if not claim.metadata.deletion_timestamp}


def servers_of(data: Iterable[dict[str, Any] | None]) -> frozenset[str]:
    """The servers that routes with such data lead to."""
    return frozenset(f"{each['user']}/{each.get('server_name', '')}" for each in data if each and "user" in each)


def usable(node: Any) -> bool:
    """Whether a node is ready and takes pods."""
    conditions = {each.type: each.status for each in node.status.conditions}
    return conditions.get("Ready") == "True" and not node.spec.unschedulable


def complete(deployment: Any) -> bool:
    """Whether a Deployment has all its replicas, of its newest template, and ready."""
    wanted, status = deployment.spec.replicas, deployment.status
    newest = status.observed_generation == deployment.metadata.generation
    counts = (status.replicas or 0, status.updated_replicas or 0, status.ready_replicas or 0)
    return newest and counts == (wanted, wanted, wanted)
