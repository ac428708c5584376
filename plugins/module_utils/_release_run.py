# Copyright: campus.jupyterhub contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Delete disks for good: besides a teardown that is told to, the only thing in the collection that does.

Private to the collection: it may change in any release.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from ansible_collections.campus.jupyterhub.plugins.module_utils._cluster import ClusterError
from ansible_collections.campus.jupyterhub.plugins.module_utils._disk_snapshots import API, OURS, snapshot_of
from ansible_collections.campus.jupyterhub.plugins.module_utils._quantity import to_bytes
from ansible_collections.campus.jupyterhub.plugins.module_utils._release import (
    FAILED,
    RELEASED,
    SHOWN,
    Release,
    confirmation,
    is_unclaimed,
    left_behind,
    oldest_of,
    releases,
    require_confirmation,
)
from ansible_collections.campus.jupyterhub.plugins.module_utils._side_disk import users_of
from ansible_collections.campus.jupyterhub.plugins.module_utils._side_disk_run import Api, RestoreError, SideDisks
from ansible_collections.campus.jupyterhub.plugins.module_utils._snapshot_remove import remove_all
from ansible_collections.campus.jupyterhub.plugins.module_utils._student_disks import (
    CHOICE,
    DISKS,
    Disk,
    SelectionError,
    chosen,
    disk_of,
    require_at_least,
)

Json = dict[str, Any]

CLAIM = "PersistentVolumeClaim"
VOLUME = "PersistentVolume"
ARGUMENTS: dict[str, Any] = {
    **CHOICE,
    "confirm": {"type": "str", "default": ""},
    "hours": {"type": "float", "default": 24.0},
    "snapshots": {"type": "bool", "default": False},
    "replaced": {"type": "bool", "default": False},
    "parallel": {"type": "int", "default": 20},
    "timeout": {"type": "int", "default": 300},
}


def found_of(api: Api, options: Mapping[str, Any], now: datetime) -> list[Release]:
    """Return what the options mean.

    Raises:
        SelectionError: nobody is named, what is named must not be deleted, or an option cannot be meant.
    """
    if not (options["students"] or options["courses"] or options["query"]):
        raise SelectionError("Whose disks are to be deleted is not said; name students, courses or a query.")
    require_at_least(options, {"parallel": 1, "timeout": 1})
    oldest = oldest_of(options["hours"], now)
    namespace = options["namespace"]
    every = [disk_of(each) for each in api.list(CLAIM, "v1", namespace, DISKS)]
    if options["replaced"]:
        return _replaced(left_behind(api.list(VOLUME, "v1"), namespace, to_bytes), every, options)
    disks = chosen(every, options["students"], options["courses"], options["query"])
    snapshots = [snapshot_of(item) for item in api.list("VolumeSnapshot", API, namespace, OURS)]
    pods = api.list("Pod", "v1", namespace)
    return releases(disks, snapshots, pods, oldest=oldest, with_snapshots=options["snapshots"])


def _replaced(left: list[Release], disks: list[Disk], options: Mapping[str, Any]) -> list[Release]:
    """Return the volumes of the chosen students, of whom some may have no disk any more."""
    students, courses, query = options["students"], options["courses"], options["query"]
    without = {each.student for each in left} - {disk.student for disk in disks}
    # An expression is about a disk, so it never means somebody who has none.
    named = set() if query else without.intersection(students)
    others = [student for student in students if student not in named]
    found = chosen(disks, others, courses, query) if others or courses or query else []
    wanted = named | {disk.student for disk in found}
    return [each for each in left if each.student in wanted]


def release(
    api: Api,
    options: Mapping[str, Any],
    check_mode: bool,
    sides: SideDisks | None = None,
    now: datetime | None = None,
) -> Json:
    """Return what was deleted, or in check mode would be; ``failed_disks`` counts what is still there.

    Raises:
        SelectionError: nobody is named, something must not be deleted, or it was not confirmed; nothing was deleted.
        ClusterError: the cluster does not answer.
    """
    found = found_of(api, options, now or datetime.now(UTC))
    words = confirmation(found, options["replaced"], options["snapshots"])
    sides = sides or SideDisks(api, options["namespace"], options["timeout"])
    if check_mode:
        rows = [each.row() for each in found]
    else:
        if found:
            require_confirmation(options["confirm"], words, found)
        rows = [_delete(sides, each, options["parallel"]) for each in found]
    failed = [row for row in rows if row["state"] == FAILED]
    reasons = "; ".join(f"{row['student']}: {row['message']}" for row in failed[:SHOWN])
    return {
        "changed": bool(found),
        "disks": rows,
        "confirmation": words,
        "failed_disks": len(failed),
        "msg": f"{len(failed)} of {len(rows)} could not be deleted. {reasons}" if failed else "",
        "diff": {"before": "".join(f"{each.student} {each.volume} {each.size}\n" for each in found), "after": ""},
    }


def _delete(sides: SideDisks, wanted: Release, parallel: int) -> Json:
    """Delete one disk and wait until its storage is given back; one that fails does not stop the others."""
    try:
        _require_as_planned(sides, wanted)
        if wanted.volume:
            # First, so that a repeat still finds the claim and goes on.
            sides.api.patch(VOLUME, wanted.volume, None, {"spec": {"persistentVolumeReclaimPolicy": "Delete"}})
        if wanted.disk:
            sides.api.delete(CLAIM, wanted.disk.name, wanted.disk.namespace, wanted.disk.uid)
            _wait_until_gone(sides, CLAIM, wanted.disk.name, wanted.disk.namespace, wanted.disk.uid)
        if wanted.volume:
            _wait_until_gone(sides, VOLUME, wanted.volume, None, "")
        errors = remove_all(sides.api, wanted.snapshots, parallel, sides.seconds, sides.clock)
    except (ClusterError, RestoreError) as error:
        _retain(sides, wanted)
        return wanted.row(FAILED, str(error))
    left = [reason for reason in errors.values() if reason]
    return wanted.row(FAILED, left[0]) if left else wanted.row(RELEASED)


def _retain(sides: SideDisks, wanted: Release) -> None:
    """Keep the volume of a claim that is still there: somebody may work on it by now."""
    with contextlib.suppress(ClusterError):
        if wanted.disk and wanted.volume and sides.api.get(CLAIM, wanted.disk.name, wanted.disk.namespace):
            sides.api.patch(VOLUME, wanted.volume, None, {"spec": {"persistentVolumeReclaimPolicy": "Retain"}})


def _require_as_planned(sides: SideDisks, wanted: Release) -> None:
    """Raise RestoreError when since the plan was made a server has started, or a restore has changed what is whose."""
    if wanted.disk:
        claim = sides.api.get(CLAIM, wanted.disk.name, wanted.disk.namespace)
        if claim and claim["metadata"]["uid"] != wanted.disk.uid:
            raise RestoreError(f"The disk {wanted.disk.name} was replaced meanwhile; see what it is now and run again.")
        if users_of(sides.api.list("Pod", "v1", sides.namespace), wanted.disk.name):
            raise RestoreError(f"The disk {wanted.disk.name} is in use by now; stop the server first.")
    else:
        volume = sides.api.get(VOLUME, wanted.volume)
        if volume and not is_unclaimed(volume):
            raise RestoreError(f"The volume {wanted.volume} was given a claim meanwhile; it may be in use.")


def _wait_until_gone(sides: SideDisks, kind: str, name: str, namespace: str | None, uid: str) -> None:
    def gone() -> bool | None:
        left = sides.api.get(kind, name, namespace)
        return True if left is None or (uid and left["metadata"]["uid"] != uid) else None

    sides.until(f"Deleting the {kind} {name}", gone)
