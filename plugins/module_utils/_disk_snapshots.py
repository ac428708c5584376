# Copyright: campus.jupyterhub contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Snapshots of students' disks as VolumeSnapshot objects: how one is named, made and read. Pure.

Private to the collection: it may change in any release.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from ansible_collections.campus.jupyterhub.plugins.module_utils._quantity import to_bytes
from ansible_collections.campus.jupyterhub.plugins.module_utils._retention import from_the_future
from ansible_collections.campus.jupyterhub.plugins.module_utils._student_disks import COURSE, STUDENT, Disk, moment

Json = dict[str, Any]

API: Final = "snapshot.storage.k8s.io/v1"
MANAGER: Final = "campus.jupyterhub"
COMPONENT: Final = "singleuser-snapshot"
OURS: Final = f"component={COMPONENT},app.kubernetes.io/managed-by={MANAGER}"
CLAIM_NAME: Final = "campus.jupyterhub/claim"
"""Annotation of a snapshot that was made known again: its source is its content then, and no longer the claim."""
CLAIM_UID: Final = "campus.jupyterhub/claim-uid"
TAKEN: Final = "campus.jupyterhub/taken"
"""Annotation of such a snapshot with its time, since not every driver tells that of a snapshot made before."""
RUN: Final = "campus.jupyterhub/run"
REASON: Final = "campus.jupyterhub/reason"

_NAME: Final = 253 - len("-20261125-090000-000")
_TIME: Final = re.compile(r".+-\d{8}-\d{6}-\d{3}", re.ASCII)


@dataclass(frozen=True)
class Snapshot:
    """A snapshot that the collection made."""

    name: str
    namespace: str
    uid: str
    disk: str
    """Name of the claim it was taken of."""
    disk_uid: str
    """Its uid, which tells it from a later claim of the same name."""
    student: str
    course: str
    taken: datetime
    """When the disk's content was kept; when the object was made as long as the driver has not said."""
    ready: bool
    error: str
    size: int
    """Bytes that a disk made from it needs; 0 where the driver has not said."""
    content: str
    """Name of the VolumeSnapshotContent; empty while there is none."""
    reason: str
    deleting: bool
    strange: bool = False
    """Whether ``taken`` cannot be true; when it was taken is not known then, and nothing may be concluded from it."""

    @property
    def good(self) -> bool:
        """Whether a disk can be made from it; an error of an earlier attempt may still stand beside it."""
        return self.ready and not self.deleting

    def protects(self, now: datetime) -> bool:
        """Whether it is good, and known to hold what was on the disk when it says."""
        return self.good and not self.strange and not from_the_future(self.taken, now)


def snapshot_name(disk: Disk, now: datetime) -> str:
    """Return the name of the snapshot of a disk at a time, to the millisecond: two runs at once do not meet."""
    return f"{disk.name[:_NAME]}-{now.astimezone(UTC):%Y%m%d-%H%M%S}-{now.microsecond // 1000:03d}"


def is_named_as_ours(name: str) -> bool:
    """Say whether a snapshot's name is one that ``snapshot_name`` gives."""
    return bool(_TIME.fullmatch(name))


def manifest(disk: Disk, snapshot_class: str, now: datetime, run: str, reason: str) -> Json:
    """Return the VolumeSnapshot of a disk; ``run`` is a label that all of one run share."""
    labels = {
        "app": "jupyterhub",
        "component": COMPONENT,
        "app.kubernetes.io/managed-by": MANAGER,
        RUN: run,
        **{key: disk.labels[key] for key in (STUDENT, COURSE) if key in disk.labels},
    }
    return {
        "apiVersion": API,
        "kind": "VolumeSnapshot",
        "metadata": {
            "name": snapshot_name(disk, now),
            "namespace": disk.namespace,
            "labels": labels,
            "annotations": {STUDENT: disk.student, CLAIM_UID: disk.uid, REASON: reason},
        },
        "spec": {
            "volumeSnapshotClassName": snapshot_class,
            "source": {"persistentVolumeClaimName": disk.name},
        },
    }


def claim_of(item: Json) -> str:
    """Return the name of the claim that a VolumeSnapshot object was taken of, empty where it does not tell."""
    source = item.get("spec", {}).get("source") or {}
    named = (item["metadata"].get("annotations") or {}).get(CLAIM_NAME)
    return str(source.get("persistentVolumeClaimName") or named or "")


def taken_of(item: Json) -> str:
    """Return when the content of a VolumeSnapshot object was kept, as the API server writes times."""
    meta, status = item["metadata"], item.get("status") or {}
    told = (meta.get("annotations") or {}).get(TAKEN)
    return str(told or status.get("creationTime") or meta["creationTimestamp"])


def snapshot_of(item: Json) -> Snapshot:
    """Return what a VolumeSnapshot object says; a size or time in it that cannot be read is not known."""
    meta, status = item["metadata"], item.get("status") or {}
    annotations, disk = meta.get("annotations") or {}, claim_of(item)
    taken = _time(taken_of(item))
    return Snapshot(
        name=meta["name"],
        namespace=meta["namespace"],
        uid=meta.get("uid", ""),
        disk=disk,
        disk_uid=annotations.get(CLAIM_UID, ""),
        student=annotations.get(STUDENT) or disk,
        course=(meta.get("labels") or {}).get(COURSE, ""),
        taken=taken or moment(meta["creationTimestamp"]),
        ready=bool(status.get("readyToUse")),
        error=str((status.get("error") or {}).get("message") or ""),
        size=_size(status.get("restoreSize")),
        content=status.get("boundVolumeSnapshotContentName") or "",
        reason=annotations.get(REASON, ""),
        deleting=bool(meta.get("deletionTimestamp")),
        strange=taken is None,
    )


def _time(text: str) -> datetime | None:
    """Return a time in UTC, or None where the text is none or does not say its time zone."""
    try:
        time = moment(text)
        return time.astimezone(UTC) if time.tzinfo else None
    except (ValueError, OverflowError):
        return None


def _size(told: object) -> int:
    """Return the bytes of a restoreSize; it is 0 where a driver, such as LVM's or ZFS's, leaves it unset."""
    try:
        return to_bytes(told)
    except ValueError:
        return 0


def selectors_of(disks: Iterable[Disk]) -> list[str]:
    """Return the label selectors that find the snapshots of a student's disks without reading those of all others.

    Thousands of students have a hundred thousand snapshots. Empty where a disk has no label of its student, or there is
    none; a snapshot that was taken before its disk had that label is not found.
    """
    labels = {disk.labels.get(STUDENT, "") for disk in disks}
    return [f"{OURS},{STUDENT}={label}" for label in sorted(labels)] if all(labels) else []


def by_disk(snapshots: Iterable[Snapshot]) -> dict[str, list[Snapshot]]:
    """Return the snapshots of each claim by name, oldest first; a claim made anew goes on with those of its name."""
    found: dict[str, list[Snapshot]] = {}
    for snapshot in sorted(snapshots, key=lambda item: (item.taken, item.name)):
        found.setdefault(snapshot.disk, []).append(snapshot)
    return found
