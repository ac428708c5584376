# Copyright: campus.jupyterhub contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a run of snapshots is to do: which disks get one, and which older ones go. Pure.

Private to the collection: it may change in any release.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from ansible_collections.campus.jupyterhub.plugins.module_utils._disk_snapshots import Snapshot, by_disk
from ansible_collections.campus.jupyterhub.plugins.module_utils._retention import Point, Policy, decide
from ansible_collections.campus.jupyterhub.plugins.module_utils._student_disks import Disk


@dataclass(frozen=True)
class Wish:
    """What a run is asked for."""

    take: bool = True
    policy: Policy | None = None
    """Which snapshots stay; None removes nothing."""
    max_delete_fraction: float = 0.5
    min_age: float = 0
    """Seconds: a disk whose newest good snapshot is younger gets no further one."""


@dataclass(frozen=True)
class Pruning:
    """What becomes of the older snapshots of a disk."""

    remove: tuple[Snapshot, ...] = ()
    """Oldest first."""
    held_back: tuple[str, ...] = ()
    """Names of those that would go as well, were it not more than may go in one run."""
    strange: tuple[str, ...] = ()
    """Names of those whose date cannot be true, which nothing touches."""


@dataclass(frozen=True)
class Step:
    """What is to be done for one disk."""

    disk: Disk
    why_not: str
    """Why the disk gets no snapshot; empty when it gets one."""
    snapshots: tuple[Snapshot, ...]
    """Those it has, oldest first."""


def steps(disks: Iterable[Disk], snapshots: Iterable[Snapshot], wish: Wish, now: datetime) -> list[Step]:
    """Return a step for each disk, in the disks' order."""
    present = by_disk(snapshots)
    return [
        Step(disk, _why_not(disk, present.get(disk.name, ()), wish, now), tuple(present.get(disk.name, ())))
        for disk in disks
    ]


def _why_not(disk: Disk, snapshots: Sequence[Snapshot], wish: Wish, now: datetime) -> str:
    if not wish.take:
        return "none was asked for"
    if disk.deleting:
        return "it is being deleted"
    if not disk.bound:
        return "it has no volume yet"
    newest = max((item.taken for item in snapshots if item.protects(now)), default=None)
    if newest is not None and timedelta(0) <= now - newest < timedelta(seconds=wish.min_age):
        return f"its newest is {(now - newest).total_seconds():.0f} s old"
    return ""


def pruning(step: Step, wish: Wish, now: datetime, name: str = "", taken: datetime | None = None) -> Pruning:
    """Return what goes of a disk's snapshots; ``name`` and ``taken`` are those of a new good one, if there is one."""
    if wish.policy is None:
        return Pruning()
    known = {item.name: item for item in step.snapshots if not item.deleting}
    points = [Point(item.name, item.taken, item.good) for item in known.values() if not item.strange]
    if taken is not None:
        points.append(Point(name, taken, True))
    verdict = decide(points, wish.policy, now, wish.max_delete_fraction)
    remove = tuple(known[name] for name in verdict.remove if name in known)
    strange = tuple(item.name for item in known.values() if item.strange)
    return Pruning(remove, verdict.held_back, verdict.strange + strange)


def listing(plan: Iterable[Step], outcome: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """Return before and after of a run as the text of a diff: a line a snapshot, ``student: name``.

    ``outcome`` tells for each step the ``snapshot`` it took, if any, and the names of those it ``removed``.
    """
    before: list[str] = []
    after: list[str] = []
    for step, done in zip(plan, outcome, strict=True):
        lines = {item.name: f"{step.disk.student}: {item.name}\n" for item in step.snapshots}
        before += lines.values()
        after += [line for name, line in lines.items() if name not in done["removed"]]
        if done["snapshot"]:
            after.append(f"{step.disk.student}: {done['snapshot']}\n")
    return {"before": "".join(before), "after": "".join(after)}
