"""One run: waves of students, restarts of the hub, and the end of all servers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from ansible_collections.campus.jupyterhub.benchmarks.scale import usage
from ansible_collections.campus.jupyterhub.benchmarks.scale.simulation import LABELS, Simulation
from ansible_collections.campus.jupyterhub.benchmarks.scale.students import Hub, names
from ansible_collections.campus.jupyterhub.benchmarks.scale.summary import (
    Figures,
    mean_between,
    more,
    percentile,
    used_between,
)
from ansible_collections.campus.jupyterhub.benchmarks.scale.working import Working
from ansible_collections.campus.jupyterhub.tests.cluster.support import HUB, SERVING_HUB, STUDENTS, Kube

GLANCE = 0.05
LOOK = 0.5
LONG = 900.0
IDLE_SECONDS = 60.0
PROXIES = "app=jupyterhub,component=proxy"
AGENT_PORT = 8002


@dataclass(frozen=True)
class Plan:
    """How many students, how many of them at a time, at which numbers the hub restarts, and how often each time."""

    students: int
    wave: int
    restart_at: list[int]
    rounds: int


class Run:
    """One run against one site; write takes the figures so far, after each part."""

    def __init__(
        self, kube: Kube, hub: Hub, simulation: Simulation, plan: Plan, write: Callable[[Figures], None]
    ) -> None:
        self._kube = kube
        self._hub = hub
        self._simulation = simulation
        self._plan = plan
        self._write = write
        real = kube.core.list_node(label_selector=",".join(f"{key}!={value}" for key, value in LABELS.items())).items
        self._nodes = [node.metadata.name for node in real]
        self._running: list[str] = []
        self._asked = 0

    async def run(self) -> None:
        """Measure all of it."""
        figures: Figures = {"empty": {"mib": self._mib()}, "waves": [], "idle": [], "restarts": []}
        while self._asked < self._plan.students:
            await self._note(figures, "waves", self._wave)
            if self._asked in self._plan.restart_at:
                await self._note(figures, "idle", self._idle)
                for _unused in range(self._plan.rounds):
                    await self._note(figures, "restarts", self._restart)
        figures["stop"] = await self._stop()
        self._write(figures)

    async def _note(self, figures: Figures, part: str, measure: Callable[[], Awaitable[Figures]]) -> None:
        found = await measure()
        figures[part].append(found)
        print(part, found, flush=True)
        self._write(figures)

    async def _wave(self) -> Figures:
        """The next students start their servers, all at the same moment."""
        students = names(self._asked + 1, min(self._plan.wave, self._plan.students - self._asked))
        await self._hub.create(students)
        before, requests, metrics = self._uses(), self._requests(), await self._hub.metrics()
        started = await self._hub.start_all(students)
        self._running += started.seconds
        self._asked += len(students)
        applied = await self._until(self._all_routes)
        after, waited = self._uses(), started.seconds.values()
        return {
            "running": len(self._running),
            "students": len(students),
            "wall": started.wall,
            "starts_a_second": len(started.seconds) / started.wall,
            "p50": percentile(waited, 50) if waited else None,
            "p99": percentile(waited, 99) if waited else None,
            "told_to_wait": started.told_to_wait,
            "failed": len(started.failures),
            "failures": sorted(set(started.failures))[:5],
            "not_served_at_once": started.not_served,
            "routes": self._routes(),
            "routes_applied_after": applied,
            "route_acknowledged_mean": mean_between(
                metrics, await self._hub.metrics(), "jupyterhub_proxy_add_duration_seconds"
            ),
            "cpu": used_between(before, after),
            "api_requests": more(requests, self._requests()),
            "mib": {kind: use.mib for kind, use in after.items()},
        }

    async def _idle(self) -> Figures:
        """What the site costs when nothing happens."""
        before, requests = self._uses(), self._requests()
        await asyncio.sleep(IDLE_SECONDS)
        after = self._uses()
        return {
            "running": len(self._running),
            "seconds": IDLE_SECONDS,
            "cpu": used_between(before, after),
            "api_requests": more(requests, self._requests()),
            "mib": {kind: use.mib for kind, use in after.items()},
        }

    async def _restart(self) -> Figures:
        """Delete the hub's pod while students work, and wait until the new hub knows their servers."""
        student, count = self._running[0], len(self._running)
        (pod,) = self._kube.pods(SERVING_HUB)
        before = usage.uids(self._kube, STUDENTS)
        async with Working(self._hub, self._running, seed=count) as working:
            begun = time.monotonic()
            self._kube.core.delete_namespaced_pod(pod.metadata.name, self._kube.namespace)
            await self._when(self._is_away, begun)
            answers = await self._when(lambda: self._hub.answers(student), begun)
            ready = await self._when(lambda: self._hub.knows(student), begun)
            everyone = await self._when(lambda: self._knows_all(count), begun, LOOK)
        metrics = await self._hub.metrics()
        return {
            "running": count,
            "answers_after": answers,
            "first_ready_after": ready,
            "knows_all_after": everyone,
            "requests": working.requests,
            "failed_requests": len(working.refusals),
            "refusals": sorted(set(working.refusals))[:5],
            "routes": self._routes(),
            "lost_pods": len(before - usage.uids(self._kube, STUDENTS)),
            "hub_says": {
                name: round(usage.total(metrics, f"jupyterhub_{name}_sum"), 2)
                for name in ("hub_startup_duration_seconds", "init_spawners_duration_seconds")
            },
            "mib": {kind: use.mib for kind, use in self._uses().items()},
        }

    async def _stop(self) -> Figures:
        """Stop every server."""
        before, begun = self._uses(), time.monotonic()
        failures = await self._hub.stop_all(self._running)
        asked = time.monotonic() - begun
        gone = await self._until(lambda: not usage.uids(self._kube, STUDENTS)) + asked
        routes = await self._until(lambda: self._routes() == [0] * len(self._proxies())) + gone
        after = self._uses()
        stopped = {
            "servers": len(self._running),
            "all_asked_after": asked,
            "pods_gone_after": gone,
            "routes_gone_after": routes,
            "failed": len(failures),
            "failures": sorted(set(failures))[:5],
            "containers_begun_anew": self._begun_anew(),
            "cpu": used_between(before, after),
            "mib": {kind: use.mib for kind, use in after.items()},
        }
        print("stop", stopped, flush=True)
        return stopped

    async def _is_away(self) -> bool:
        return not await self._hub.answers(self._running[0])

    async def _knows_all(self, count: int) -> bool:
        return await self._hub.ready_servers() >= count

    async def _when(self, done: Callable[[], Awaitable[bool]], begun: float, pause: float = GLANCE) -> float:
        """Wait for something and return the seconds since the beginning. Raises TimeoutError."""
        async with asyncio.timeout(LONG):
            while not await done():
                await asyncio.sleep(pause)
        return time.monotonic() - begun

    async def _until(self, done: Callable[[], bool]) -> float:
        """Wait for something that a blocking call tells, and return the seconds. Raises TimeoutError."""

        async def asked() -> bool:
            return await asyncio.to_thread(done)

        return await self._when(asked, time.monotonic(), LOOK)

    def _proxies(self) -> list[Any]:
        return self._kube.pods(PROXIES)

    def _begun_anew(self) -> int:
        """How often a container of the hub or of a replica ended and was started again in its pod."""
        statuses = [pod.status for selector in (HUB, PROXIES) for pod in self._kube.pods(selector)]
        return sum(
            container.restart_count
            for status in statuses
            for container in [*(status.container_statuses or []), *(status.init_container_statuses or [])]
        )

    def _routes(self) -> list[int]:
        """Routes of students that each replica's HAProxy has."""
        return [
            int(usage.total(self._agent_metrics(pod.metadata.name), "campus_proxy_routes")) for pod in self._proxies()
        ]

    def _all_routes(self) -> bool:
        """Say whether every replica has a route for each server; one that failed for its student may run as well."""
        return all(routes >= len(self._running) for routes in self._routes())

    def _agent_metrics(self, pod: str) -> str:
        path = f"/api/v1/namespaces/{self._kube.namespace}/pods/{pod}:{AGENT_PORT}/proxy/metrics"
        return usage.raw(self._kube, path)

    def _requests(self) -> dict[str, float]:
        return usage.api_requests(usage.raw(self._kube, "/metrics"))

    def _uses(self) -> dict[str, usage.Use]:
        return usage.read_uses(self._kube, self._nodes, self._simulation.pid)

    def _mib(self) -> dict[str, float]:
        return {kind: use.mib for kind, use in self._uses().items()}
