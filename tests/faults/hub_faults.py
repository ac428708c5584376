"""What can happen to the hub and its database."""

from __future__ import annotations

import time
from typing import Any

from ansible_collections.campus.jupyterhub.tests.cluster.support import (
    HUB,
    SERVING_HUB,
    ready,
    wait_until,
)
from ansible_collections.campus.jupyterhub.tests.faults.fault import Fault
from ansible_collections.campus.jupyterhub.tests.faults.pulses import Pulses
from ansible_collections.campus.jupyterhub.tests.faults.records import NOTHING, Limit, Measure
from ansible_collections.campus.jupyterhub.tests.faults.world import AWAY, WHOLE_SECONDS, World

DATABASE = "/srv/jupyterhub/jupyterhub.sqlite"


def restarts(pod: Any) -> int:
    """How often the container of a hub's pod was started again."""
    return sum(status.restart_count for status in pod.status.container_statuses or [])


def hub_ready(world: World, after: int = 0) -> bool:
    """Whether a hub serves and is ready, after so many restarts; an API server that is away cannot tell."""
    try:
        return any(ready(pod) and restarts(pod) >= after for pod in world.kube.pods(SERVING_HUB))
    except AWAY:
        return False


def scale(world: World, replicas: int) -> None:
    """Ask for that many hubs."""
    world.kube.apps.patch_namespaced_deployment_scale("hub", world.namespace, {"spec": {"replicas": replicas}})


class HubKilled(Fault):
    """The hub is killed and does not come back for a while."""

    name = "hub killed"
    limits: tuple[Limit, ...] = (*NOTHING, Limit(Measure.BACK, 180, 30))

    def __init__(self, keep: float) -> None:
        super().__init__(keep)
        self.done = f"kill -9 of the hub, kept down {keep:g} s"

    def inject(self, world: World) -> None:
        world.hub().signal("SIGKILL")
        scale(world, 0)

    def heal(self, world: World) -> None:
        scale(world, 1)

    def after(self, world: World) -> None:
        began = time.monotonic()
        wait_until("the hub is back", lambda: hub_ready(world), WHOLE_SECONDS)
        self.measured[Measure.BACK] = time.monotonic() - began


class HubKilledForNow(HubKilled):
    """The hub is killed, and still away when the next fault comes."""

    limits = NOTHING
    stays = True


class HubRestartedOften(Fault):
    """The hub is deleted again and again while the API server answers in fits and starts."""

    name = "hub restarted, slow API server"

    def __init__(self, times: int) -> None:
        super().__init__(0)
        self.times = times
        self.done = f"the hub's pod deleted {times} times, API server stopped for 2 of every 3 s"
        self._pulses: Pulses | None = None

    def inject(self, world: World) -> None:
        self._pulses = Pulses(world.control_plane, pause=2.0, run=1.0)
        self._pulses.start()

    def during(self, world: World) -> None:
        for _unused in range(self.times):
            self._restart(world)

    def _restart(self, world: World) -> None:
        uid = wait_until("a hub's pod runs", lambda: self._running(world, ""), WHOLE_SECONDS)
        wait_until("the hub's pod is deleted", lambda: self._delete(world, uid), WHOLE_SECONDS)
        wait_until("another hub's pod runs", lambda: self._running(world, uid), WHOLE_SECONDS)

    @staticmethod
    def _running(world: World, other_than: str) -> str:
        """The uid of a hub's pod that runs, ready or not; empty without one."""
        try:
            pods = world.kube.pods(HUB)
        except AWAY:
            return ""
        running = [pod for pod in pods if pod.status.phase == "Running" and not pod.metadata.deletion_timestamp]
        return next((str(pod.metadata.uid) for pod in running if pod.metadata.uid != other_than), "")

    @staticmethod
    def _delete(world: World, uid: str) -> bool:
        try:
            for pod in world.kube.pods(HUB):
                if pod.metadata.uid == uid:
                    world.kube.core.delete_namespaced_pod(pod.metadata.name, world.namespace, grace_period_seconds=0)
        except AWAY:
            return False
        return True

    def heal(self, world: World) -> None:
        if self._pulses:
            self._pulses.stop()


class DatabaseWiped(Fault):
    """The hub's database is gone, and the hub begins with an empty one."""

    name = "hub database wiped"
    done = "the sqlite file removed, kill -9 of the hub"
    logins = True
    limits = (*NOTHING, Limit(Measure.BACK, 180, 30))

    def inject(self, world: World) -> None:
        (pod,) = world.kube.pods(HUB)
        before = restarts(pod)
        hub = world.hub()
        world.kube.run_in(pod, "rm", "-f", DATABASE)
        hub.signal("SIGKILL")
        began = time.monotonic()
        wait_until("the hub is back", lambda: hub_ready(world, after=before + 1), WHOLE_SECONDS)
        self.measured[Measure.BACK] = time.monotonic() - began

    def after(self, world: World) -> None:
        wait_until("the hub answers", world.newcomer.student.reaches_hub, WHOLE_SECONDS)
        world.log_in_again()
