# Copyright: campus.jupyterhub contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Whose disks and snapshots there are. Pure.

Private to the collection: it may change in any release.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ansible_collections.campus.jupyterhub.plugins.module_utils._disk_snapshots import COMPONENT, claim_of
from ansible_collections.campus.jupyterhub.plugins.module_utils._student_disks import STUDENT

Json = dict[str, Any]

HUB_DISKS = ("hub-db", "hub-backups")


def owners(
    claims: Iterable[Json],
    volumes: Iterable[Json] = (),
    without: str = "",
    snapshots: Iterable[Json] = (),
    contents: Iterable[Json] = (),
) -> list[str]:
    """Return the students who have disks or snapshots, each once, in order.

    ``claims`` are PersistentVolumeClaims of students; one without the student's name goes by its own. ``volumes`` are
    PersistentVolumes: one whose claim is gone still holds somebody's work, and goes by the claim's name. ``snapshots``
    are VolumeSnapshots; those of students count. ``contents`` are VolumeSnapshotContents: one whose snapshot is gone
    goes by whose disk it was made of, or by the snapshot's name when that is gone too. ``without`` is a user who is no
    student.
    """
    claims, volumes, snapshots = list(claims), list(volumes), list(snapshots)
    named = {_place(claim["metadata"]): _name(claim) or str(claim["metadata"]["name"]) for claim in claims}
    disks = {handle: volume for volume in volumes if (handle := _handle(volume))}
    there = {snapshot["metadata"].get("uid") for snapshot in snapshots}
    lost = [content for content in contents if content["spec"]["volumeSnapshotRef"].get("uid") not in there]
    names = {
        *named.values(),
        *(_left_behind(volume) for volume in volumes),
        *(_of_snapshot(snapshot, named) for snapshot in snapshots),
        *(_of_content(content, disks, named) for content in lost),
    }
    return sorted(names - {without, ""})


def _place(meta: Json) -> tuple[str, str]:
    """Return namespace and name."""
    return str(meta.get("namespace", "")), str(meta["name"])


def _name(item: Json) -> str:
    """Return the student that an object names, or nothing."""
    return str((item["metadata"].get("annotations") or {}).get(STUDENT, ""))


def _handle(volume: Json) -> str:
    """Return what the driver calls a volume."""
    return str((volume.get("spec", {}).get("csi") or {}).get("volumeHandle", ""))


def _left_behind(volume: Json) -> str:
    """Return the name of a volume's lost claim; empty while it has one, never had one, or is the hub's own."""
    claim = volume.get("spec", {}).get("claimRef") or {}
    kept = volume.get("status", {}).get("phase") in ("Released", "Failed")
    return str(claim.get("name", "")) if kept and claim.get("name") not in HUB_DISKS else ""


def _of_snapshot(snapshot: Json, named: dict[tuple[str, str], str]) -> str:
    """Return whose a snapshot is, as it or its disk says, else the disk's name; nothing where it is no student's."""
    meta = snapshot["metadata"]
    disk = claim_of(snapshot) or str(meta["name"])
    marked = (meta.get("labels") or {}).get("component") == COMPONENT
    return _name(snapshot) or named.get((str(meta.get("namespace", "")), disk), disk if marked else "")


def _of_content(content: Json, disks: dict[str, Json], named: dict[tuple[str, str], str]) -> str:
    """Return whose a content without a snapshot is; nothing where its disk is still there and no student's."""
    volume = disks.get(str(content["spec"].get("source", {}).get("volumeHandle", "")))
    if volume is None:
        return str(content["spec"]["volumeSnapshotRef"].get("name", content["metadata"]["name"]))
    claim = volume.get("spec", {}).get("claimRef") or {"name": ""}
    return named.get(_place(claim), _left_behind(volume))
