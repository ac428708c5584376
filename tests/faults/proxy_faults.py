"""What can happen to the replicas of the proxy."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from ansible_collections.campus.jupyterhub.tests.cluster.support import ready, wait_until
from ansible_collections.campus.jupyterhub.tests.faults.fault import QUIET_SECONDS, Fault
from ansible_collections.campus.jupyterhub.tests.faults.nodes import Task
from ansible_collections.campus.jupyterhub.tests.faults.records import Limit, Measure
from ansible_collections.campus.jupyterhub.tests.faults.world import PROXY, WHOLE_SECONDS, World

WEBSOCKETS = 3
"""One for each student at work."""
"""How many websockets there are to drop."""

RECONNECTS = (Limit(Measure.DROPPED, 2 * WEBSOCKETS, WEBSOCKETS), Limit(Measure.RECONNECT, 20, 2))
"""Websockets through a replica that dies end with it, and are opened again over another; at most twice each."""


class ReplicaKilled(Fault):
    """One replica's HAProxy is killed; the kubelet starts it again."""

    name = "one replica killed"
    done = "kill -9 of one HAProxy"
    limits = (Limit(Measure.OUTAGE, 20, 3), Limit(Measure.SHARE, None, 0.5), *RECONNECTS)

    def inject(self, world: World) -> None:
        world.haproxy(world.busiest()).signal("SIGKILL")


class AllReplicasKilled(Fault):
    """Every HAProxy is killed at once, while there is no hub to tell them their routes."""

    name = "all replicas killed, hub down"
    done = "kill -9 of every HAProxy, still no hub"
    limits = (
        Limit(Measure.OUTAGE, 45, 15),
        Limit(Measure.DROPPED, 2 * WEBSOCKETS, WEBSOCKETS),
        Limit(Measure.RECONNECT, 45, 15),
    )

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
        self.measured[Measure.WRONG] = world.newcomer.wrong_answers()

    def heal(self, world: World) -> None:
        if self._stopped:
            # By then its liveness probe may have ended it.
            self._stopped.resume()
        world.newcomer.stop()


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
        self.measured[Measure.WRONG] = world.newcomer.wrong_answers()

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
