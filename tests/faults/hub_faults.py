"""What can happen to the hub and its database."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

from ansible_collections.campus.jupyterhub.tests.cluster.support import (
    HUB,
    SERVING_HUB,
    wait_until,
)
from ansible_collections.campus.jupyterhub.tests.faults.fault import Fault
from ansible_collections.campus.jupyterhub.tests.faults.pulses import Pulses
from ansible_collections.campus.jupyterhub.tests.faults.records import NOTHING, Limit, Measure
from ansible_collections.campus.jupyterhub.tests.faults.world import AWAY, WHOLE_SECONDS, World

DATABASE = "postgres"


def serving(world: World) -> set[str]:
    """The containers of hubs that serve and are ready; an API server that is away cannot tell."""
    try:
        return containers(world.running(SERVING_HUB))
    except AWAY:
        return set()


def containers(pods: Iterable[Any]) -> set[str]:
    """The ids of the pods' containers, which are other ones after each start."""
    return {status.container_id for pod in pods for status in pod.status.container_statuses or []}


def answers_again(world: World, other_than: set[str]) -> float:
    """Wait until another container serves as the hub and answers; returns after how many seconds it did."""
    began = time.monotonic()
    wait_until("the hub is back", lambda: serving(world) - other_than, WHOLE_SECONDS)
    wait_until("the hub answers", world.newcomer.reaches_hub, WHOLE_SECONDS)
    return time.monotonic() - began


class HubKilled(Fault):
    """The hub is killed, its standby with it, and does not come back for a while."""

    name = "hub killed"
    limits: tuple[Limit, ...] = (*NOTHING, Limit(Measure.BACK, 180, 30))

    def __init__(self, keep: float) -> None:
        super().__init__(keep)
        self.done = f"kill -9 of the hub and its standby, if it has one, kept down {keep:g} s"

    def inject(self, world: World) -> None:
        for hub in world.every_hub():
            hub.signal("SIGKILL")
        world.scale("hub", 0)

    def heal(self, world: World) -> None:
        world.scale("hub", world.hubs)

    def after(self, world: World) -> None:
        self.measured[Measure.BACK] = answers_again(world, other_than=set())


class HubKilledForNow(HubKilled):
    """The hub is killed, and still away when the next fault comes."""

    limits = NOTHING
    stays = True


class StandbyTakesOver(Fault):
    """The hub ends without a word while a standby waits."""

    limits = (*NOTHING, Limit(Measure.BACK, 60, 10))

    def inject(self, world: World) -> None:
        wait_until("a hub and its standby", lambda: len(world.running(HUB)) == world.hubs >= 2, WHOLE_SECONDS)
        before = serving(world)
        self.end(world)
        self.measured[Measure.BACK] = answers_again(world, before)

    def end(self, world: World) -> None:
        """End the hub that serves."""
        raise NotImplementedError


class HubKilledBesideStandby(StandbyTakesOver):
    """Its process ends; the kubelet starts it again."""

    name = "hub killed, its standby waits"
    done = "kill -9 of the hub that serves"

    def end(self, world: World) -> None:
        world.hub().signal("SIGKILL")


class HubDeletedBesideStandby(StandbyTakesOver):
    """Its pod is deleted without time to say so."""

    name = "hub deleted, its standby waits"
    done = "the pod of the hub that serves deleted, with a grace of 0 s"

    def end(self, world: World) -> None:
        for pod in world.running(SERVING_HUB):
            world.kube.core.delete_namespaced_pod(pod.metadata.name, world.namespace, grace_period_seconds=0)


class HubRestartedOften(Fault):
    """The hub is deleted again and again while the API server answers in fits and starts."""

    name = "hub restarted, slow API server"

    def __init__(self, times: int) -> None:
        super().__init__(0)
        self.times = times
        self.done = f"the hub deleted with its standby {times} times, API server stopped for 2 of every 3 s"
        self._pulses: Pulses | None = None

    def inject(self, world: World) -> None:
        self._pulses = Pulses(world.control_plane, pause=2.0, run=1.0)
        self._pulses.start()

    def during(self, world: World) -> None:
        for _unused in range(self.times):
            self._restart(world)

    def _restart(self, world: World) -> None:
        old = wait_until("a hub's pod runs", lambda: self._running(world), WHOLE_SECONDS)
        wait_until("the hubs' pods are deleted", lambda: self._delete(world, old), WHOLE_SECONDS)
        wait_until("another hub's pod runs", lambda: self._running(world) - old, WHOLE_SECONDS)

    @staticmethod
    def _running(world: World) -> set[str]:
        """The uids of hubs' pods that run, ready or not."""
        try:
            pods = world.kube.pods(HUB)
        except AWAY:
            return set()
        return {
            str(pod.metadata.uid)
            for pod in pods
            if pod.status.phase == "Running" and not pod.metadata.deletion_timestamp
        }

    @staticmethod
    def _delete(world: World, uids: set[str]) -> bool:
        try:
            for pod in world.kube.pods(HUB):
                if pod.metadata.uid in uids:
                    world.kube.core.delete_namespaced_pod(pod.metadata.name, world.namespace, grace_period_seconds=0)
        except AWAY:
            return False
        return True

    def heal(self, world: World) -> None:
        if self._pulses:
            self._pulses.stop()


class DatabaseKilled(Fault):
    """The hub's database is killed and does not come back for a while; the hub has to wait for it."""

    name = "hub database killed"
    limits = (*NOTHING, Limit(Measure.BACK, 180, 30), Limit(Measure.SPAWN, 300, 30), Limit(Measure.WRONG, 0))

    def __init__(self, keep: float) -> None:
        super().__init__(keep)
        self.done = f"kill -9 of PostgreSQL, kept down {keep:g} s; then it comes back and a student starts a server"

    def inject(self, world: World) -> None:
        world.database().signal("SIGKILL")
        world.scale(DATABASE, 0)

    def heal(self, world: World) -> None:
        world.scale(DATABASE, 1)

    def after(self, world: World) -> None:
        began = time.monotonic()
        wait_until("the hub answers from its database", world.newcomer.is_known, WHOLE_SECONDS)
        self.measured[Measure.BACK] = time.monotonic() - began
        self.measured[Measure.SPAWN] = world.newcomer.start()
        self.note_wrong(world.newcomer.wrong_answers())
        world.newcomer.stop()


class DatabaseWiped(Fault):
    """The hub's database is gone, and the hub begins with an empty one."""

    name = "hub database wiped"
    done = "the database dropped in PostgreSQL and made anew, kill -9 of the hub and its standby"
    logins = True
    limits = (*NOTHING, Limit(Measure.BACK, 180, 30))

    def inject(self, world: World) -> None:
        hubs, before = world.every_hub(), containers(world.running(HUB))
        for query in ("drop database postgres with (force)", "create database postgres"):
            world.kube.sql(query, "template1")
        for hub in hubs:
            hub.signal("SIGKILL")
        self.measured[Measure.BACK] = answers_again(world, before)

    def after(self, world: World) -> None:
        world.log_in_again()
