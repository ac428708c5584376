# Copyright: campus.jupyterhub contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Which disks may be deleted for good, and what has to be said before. Pure.

Private to the collection: it may change in any release.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from ansible_collections.campus.jupyterhub.plugins.module_utils._disk_snapshots import Snapshot, by_disk
from ansible_collections.campus.jupyterhub.plugins.module_utils._disk_swap import REPLACED
from ansible_collections.campus.jupyterhub.plugins.module_utils._release_record import Begun, is_unclaimed
from ansible_collections.campus.jupyterhub.plugins.module_utils._restore_plan import written
from ansible_collections.campus.jupyterhub.plugins.module_utils._side_disk import users_of
from ansible_collections.campus.jupyterhub.plugins.module_utils._student_disks import (
    STUDENT,
    Disk,
    SelectionError,
    moment,
)

Json = dict[str, Any]

SHOWN: Final = 5
LONGEST: Final = 10 * 365 * 24
"""Hours for which any snapshot may count as young."""
PLANNED, RELEASED, FAILED = "planned", "released", "failed"


@dataclass(frozen=True)
class Release:
    """What of one student is to be deleted."""

    student: str
    volume: str
    """Name of the PersistentVolume."""
    size: int
    disk: Disk | None = None
    """The claim that goes with it; None for a volume that a restore replaced."""
    begun: Begun | None = None
    """What was recorded of it where an earlier run has taken the claim away already."""
    newest: Snapshot | None = None
    """The snapshot that makes it safe."""
    snapshots: tuple[Snapshot, ...] = ()
    """Snapshots that go too."""

    def row(self, state: str = PLANNED, message: str = "") -> Json:
        """Return what the module reports."""
        return {
            "student": self.student,
            "disk": self.disk.name if self.disk else "",
            "volume": self.volume,
            "size": self.size,
            "last_snapshot": written(self.newest.taken) if self.newest else "",
            "snapshots": [each.name for each in self.snapshots],
            "state": state,
            "message": message,
        }


def oldest_of(hours: float, now: datetime) -> datetime:
    """Return when a snapshot must have been taken to be young enough; raises SelectionError for hours like NaN."""
    if not 0 <= hours <= LONGEST:
        raise SelectionError(f"hours is {hours:g}; it is between 0 and {LONGEST}. Nothing was deleted.")
    return now - timedelta(hours=hours)


def releases(
    disks: Sequence[Disk],
    snapshots: Iterable[Snapshot],
    pods: Sequence[Json],
    *,
    present: Iterable[Disk],
    begun: Mapping[str, Begun],
    now: datetime,
    oldest: datetime,
    with_snapshots: bool,
) -> list[Release]:
    """Return what is deleted of the chosen disks.

    Args:
        disks: the chosen disks.
        snapshots: of all disks.
        pods: all that may use a disk.
        present: all disks whose claims are there.
        begun: those whose claims an earlier run has taken away, by uid.
        now: the time; a snapshot whose date cannot be true makes no disk safe.
        oldest: when the snapshot that makes a disk safe must have been taken, or later.
        with_snapshots: whether the snapshots go too.

    Raises:
        SelectionError: one of them is in use, or its newest good snapshot is older than ``oldest``; none is deleted.
    """
    # What uses the name of a claim that is gone uses a later disk.
    used = [disk for disk in disks if disk.uid not in begun and users_of(pods, disk.name)]
    if used:
        names = _names(disk.student for disk in used)
        raise SelectionError(f"The disk of {names} is in use; stop the server first. Nothing was deleted.")
    own, claimed = by_disk(snapshots), {disk.name for disk in present}
    found = []
    for disk in disks:
        # One that was taken of an earlier claim of this name shows what was on another volume, and may be another's.
        named = own.get(disk.name, [])
        good = [each for each in named if each.protects(now) and each.disk_uid == disk.uid]
        newest = good[-1] if good else None
        going = _theirs(disk, named, begun, claimed) if with_snapshots else ()
        found.append(Release(disk.student, disk.volume, disk.size, disk, begun.get(disk.uid), newest, going))
    _require_safe(found, oldest, with_snapshots)
    return found


def _theirs(
    disk: Disk, named: Iterable[Snapshot], begun: Mapping[str, Begun], claimed: set[str]
) -> tuple[Snapshot, ...]:
    """Return which snapshots of a claim's name go with a disk: its own, and its student's of former claims.

    The latter go with the claim that is there, and those of a disk whose release was begun with that disk.
    """
    later = disk.uid in begun and disk.name in claimed
    return tuple(
        each
        for each in named
        if each.disk_uid == disk.uid or (each.student == disk.student and not later and each.disk_uid not in begun)
    )


def _require_safe(found: Iterable[Release], oldest: datetime, with_snapshots: bool) -> None:
    """Raise SelectionError when a disk has no snapshot that makes it safe to delete it.

    One whose claim a run saw go was safe then, and is as long as it has a snapshot as new as then; or where its
    snapshots began to go and are to go, since some are gone already.
    """
    old, claimless, lost = [], [], []
    for each in found:
        taken, record = each.newest.taken if each.newest else None, each.begun
        if not each.volume or (taken and taken >= oldest):
            continue
        if record is None:
            old.append(each.student)
        elif record.ended and taken and taken >= moment(record.newest):
            continue
        elif not record.snapshots:
            claimless.append(each.student)
        elif not with_snapshots:
            lost.append(each.student)
    since = f"has no good snapshot since {written(oldest)}"
    for students, why in (
        (old, f"{since}; take one first"),
        (claimless, f"{since}; its claim is gone, so none can be taken: release it with more hours"),
        (lost, "has lost the snapshot that made it safe to delete it; release it with its snapshots, as was begun"),
    ):
        if students:
            raise SelectionError(f"The disk of {_names(students)} {why}. Nothing was deleted.")


def left_behind(volumes: Iterable[Json], namespace: str, sizes: Any) -> list[Release]:
    """Return the volumes of students that restores of whole disks replaced; ``sizes`` reads a quantity."""
    found = []
    for volume in volumes:
        meta, spec = volume["metadata"], volume["spec"]
        annotations, claim = meta.get("annotations") or {}, spec.get("claimRef") or {}
        student, ours = annotations.get(STUDENT, ""), claim.get("namespace") == namespace
        if student and ours and REPLACED in annotations and is_unclaimed(volume):
            found.append(Release(student, meta["name"], sizes((spec.get("capacity") or {}).get("storage", 1))))
    return sorted(found, key=lambda each: (each.student, each.volume))


def confirmation(found: Sequence[Release], replaced: bool, with_snapshots: bool) -> str:
    """Return the words that have to be repeated."""
    what = "replaced volume" if replaced else "disk"
    number = len(found)
    snapshots = sum(len(each.snapshots) for each in found)
    too = f" and {snapshots} snapshots" if with_snapshots and not replaced else ""
    return f"delete {number} {what}{'' if number == 1 else 's'}{too}"


def require_confirmation(given: str, wanted: str, found: Sequence[Release]) -> None:
    """Raise SelectionError unless exactly what is going to happen was repeated."""
    if given != wanted:
        names = _names(sorted({each.student for each in found}))
        raise SelectionError(
            f"Nothing was deleted: this deletes for good what {names} had. "
            f"If that is meant, confirm it with the words '{wanted}'."
        )


def _names(students: Iterable[str]) -> str:
    names = list(students)
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return f"{', '.join(names[:SHOWN])}{more}"
