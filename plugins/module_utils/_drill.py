# Copyright: campus.jupyterhub contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Restore drills: whose snapshots are tried, and what is known of them. Pure.

Private to the collection: it may change in any release.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, TypeVar

from ansible_collections.campus.jupyterhub.plugins.module_utils._disk_snapshots import Snapshot, by_disk, snapshot_of
from ansible_collections.campus.jupyterhub.plugins.module_utils._manifest import read, record_of
from ansible_collections.campus.jupyterhub.plugins.module_utils._restore_plan import written
from ansible_collections.campus.jupyterhub.plugins.module_utils._student_disks import Disk, moment

Json = dict[str, Any]
T = TypeVar("T")

COMPARE: Final = "compare"
RECORD: Final = "record"
MARK: Final = "campus.jupyterhub/drill"
"""Label of all that drills make: the schedule's account may make and delete nothing else."""
READER: Final = "reader"
PLANNED, EQUAL, DIFFERENT, RECORDED, FAILED = "planned", "equal", "different", "recorded", "failed"


@dataclass(frozen=True)
class Trial:
    """One snapshot that is restored to a side disk, to be compared with its record or to make one."""

    action: str
    disk: Disk
    snapshot: Snapshot
    record: Mapping[str, Any] = field(default_factory=dict)

    def row(self, state: str = PLANNED, **more: Any) -> Json:
        """Return what the module reports."""
        return {
            "action": self.action,
            "student": self.disk.student,
            "disk": self.disk.name,
            "snapshot": self.snapshot.name,
            "taken": written(self.snapshot.taken),
            "state": state,
            "files": 0,
            "bytes": 0,
            "differs": [],
            "message": "",
            **more,
        }


def trials(disks: Sequence[Disk], items: Iterable[Json], actions: Sequence[str], sample: int, seed: str) -> list[Trial]:
    """Return what a drill tries: first the comparisons, then the records.

    Args:
        disks: the chosen ones.
        items: all VolumeSnapshots; gone through once, and may be many.
        actions: COMPARE, RECORD or both.
        sample: how many disks of each action; 0 for all.
        seed: the same gives the same sample.
    """
    good, records = [], {}
    for item in items:
        snapshot = snapshot_of(item)
        if snapshot.good:
            good.append(snapshot)
            # As text, and read for those alone that are tried: there may be thousands.
            records[snapshot.name] = record_of(item)
    own = by_disk(good)
    found: dict[str, list[tuple[Disk, Snapshot]]] = {COMPARE: [], RECORD: []}
    for disk in disks:
        mine = own.get(disk.name) or []
        known = [each for each in mine if records[each.name]]
        if known:
            found[COMPARE].append((disk, known[-1]))
        if mine and not records[mine[-1].name]:
            found[RECORD].append((disk, mine[-1]))
    return [
        Trial(action, disk, snapshot, read(records[snapshot.name]))
        for action, pairs in found.items()
        if action in actions
        for disk, snapshot in _some(pairs, sample, seed)
    ]


def left_behind(items: Iterable[Json], before: datetime) -> list[str]:
    """Return the names of what drills made before a time, and nobody will take away any more."""
    made = [item["metadata"] for item in items if (item["metadata"].get("labels") or {}).get(MARK) == READER]
    return [meta["name"] for meta in made if moment(meta["creationTimestamp"]) < before]


def _some(found: list[T], sample: int, seed: str) -> list[T]:
    """Return some of what was found, in its order."""
    if not sample or sample >= len(found):
        return found
    kept = set(random.Random(seed).sample(range(len(found)), sample))
    return [each for index, each in enumerate(found) if index in kept]


def trouble_of(row: Json) -> tuple[str, str] | None:
    """Return for a row that went wrong a word for programs and a sentence for people."""
    if row["state"] == DIFFERENT:
        differs = ", ".join(row["differs"])
        return "SnapshotDiffers", f"The snapshot {row['snapshot']} is not what was recorded of it: {differs}."
    if row["state"] == FAILED:
        return "SnapshotNotRestored", f"The snapshot {row['snapshot']} could not be restored: {row['message']}"
    return None


def sentence(rows: Sequence[Json]) -> str:
    """Return for people what a drill found; the first of what is wrong by name."""
    wrong = [row for row in rows if row["state"] in (DIFFERENT, FAILED)]
    if not wrong:
        equal, recorded = (sum(row["state"] == state for row in rows) for state in (EQUAL, RECORDED))
        return f"{equal} snapshots were restored and are what was recorded; {recorded} were recorded anew."
    first = wrong[0]
    why = f"differs in {', '.join(first['differs'])}" if first["differs"] else first["message"].rstrip(".")
    more = f" {len(wrong) - 1} more are in the list of disks." if len(wrong) > 1 else ""
    return f"{len(wrong)} of {len(rows)} trials failed. {first['snapshot']} of {first['student']}: {why}.{more}"
