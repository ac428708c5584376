"""What the page asks of the cluster; all of it may take a while and belongs into a thread."""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Callable
from typing import Any, Final

from ansible_collections.campus.jupyterhub.plugins.module_utils._cluster import connect
from ansible_collections.campus.jupyterhub.plugins.module_utils._disk_snapshots import (
    API,
    OURS,
    Snapshot,
    snapshot_of,
)
from ansible_collections.campus.jupyterhub.plugins.module_utils._restore_run import ARGUMENTS, Restore
from ansible_collections.campus.jupyterhub.plugins.module_utils._side_disk import (
    COMPONENT,
    SIDE_MOUNT,
    as_volume,
    pod,
    side_claim,
    users_of,
)
from ansible_collections.campus.jupyterhub.plugins.module_utils._side_disk_run import (
    CLOCK,
    Api,
    RestoreError,
    SideDisks,
    template_of,
)
from ansible_collections.campus.jupyterhub.plugins.module_utils._snapshot_remove import Clock
from ansible_collections.campus.jupyterhub.plugins.module_utils._student_disks import DISKS, disk_of
from campus_jobs.reader import PORT, proof_of

from campus_history.own import CLAIM, MARK, SNAPSHOT, Own
from campus_history.settings import Settings

log = logging.getLogger(__name__)
Json = dict[str, Any]

READER: Final = "reader"
COPY: Final = "copy"
POD: Final = "Pod"
FRESH: Final = 600.0
"""Seconds for which one connection is used: its token gets old."""
REMOVAL_SECONDS: Final = 60
READER_SECONDS: Final = 8 * 3600
"""A reader that nobody takes away ends by itself."""


def connections() -> Callable[[], Api]:
    """Return what gives out a connection that is not too old."""
    lock = threading.Lock()
    last: list[tuple[float, Api]] = []

    def current() -> Api:
        with lock:
            if not last or time.monotonic() - last[0][0] > FRESH:
                last[:] = [(time.monotonic(), connect(None))]
            return last[0][1]

    return current


def answers(address: str) -> bool:
    """Say whether a reader listens at this address yet."""
    try:
        socket.create_connection((address, PORT), timeout=2).close()
    except OSError:
        return False
    return True


class Students:
    """What can be done for a student; every method raises RestoreError, SelectionError and ClusterError."""

    def __init__(
        self,
        connected: Callable[[], Api],
        settings: Settings,
        clock: Clock = CLOCK,
        answers: Callable[[str], bool] = answers,
    ) -> None:
        self._connected, self._settings, self._clock, self._answers = connected, settings, clock, answers

    def _sides(self, student: str, part: str, seconds: int | None = None) -> SideDisks:
        own = Own(self._connected(), student, part)
        return SideDisks(own, self._settings.namespace, seconds or self._settings.timeout, self._clock)

    def snapshots(self, student: str) -> list[Snapshot]:
        """Return the student's snapshots that can be looked into."""
        own = Own(self._connected(), student, READER)
        return [one for one in map(snapshot_of, own.list(SNAPSHOT, API, self._settings.namespace, OURS)) if one.good]

    def open(self, student: str, snapshot: Snapshot, name: str, token: str) -> str:
        """Make a disk from a snapshot and a pod that shows it, both of this name, and return where that answers."""
        sides = self._sides(student, READER)
        disks = map(disk_of, sides.api.list(CLAIM, "v1", self._settings.namespace, DISKS))
        disk = next((each for each in disks if each.name == snapshot.disk and each.bound), None)
        template = template_of(sides.api, self._settings.namespace, "")
        sides.make(side_claim(name, snapshot, max(snapshot.size, 1), self._settings.scratch_class))
        address = sides.start(
            pod(
                name,
                self._settings.namespace,
                template=template,
                arguments=["campus_jobs.reader", f"--snapshot={SIDE_MOUNT}", f"--proof={proof_of(token)}"],
                side=name,
                seconds=READER_SECONDS,
                affinity=as_volume(sides.api.get("PersistentVolume", disk.volume)) if disk else None,
            )
        )
        sides.until(f"The pod {name}", lambda: self._answers(address) or None)
        return f"http://[{address}]:{PORT}" if ":" in address else f"http://{address}:{PORT}"

    def close(self, name: str) -> None:
        """Remove a disk and its pod; what is not there is fine."""
        sides = self._sides("", READER, REMOVAL_SECONDS)
        sides.remove(POD, name)
        sides.remove(CLAIM, name)

    def put_back(self, student: str, snapshot: Snapshot, path: str, begun: Callable[[str], None]) -> Json:
        """Copy a path of a snapshot into the student's home, as the module student_disk_restore does.

        ``begun`` is told the name of what is made for it. Returns what the module returns of a path.
        """
        options = {
            **{name: each.get("default") for name, each in ARGUMENTS.items()},
            "namespace": self._settings.namespace,
            "student": student,
            "disk": snapshot.disk,
            "snapshot": snapshot.name,
            "path": path,
            "timezone": self._settings.zone.key,
            "scratch_class": self._settings.scratch_class,
            "timeout": self._settings.timeout,
        }
        wanted = Restore(self._sides(student, COPY), options)
        begun(wanted.plan.run)
        return wanted.run()

    def sweep(self, known: Callable[[], set[str]]) -> None:
        """Remove what this page made and lost sight of; a copy that still goes on is left to end.

        ``known`` returns the names of what it has not lost sight of.
        """
        for each in self._made(POD):
            name, ended = each["metadata"]["name"], each["status"].get("phase") in ("Succeeded", "Failed")
            if name not in known() and (ended or each["metadata"]["labels"][MARK] == READER):
                self._try_to_remove(POD, name)
        left = self._made(POD)
        for each in self._made(CLAIM):
            name = each["metadata"]["name"]
            if name not in known() and not users_of(left, name):
                self._try_to_remove(CLAIM, name)

    def _try_to_remove(self, kind: str, name: str) -> None:
        """Remove an object; one that does not go holds up no other."""
        try:
            self._sides("", READER, REMOVAL_SECONDS).remove(kind, name)
        except RestoreError as error:
            log.warning("%s", error)

    def _made(self, kind: str) -> list[Json]:
        """Return what this page made of a kind."""
        found = self._connected().list(kind, "v1", self._settings.namespace, f"component={COMPONENT}")
        return [item for item in found if MARK in item["metadata"]["labels"]]
