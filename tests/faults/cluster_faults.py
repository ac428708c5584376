"""What can happen to Kubernetes itself: its API server, its name server, its nodes."""

from __future__ import annotations

from ansible_collections.campus.jupyterhub.tests.cluster.support import (
    POSTGRES,
    SERVING_HUB,
    STUDENTS,
    USERNAME,
    wait_until,
)
from ansible_collections.campus.jupyterhub.tests.faults.fault import Fault
from ansible_collections.campus.jupyterhub.tests.faults.newcomer import Newcomer
from ansible_collections.campus.jupyterhub.tests.faults.nodes import Node
from ansible_collections.campus.jupyterhub.tests.faults.proxy_faults import RECONNECTS, WEBSOCKETS
from ansible_collections.campus.jupyterhub.tests.faults.records import NOTHING, Limit, Measure
from ansible_collections.campus.jupyterhub.tests.faults.world import AWAY, WHOLE_SECONDS, World

DNS = ("coredns", "kube-system")
NAME_SERVERS = "k8s-app=kube-dns"


class Calm(Fault):
    """Nothing at all: what the clients see when all is well."""

    name = "nothing"
    done = "the site left alone"


class ApiServerStopped(Fault):
    """The API server is stopped, and still away when the next fault comes."""

    name = "API server stopped"
    stays = True

    def __init__(self, keep: float) -> None:
        super().__init__(keep)
        self.done = f"the API server stopped for {keep:g} s"

    def inject(self, world: World) -> None:
        # While the API server is away nobody can be asked for them.
        world.replicas()
        world.control_plane.stop_api_server()
        wait_until("the API server is gone", lambda: not answers(world), 60)

    def heal(self, world: World) -> None:
        world.control_plane.start_api_server()


class ReplicaKilledMeanwhile(Fault):
    """A replica is killed while it could not ask anyone for its routes; then the API server comes back."""

    name = "replica killed, API server down"
    done = "kill -9 of one HAProxy, still no API server; then it comes back and a student starts"
    limits = (Limit(Measure.OUTAGE, 45, 3), *RECONNECTS, Limit(Measure.SPAWN, 300, 30), Limit(Measure.WRONG, 0))

    def inject(self, world: World) -> None:
        world.haproxy(world.busiest()).signal("SIGKILL")

    def after(self, world: World) -> None:
        wait_until("the API server answers", lambda: answers(world), WHOLE_SECONDS)
        self.measured[Measure.SPAWN] = world.newcomer.start()
        self.note_wrong(world.newcomer.wrong_answers())
        world.newcomer.stop()


def answers(world: World) -> bool:
    """Whether the API server answers."""
    try:
        world.kube.core.read_namespace(world.namespace, _request_timeout=5)
    except AWAY:
        return False
    return True


class NamesGone(Fault):
    """No name server answers, while a student starts a server."""

    name = "CoreDNS scaled to 0"
    limits = (*NOTHING, Limit(Measure.SPAWN, 300, 30), Limit(Measure.WRONG, 0))

    def __init__(self, keep: float) -> None:
        super().__init__(keep)
        self.done = f"no name server for {keep:g} s; a student starts a server"
        self._replicas = 0

    def inject(self, world: World) -> None:
        self._replicas = world.kube.apps.read_namespaced_deployment_scale(*DNS).spec.replicas
        self._scale(world, 0)
        wait_until("no name server runs", lambda: not world.kube.pods(NAME_SERVERS, DNS[1]), WHOLE_SECONDS)

    def during(self, world: World) -> None:
        self.measured[Measure.SPAWN] = world.newcomer.start()
        self.note_wrong(world.newcomer.wrong_answers())

    def heal(self, world: World) -> None:
        if self._replicas:
            self._scale(world, self._replicas)
        world.newcomer.stop()

    @staticmethod
    def _scale(world: World, replicas: int) -> None:
        world.kube.apps.patch_namespaced_deployment_scale(*DNS, {"spec": {"replicas": replicas}})


class NodeLost(Fault):
    """A worker with a replica freezes without a word; its own students lose their servers for the time."""

    name = "worker with a replica lost"
    # So long do nodes remember connections to it that were given up.
    lingers = 75.0
    limits = (
        Limit(Measure.OUTAGE, 240, 10),
        Limit(Measure.SHARE, None, 0.5),
        Limit(Measure.DROPPED, 2 * WEBSOCKETS, WEBSOCKETS),
        Limit(Measure.RECONNECT, 150, 10),
        Limit(Measure.SILENCE, None, 10),
    )

    def __init__(self, keep: float) -> None:
        super().__init__(keep)
        self.done = f"every process of a worker frozen for {keep:g} s"
        self._node: Node | None = None

    def inject(self, world: World) -> None:
        at_work = {
            pod.metadata.annotations[USERNAME]: pod.spec.node_name
            for pod in world.kube.pods(STUDENTS)
            if pod.metadata.annotations[USERNAME] in world.clients.desks
        }
        nodes = {replica.spec.node_name for replica in world.replicas()}
        hubs = {pod.spec.node_name for pod in world.kube.pods(SERVING_HUB)}
        crowd = list(at_work.values())

        def cost(node: str) -> tuple[bool, bool, int]:
            """Rather one that leaves somebody to look, then one without the hub, then the one with fewer students."""
            return crowd.count(node) == len(crowd), node in hubs, crowd.count(node)

        lost = min(sorted(nodes), key=cost)
        self.excused = frozenset(student for student, node in at_work.items() if node == lost)
        assert len(self.excused) < len(at_work), "every student works on this node, so nothing can be seen"
        self._node = world.node(lost)
        self._node.pause()

    def heal(self, world: World) -> None:
        if self._node:
            self._node.unpause()


class WorkerRemoved(Fault):
    """A worker is drained and removed for good; its own students went home before, their disks go with it.

    The cluster is smaller afterwards, so this comes last.
    """

    name = "worker removed"
    done = "node drained, deleted from Kubernetes and its container stopped for good; then a student starts a server"
    limits = (
        Limit(Measure.FAILED, 0),
        *RECONNECTS,
        Limit(Measure.SPAWN, 300, 30),
        Limit(Measure.WRONG, 0),
    )

    def __init__(self) -> None:
        super().__init__(0)
        self._stranger: Newcomer | None = None

    def inject(self, world: World) -> None:
        (database,) = world.running(POSTGRES)
        at_work = [
            pod for pod in world.kube.pods(STUDENTS) if pod.metadata.annotations[USERNAME] in world.clients.desks
        ]
        name = next(
            replica.spec.node_name for replica in world.replicas() if replica.spec.node_name != database.spec.node_name
        )
        self.excused = frozenset(pod.metadata.annotations[USERNAME] for pod in at_work if pod.spec.node_name == name)
        assert len(self.excused) < len(at_work), "every student works on this node, so nothing can be seen"
        world.clients.send_home(self.excused)
        wait_until("its students went home", lambda: not self.excused & world.clients.at_work(), 60)
        world.drain(name)
        world.kube.core.delete_node(name)
        world.node(name).stop()
        wait_until("the rest is whole", world.is_whole, WHOLE_SECONDS)

    def during(self, world: World) -> None:
        # The disk of any other may be on the worker that is gone.
        (self._stranger,) = world.newcomers("stranger")
        self.measured[Measure.SPAWN] = self._stranger.start()
        self.note_wrong(self._stranger.wrong_answers())

    def heal(self, world: World) -> None:
        if self._stranger:
            self._stranger.stop()
