"""Watches that never give up.

KubeSpawner's own end the hub, or end silently, after half a minute without the API server, and shortly before that
they look for it only every half minute.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Mapping
from typing import Any

from kubespawner.reflector import ResourceReflector
from kubespawner.spawner import EventReflector, PodReflector
from prometheus_client import Gauge

MAX_DELAY = 3.0
"""Longest pause between two lists that fail, in seconds: so old may be what is known when the API server is back."""
# A watch that ends without a failure goes on where it was, unless its last list is older than this. With thousands of
# pods a list holds up the hub; the API server remembers what happened since for longer.
RELIST_SECONDS = 60.0
# A healthy watch ends within 30 s of that; the request itself may take another 60.
STALE_AFTER = 150.0

SECONDS_SINCE_LIST = Gauge(
    "campus_hub_watch_age_seconds", "Seconds since a watch of the hub last listed what it watches", ["kind"]
)

Pod = dict[str, Any]
Event = dict[str, Any]

_running: dict[str, PatientReflector] = {}


class PatientReflector(ResourceReflector):  # type: ignore[misc]
    """A reflector that lists again for ever until it hears something, and says when it last did."""

    keep: type[dict[str, Any]] = dict
    """What holds the objects, made anew of each list."""
    resources: Any

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs["on_failure"] = None
        super().__init__(*args, **kwargs)
        self.resources = self.keep(self.resources)
        self.born = time.monotonic()
        self.listed: float | None = None
        self._starting: asyncio.Task[None] | None = None
        self._current = asyncio.Event()
        _running[self.kind] = self
        SECONDS_SINCE_LIST.labels(kind=self.kind).set_function(lambda: self.age)

    @property
    def age(self) -> float:
        """Seconds since the last complete list, or since the start if there was none."""
        return time.monotonic() - (self.born if self.listed is None else self.listed)

    async def _list_and_update(self, resource_version: str | None = None) -> Any:
        # "0" is what KubeSpawner begins with, and goes on with after a failure.
        goes_on = resource_version not in (None, "0")
        if goes_on and self.listed is not None and time.monotonic() - self.listed < RELIST_SECONDS:
            return resource_version
        self._current.clear()
        delay = 0.1
        while True:
            try:
                version = await self._list(resource_version)
                break
            except Exception as error:
                self.log.error("Cannot list %s, trying again in %.1f s: %s", self.kind, delay, error)
            await asyncio.sleep(delay * random.uniform(0.8, 1.2))
            delay = min(delay * 2, MAX_DELAY)
            # The version that was asked for may be too old by now.
            resource_version = "0"
        self._current.set()
        return version

    async def _list(self, resource_version: str | None) -> Any:
        version = await super()._list_and_update(resource_version)
        self.resources = self.keep(self.resources)
        self.listed = time.monotonic()
        return version

    async def start(self) -> None:
        """List until it works, then watch in the background."""
        await self._list_and_update()
        self.watch_task = asyncio.create_task(self._watch_and_update())

    async def loaded(self) -> None:
        """Start if that has not happened yet and wait for the first list.

        Whoever is cancelled here cancels nobody else.
        """
        if self._starting is None:
            self._starting = asyncio.create_task(self.start())
        await asyncio.shield(self.first_load_future)

    async def current(self) -> None:
        """Wait until no list is due: after a failure, what is known may be long past."""
        await self.loaded()
        await self._current.wait()

    async def refresh(self) -> None:
        """List once more, now; a failure is left to the watch."""
        try:
            await asyncio.wait_for(self._list(None), self.request_timeout)
        except Exception as error:
            self.log.error("Cannot list %s: %s", self.kind, error)


class SlimPods(dict[str, Pod]):
    """Pods without the notes on who wrote which field: a third of a pod, which nobody here reads."""

    def __init__(self, pods: Mapping[str, Pod]) -> None:
        super().__init__()
        for key, pod in pods.items():
            self[key] = pod

    def __setitem__(self, key: str, pod: Pod) -> None:
        pod["metadata"].pop("managedFields", None)
        super().__setitem__(key, pod)


class PatientPodReflector(PatientReflector, PodReflector):  # type: ignore[misc]
    """KubeSpawner's pods, watched for ever."""

    keep = SlimPods


class EventsByPod(dict[str, Event]):
    """Events by their key, and by the pod that they are about."""

    def __init__(self, events: Mapping[str, Event]) -> None:
        super().__init__()
        self._of: dict[str, dict[str, Event]] = {}
        for key, event in events.items():
            self[key] = event

    def __setitem__(self, key: str, event: Event) -> None:
        super().__setitem__(key, event)
        self._of.setdefault(event["involvedObject"]["name"], {})[key] = event

    def pop(self, key: str, default: Any = None) -> Any:
        """Forget an event, and return it."""
        event = super().pop(key, default)
        if event is not default:
            pod = event["involvedObject"]["name"]
            self._of[pod].pop(key)
            if not self._of[pod]:
                del self._of[pod]
        return event

    def of(self, pod: str) -> list[Event]:
        """Return the events about a pod, the oldest first."""
        found = self._of.get(pod, {}).values()
        return sorted(found, key=lambda event: event["lastTimestamp"] or event["eventTime"] or "")


class PatientEventReflector(PatientReflector, EventReflector):  # type: ignore[misc]
    """KubeSpawner's events, watched for ever."""

    keep = EventsByPod

    def of(self, pod: str) -> list[Event]:
        """Return the events about a pod, the oldest first.

        KubeSpawner sorts the events of all pods for this, every second for every student who waits.
        """
        return list(self.resources.of(pod))


class SliceReflector(PatientReflector):
    """EndpointSlices of a Service."""

    kind = "endpointslices"
    api_group_name = "DiscoveryV1Api"
    list_method_name = "list_namespaced_endpoint_slice"


def watches() -> dict[str, dict[str, Any]]:
    """Return the state of every watch of this process: its age in seconds and whether that is healthy."""
    return {
        kind: {"seconds_since_list": round(reflector.age, 1), "healthy": reflector.age < STALE_AFTER}
        for kind, reflector in sorted(_running.items())
    }
