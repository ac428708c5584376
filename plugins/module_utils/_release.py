# Copyright: campus.jupyterhub contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Which disks may be deleted for good, and what has to be said before. Pure.

Private to the collection: it may change in any release.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from ansible_collections.campus.jupyterhub.plugins.module_utils._disk_snapshots import Snapshot, by_disk
from ansible_collections.campus.jupyterhub.plugins.module_utils._disk_swap import REPLACED
from ansible_collections.campus.jupyterhub.plugins.module_utils._restore_plan import written
from ansible_collections.campus.jupyterhub.plugins.module_utils._side_disk import users_of
from ansible_collections.campus.jupyterhub.plugins.module_utils._student_disks import STUDENT, Disk, SelectionError

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
    oldest: datetime,
    with_snapshots: bool,
) -> list[Release]:
    """Return what is deleted of the chosen disks.

    Raises:
        SelectionError: one of them is in use, or its newest good snapshot is older than ``oldest``; none is deleted.
    """
    used = [disk for disk in disks if users_of(pods, disk.name)]
    if used:
        raise SelectionError(f"The disk of {_names(used)} is in use; stop the server first. Nothing was deleted.")
    own = by_disk(snapshots)
    found = []
    for disk in disks:
        # One that was taken of an earlier claim of this name shows what was on another volume, and may be another's.
        named = own.get(disk.name, [])
        good = [each for each in named if each.good and each.disk_uid == disk.uid]
        theirs = (each for each in named if each.disk_uid == disk.uid or each.student == disk.student)
        going = tuple(theirs) if with_snapshots else ()
        found.append(Release(disk.student, disk.volume, disk.size, disk, good[-1] if good else None, going))
    unsafe = [
        each.disk for each in found if each.disk and each.volume and not (each.newest and each.newest.taken >= oldest)
    ]
    if unsafe:
        raise SelectionError(
            f"The disk of {_names(unsafe)} has no good snapshot since {written(oldest)}; take one first. "
            "Nothing was deleted."
        )
    return found


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


def is_unclaimed(volume: Json) -> bool:
    """Say whether the claim that a volume had is gone, so that nobody can use it."""
    return (volume.get("status") or {}).get("phase") == "Released"


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
        names = sorted({each.student for each in found})
        more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
        raise SelectionError(
            f"Nothing was deleted: this deletes for good what {', '.join(names[:SHOWN])}{more} had. "
            f"If that is meant, confirm it with the words '{wanted}'."
        )


def _names(disks: Sequence[Disk]) -> str:
    names = [disk.student for disk in disks]
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return f"{', '.join(names[:SHOWN])}{more}"
