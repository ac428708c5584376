"""Figures about students' disks and their snapshots, as one listing of the cluster gives them. Pure.

Nothing here names a student: Prometheus keeps a series for each name that it meets, and there may be thousands.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from ansible_collections.campus.jupyterhub.plugins.module_utils._disk_snapshots import Snapshot, snapshot_of
from ansible_collections.campus.jupyterhub.plugins.module_utils._student_disks import Disk, disk_of, moment

from campus_jobs.drills import ACTIONS, Drills

Json = dict[str, Any]

STATES: Final = ("good", "failed", "pending", "deleting", "strange")
SCHEDULE: Final = "snapshots"
"""The component of the CronJob that takes snapshots."""


@dataclass(frozen=True)
class Runs:
    """What the Jobs of the schedule say."""

    scheduled: bool = False
    """Whether the schedule is there and not suspended."""
    last_success: datetime | None = None
    """When the last run that was good for all disks ended."""
    last_seconds: float | None = None
    """How long it took."""
    failed: int = 0
    """Runs that began after it and failed, as far as their Jobs are kept."""


@dataclass(frozen=True)
class Figures:
    """What one listing says; times instead of ages, so that these grow while no further listing comes."""

    disks: int = 0
    unprotected: int = 0
    """Disks with a volume, and not on their way out, that have no good snapshot."""
    unprotected_since: datetime | None = None
    """Of the disk that was kept longest ago: when that was, or when the disk was made if it never was."""
    snapshots: Mapping[str, int] = field(default_factory=dict)
    """How many are in each of STATES."""
    newest: datetime | None = None
    """When the newest good snapshot was taken."""
    runs: Runs = field(default_factory=Runs)
    drills: Drills = field(default_factory=Drills)


def figures(
    claims: Iterable[Json],
    snapshots: Iterable[Json],
    schedules: Iterable[Json],
    jobs: Iterable[Json],
    now: datetime,
) -> Figures:
    """Return the figures of a listing of now; each iterable is gone through once, and the first two may be long."""
    states: Counter[str] = Counter()
    kept: dict[str, datetime] = {}
    drills = Drills()
    for item in snapshots:
        snapshot = snapshot_of(item)
        state = state_of(snapshot, now)
        states[state] += 1
        drills.count(item, snapshot.good)
        if state == "good":
            kept[snapshot.disk_uid] = max(snapshot.taken, kept.get(snapshot.disk_uid, snapshot.taken))
    disks = list(map(disk_of, claims))
    counted = [disk for disk in disks if disk.bound and not disk.deleting]
    by_schedule = runs_by_schedule(schedules, jobs)
    drills.failed_runs = {action: by_schedule[name].failed for action, name in ACTIONS.items() if name in by_schedule}
    return Figures(
        disks=len(disks),
        unprotected=sum(1 for disk in counted if disk.uid not in kept),
        unprotected_since=min((_since(disk, kept) for disk in counted), default=None),
        snapshots={state: states[state] for state in STATES},
        newest=max(kept.values(), default=None),
        runs=by_schedule.get(SCHEDULE, Runs()),
        drills=drills,
    )


def state_of(snapshot: Snapshot, now: datetime) -> str:
    """Return which of STATES a snapshot is in."""
    if snapshot.deleting:
        return "deleting"
    if snapshot.good:
        return "good" if snapshot.protects(now) else "strange"
    return "failed" if snapshot.error else "pending"


def _since(disk: Disk, kept: Mapping[str, datetime]) -> datetime:
    """Return from when on changes to a disk are in no snapshot of it; those of an older claim count for nothing."""
    return kept.get(disk.uid) or moment(disk.created)


def runs_by_schedule(schedules: Iterable[Json], jobs: Iterable[Json]) -> dict[str, Runs]:
    """Return what the Jobs of each CronJob say, by the component that a CronJob and its Jobs are."""
    listed: dict[str, tuple[list[Json], list[Json]]] = {}
    for place, items in enumerate((schedules, jobs)):
        for item in items:
            component = (item["metadata"].get("labels") or {}).get("component", "")
            listed.setdefault(component, ([], []))[place].append(item)
    return {component: runs_of(*both) for component, both in listed.items()}


def runs_of(schedules: Iterable[Json], jobs: Iterable[Json]) -> Runs:
    """Return what CronJobs and their Jobs say; a success whose Job is gone is still known to the CronJob."""
    listed = list(schedules)
    succeeded: dict[datetime, float | None] = {}
    failures = []
    for schedule in listed:
        if text := (schedule.get("status") or {}).get("lastSuccessfulTime"):
            succeeded[moment(text)] = None
    for job in jobs:
        status = job.get("status") or {}
        met = {item["type"] for item in status.get("conditions") or () if item.get("status") == "True"}
        if "Complete" in met and status.get("completionTime") and status.get("startTime"):
            end = moment(status["completionTime"])
            succeeded[end] = (end - moment(status["startTime"])).total_seconds()
        elif "Failed" in met:
            failures.append(moment(job["metadata"]["creationTimestamp"]))
    last = max(succeeded, default=None)
    return Runs(
        scheduled=any(not (schedule.get("spec") or {}).get("suspend") for schedule in listed),
        last_success=last,
        last_seconds=succeeded[last] if last else None,
        failed=sum(1 for begun in failures if last is None or begun > last),
    )
