# Copyright: campus.jupyterhub contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Delete disks for good: besides a teardown that is told to, the only thing in the collection that does.

Private to the collection: it may change in any release.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from ansible_collections.campus.jupyterhub.plugins.module_utils._cluster import ClusterError
from ansible_collections.campus.jupyterhub.plugins.module_utils._disk_snapshots import (
    API,
    OURS,
    Snapshot,
    selectors_of,
    snapshot_of,
)
from ansible_collections.campus.jupyterhub.plugins.module_utils._quantity import to_bytes
from ansible_collections.campus.jupyterhub.plugins.module_utils._release import (
    FAILED,
    RELEASED,
    SHOWN,
    Release,
    confirmation,
    left_behind,
    oldest_of,
    releases,
    require_confirmation,
)
from ansible_collections.campus.jupyterhub.plugins.module_utils._release_record import (
    Begun,
    begun_in,
    belonged_to,
    is_unclaimed,
    recorded,
)
from ansible_collections.campus.jupyterhub.plugins.module_utils._restore_plan import written
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
    required_namespace,
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
    namespace = required_namespace(options)
    if not (options["students"] or options["courses"] or options["query"]):
        raise SelectionError("Whose disks are to be deleted is not said; name students, courses or a query.")
    require_at_least(options, {"parallel": 1, "timeout": 1})
    oldest = oldest_of(options["hours"], now)
    every = [disk_of(each) for each in api.list(CLAIM, "v1", namespace, DISKS)]
    volumes = api.list(VOLUME, "v1")
    if options["replaced"]:
        return _replaced(left_behind(volumes, namespace, to_bytes), every, options)
    claimed = {disk.uid for disk in every}
    begun = {each.disk.uid: each for each in begun_in(volumes, namespace) if each.disk.uid not in claimed}
    left = [each.disk for each in begun.values()]
    disks = chosen([*every, *left], options["students"], options["courses"], options["query"])
    snapshots = [snapshot_of(item) for item in api.list("VolumeSnapshot", API, namespace, OURS)]
    pods = api.list("Pod", "v1", namespace)
    return releases(
        disks,
        snapshots,
        pods,
        present=every,
        begun=begun,
        now=now,
        oldest=oldest,
        with_snapshots=options["snapshots"],
    )


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
        rows = [_delete(sides, each, options) for each in found]
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


def _delete(sides: SideDisks, wanted: Release, options: Mapping[str, Any]) -> Json:
    """Delete one disk and wait until its storage is given back; one that fails does not stop the others.

    The volume is the last to go, since the record on it is how a repeat finds what is left; where there is none, that
    is the claim.
    """
    try:
        _require_as_planned(sides, wanted)
        if wanted.volume and wanted.disk:
            _take_claim(sides, wanted, wanted.disk)
        errors = remove_all(sides.api, wanted.snapshots, options["parallel"], sides.seconds, sides.clock)
        left = [reason for reason in errors.values() if reason]
        if left:
            return wanted.row(FAILED, left[0])
        if wanted.volume and wanted.disk and options["snapshots"]:
            _require_no_more(sides, wanted.disk)
        if wanted.volume:
            _free(sides, wanted)
        elif wanted.disk:
            _delete_claim(sides, wanted.disk)
    except (ClusterError, RestoreError) as error:
        return wanted.row(FAILED, str(error))
    return wanted.row(RELEASED)


def _require_as_planned(sides: SideDisks, wanted: Release) -> None:
    """Raise RestoreError when since the plan was made a server has started, or a restore has changed what is whose."""
    if wanted.disk and not wanted.begun:
        claim = sides.api.get(CLAIM, wanted.disk.name, wanted.disk.namespace)
        if claim is None or claim["metadata"]["uid"] != wanted.disk.uid:
            what = "replaced" if claim else "removed"
            raise RestoreError(f"The disk {wanted.disk.name} was {what} meanwhile; see what it is now and run again.")
        if users_of(sides.api.list("Pod", "v1", sides.namespace), wanted.disk.name):
            raise RestoreError(f"The disk {wanted.disk.name} is in use by now; stop the server first.")
    if wanted.volume:
        _require_theirs(sides.api.get(VOLUME, wanted.volume), wanted)


def _require_theirs(volume: Json | None, wanted: Release) -> None:
    """Raise RestoreError when a volume has another claim than the one that it goes with."""
    if volume and not (belonged_to(volume, wanted.disk) if wanted.disk else is_unclaimed(volume)):
        raise RestoreError(f"The volume {wanted.volume} was given a claim meanwhile; it may be in use.")


def _take_claim(sides: SideDisks, wanted: Release, disk: Disk) -> None:
    """Delete the claim of a disk that has a volume, which stays, and record that the claim is gone.

    The volume of a claim that is there is always retained, so whatever stops this, no work is lost.
    """
    record = wanted.begun or Begun(disk, _written(wanted.newest))
    if not wanted.begun:
        sides.api.patch(VOLUME, disk.volume, None, recorded(record))
        _delete_claim(sides, disk)
    newest = record.newest if record.ended else _written(wanted.newest)
    ended = Begun(disk, newest, ended=True, snapshots=record.snapshots or bool(wanted.snapshots))
    if ended != record:
        try:
            sides.api.patch(VOLUME, disk.volume, None, recorded(ended))
        except ClusterError as error:
            # What was to be deleted with its claim may be on its way before it is known to be retained.
            if error.status != 404:
                raise


def _written(snapshot: Snapshot | None) -> str:
    return written(snapshot.taken) if snapshot else ""


def _delete_claim(sides: SideDisks, disk: Disk) -> None:
    """Delete the claim of a disk and wait until it is gone."""
    sides.api.delete(CLAIM, disk.name, disk.namespace, disk.uid)
    _wait_until_gone(sides, CLAIM, disk.name, disk.namespace, disk.uid)


def _require_no_more(sides: SideDisks, disk: Disk) -> None:
    """Raise RestoreError when snapshots were taken that are not in the number that was confirmed."""
    found = [
        snapshot_of(item)
        for selector in selectors_of([disk]) or [OURS]
        for item in sides.api.list("VolumeSnapshot", API, disk.namespace, selector)
    ]
    more = [each for each in found if each.disk_uid == disk.uid and not each.deleting]
    if more:
        raise RestoreError(
            f"{len(more)} snapshots of the disk {disk.name} were taken meanwhile; run again to delete these too, and "
            "its volume."
        )


def _free(sides: SideDisks, wanted: Release) -> None:
    """Let the storage of a volume be given back, but never of one that has a claim."""

    def unclaimed() -> bool | None:
        volume = sides.api.get(VOLUME, wanted.volume)
        if volume is None:
            return False
        _require_theirs(volume, wanted)
        return True if is_unclaimed(volume) else None

    if sides.until(f"Taking the claim from the volume {wanted.volume}", unclaimed):
        sides.api.patch(VOLUME, wanted.volume, None, {"spec": {"persistentVolumeReclaimPolicy": "Delete"}})
        _wait_until_gone(sides, VOLUME, wanted.volume, None, "")


def _wait_until_gone(sides: SideDisks, kind: str, name: str, namespace: str | None, uid: str) -> None:
    def gone() -> bool | None:
        left = sides.api.get(kind, name, namespace)
        return True if left is None or (uid and left["metadata"]["uid"] != uid) else None

    sides.until(f"Deleting the {kind} {name}", gone)
