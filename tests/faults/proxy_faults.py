"""What can happen to the replicas of the proxy."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from ansible_collections.campus.jupyterhub.tests.cluster.support import ready, wait_until
from ansible_collections.campus.jupyterhub.tests.faults.fault import QUIET_SECONDS, Fault
from ansible_collections.campus.jupyterhub.tests.faults.hold import Hold
from ansible_collections.campus.jupyterhub.tests.faults.newcomer import Newcomer
from ansible_collections.campus.jupyterhub.tests.faults.nodes import Task
from ansible_collections.campus.jupyterhub.tests.faults.records import Limit, Measure
from ansible_collections.campus.jupyterhub.tests.faults.world import PROXY, WHOLE_SECONDS, World

WEBSOCKETS = 3
"""How many websockets there are to drop: one for each student at work."""

RECONNECTS = (Limit(Measure.DROPPED, 2 * WEBSOCKETS, WEBSOCKETS), Limit(Measure.RECONNECT, 20, 2))
"""Websockets through a replica that dies end with it, and are opened again over another; at most twice each."""


class ReplicaKilled(Fault):
    """One replica's HAProxy is killed; the kubelet starts it again."""

    limits = (Limit(Measure.OUTAGE, 20, 3), Limit(Measure.SHARE, None, 0.5), *RECONNECTS)

    def __init__(self, keep: float, name: str = "one replica killed", hub: bool = True) -> None:
        super().__init__(keep)
        self.name = name
        self.done = "kill -9 of one HAProxy" if hub else "kill -9 of one HAProxy, still no hub"
        # The hub comes back after the fault that ends.
        self.stays = not hub

    def inject(self, world: World) -> None:
        world.haproxy(world.busiest()).signal("SIGKILL")


class AllReplicasKilled(Fault):
    """Every HAProxy is killed at once; without a hub there is nobody to tell them their routes."""

    limits = (
        Limit(Measure.OUTAGE, 45, 15),
        Limit(Measure.DROPPED, 2 * WEBSOCKETS, WEBSOCKETS),
        Limit(Measure.RECONNECT, 45, 15),
    )

    def __init__(self, keep: float, name: str = "all replicas killed, hub down", hub: bool = False) -> None:
        super().__init__(keep)
        self.name = name
        self.done = "kill -9 of every HAProxy" if hub else "kill -9 of every HAProxy, still no hub"

    def inject(self, world: World) -> None:
        tasks = [world.haproxy(replica) for replica in world.replicas()]
        # At one stroke, or websockets would be opened again over the last one.
        with ThreadPoolExecutor() as pool:
            list(pool.map(lambda task: task.signal("SIGKILL"), tasks))


class ReplicaHangs(Fault):
    """One HAProxy is stopped, neither dead nor alive, while a student starts a server."""

    name = "one replica hangs, a student starts"
    limits = (
        Limit(Measure.OUTAGE, 30, 5),
        *RECONNECTS,
        Limit(Measure.SILENCE, None, 5),
        Limit(Measure.SPAWN, 300, 30),
        Limit(Measure.WRONG, 0),
    )

    def __init__(self, keep: float, lingers: float = QUIET_SECONDS) -> None:
        super().__init__(keep)
        self.lingers = lingers
        self.done = f"SIGSTOP of one HAProxy for {keep:g} s"
        self._stopped: Task | None = None

    def inject(self, world: World) -> None:
        self._stopped = world.haproxy(world.busiest())
        self._stopped.signal("SIGSTOP")

    def during(self, world: World) -> None:
        self.measured[Measure.SPAWN] = world.newcomer.start()
        self.note_wrong(world.newcomer.wrong_answers())

    def heal(self, world: World) -> None:
        if self._stopped:
            # By then its liveness probe may have ended it.
            self._stopped.resume()
        world.newcomer.stop()


class ReplicaHangsForLong(Fault):
    """One HAProxy is stopped whenever it runs, while many students start servers."""

    limits = (
        Limit(Measure.SHARE, 0.5, 0.1),
        Limit(Measure.DROPPED, 4 * WEBSOCKETS, WEBSOCKETS),
        Limit(Measure.RECONNECT, 20, 2),
        Limit(Measure.SPAWN, 300, 60),
        Limit(Measure.UNSTARTED, 0),
        Limit(Measure.WRONG, 0),
    )

    def __init__(self, servers: int, at_once: int) -> None:
        super().__init__(0)
        self.servers, self.at_once = servers, at_once
        self.name = f"one replica hangs, {servers} servers start"
        self.done = (
            f"SIGSTOP of one HAProxy, and again after each restart, until {at_once} students have started "
            f"{servers} servers in turns"
        )
        self._hold: Hold | None = None
        self._students: list[Newcomer] = []

    def inject(self, world: World) -> None:
        self._students = world.newcomers(*(f"newcomer-{number}" for number in range(self.at_once)))
        self._hold = Hold(world, world.busiest())
        self._hold.start()

    def during(self, world: World) -> None:
        starts = []
        with ThreadPoolExecutor(self.at_once) as pool:
            for _unused in range(self.servers // self.at_once):
                turns = list(pool.map(take_a_turn, self._students))
                starts += [turn.seconds for turn in turns if turn.seconds]
                self.note_wrong(answer for turn in turns for answer in turn.wrong)
        self.measured[Measure.SPAWN] = max(starts, default=0.0)
        self.measured[Measure.UNSTARTED] = self.servers - len(starts)

    def heal(self, world: World) -> None:
        if self._hold:
            self._hold.end()
        for student in self._students:
            student.stop()


@dataclass(frozen=True)
class Turn:
    """One start and stop. seconds: until the server was ready, 0 if it never was. wrong: see `Newcomer`."""

    seconds: float
    wrong: list[str]


def take_a_turn(student: Newcomer) -> Turn:
    """Start a server, look at it, and stop it."""
    try:
        seconds, wrong = student.start(), student.wrong_answers()
        student.stop()
    except AssertionError:
        return Turn(0, [])
    return Turn(seconds, wrong)


class ProxyScaled(Fault):
    """No fault: the faults that follow are done to another number of replicas."""

    limits = (Limit(Measure.FAILED, 0), *RECONNECTS)

    def __init__(self, replicas: int) -> None:
        super().__init__(0)
        self.replicas = replicas
        self.name = f"proxy scaled to {replicas} replicas"
        self.done = "kubectl scale, until all are ready and none is left over"

    def inject(self, world: World) -> None:
        world.scale("proxy", self.replicas)
        wait_until(
            f"{self.replicas} replicas",
            lambda: len(uids(world)) == self.replicas and all(map(ready, world.replicas())),
            WHOLE_SECONDS,
        )


class RollingUpdate(Fault):
    """The proxy is replaced replica by replica, as an upgrade does it."""

    name = "rolling update of the proxy"
    done = "a new template for the proxy's Deployment, until the old replicas have drained"
    limits = (Limit(Measure.FAILED, 0), *RECONNECTS)

    def inject(self, world: World) -> None:
        old = {pod.metadata.uid for pod in world.replicas()}
        template = {"metadata": {"annotations": {"campus.jupyterhub/faults": f"{time.time():.0f}"}}}
        body = {"spec": {"template": template}}
        world.kube.apps.patch_namespaced_deployment("proxy", world.namespace, body)
        wait_until("the old replicas are gone", lambda: not old & uids(world), WHOLE_SECONDS)


class ReplicaCutOff(Fault):
    """A replica serves, but cannot see the API server, while a student starts a server."""

    name = "replica cut off from the API server"
    limits = (
        Limit(Measure.FAILED, 0),
        Limit(Measure.DROPPED, 0),
        Limit(Measure.LOST, 0),
        Limit(Measure.SPAWN, 300, 30),
        Limit(Measure.WRONG, None, 0),
    )

    def __init__(self, keep: float) -> None:
        super().__init__(keep)
        self.done = f"packets of one replica to the API server dropped for {keep:g} s"
        self._cut: Task | None = None

    def inject(self, world: World) -> None:
        self._cut = world.agent(world.busiest())
        for port in (443, 6443):
            self._cut.in_network(f"iptables -I OUTPUT -p tcp --dport {port} -j DROP")
            self._cut.in_network(f"iptables -I INPUT -p tcp --sport {port} -j DROP")

    def during(self, world: World) -> None:
        self.measured[Measure.SPAWN] = world.newcomer.start()
        self.note_wrong(world.newcomer.wrong_answers())

    def heal(self, world: World) -> None:
        if self._cut:
            self._cut.in_network("iptables -F")
        world.newcomer.stop()


def uids(world: World) -> set[Any]:
    """The uids of the proxy's pods, those on their way out included."""
    return {pod.metadata.uid for pod in world.kube.pods(PROXY)}


class WorkerDrained(Fault):
    """A worker is cordoned and the proxy's replica on it evicted, as the drain of a node does it."""

    name = "worker with a replica drained"
    done = "node cordoned, the replica on it evicted; students' pods stay"
    limits = (Limit(Measure.FAILED, 0), *RECONNECTS)

    def __init__(self) -> None:
        super().__init__(0)
        self._node = ""

    def inject(self, world: World) -> None:
        replica = world.busiest()
        self._node = replica.spec.node_name
        world.kube.core.patch_node(self._node, {"spec": {"unschedulable": True}})
        world.evict(replica)
        wait_until("the evicted replica is gone", lambda: replica.metadata.uid not in uids(world), WHOLE_SECONDS)
        wait_until("another replica is ready", lambda: all(map(ready, world.replicas())), WHOLE_SECONDS)

    def heal(self, world: World) -> None:
        if self._node:
            world.kube.core.patch_node(self._node, {"spec": {"unschedulable": False}})
