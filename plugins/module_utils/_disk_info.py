# Copyright: campus.jupyterhub contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What is known about each student's disk: size, use, age, and how well it is protected.

Private to the collection: it may change in any release.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from ansible_collections.campus.jupyterhub.plugins.module_utils._cluster import ClusterError
from ansible_collections.campus.jupyterhub.plugins.module_utils._disk_snapshots import (
    API,
    OURS,
    Snapshot,
    by_disk,
    snapshot_of,
)
from ansible_collections.campus.jupyterhub.plugins.module_utils._student_disks import (
    DISKS,
    Disk,
    chosen,
    disk_of,
    moment,
    required_namespace,
)

Json = dict[str, Any]

SERVERS = "component=singleuser-server"


def rows(disks: Iterable[Disk], snapshots: Iterable[Snapshot], used: Mapping[str, int], now: datetime) -> list[Json]:
    """Return a dictionary a disk; ``used`` are bytes by the name of the claim, where they are known."""
    present = by_disk(snapshots)
    return [_row(disk, present.get(disk.name, []), used.get(disk.name), now) for disk in disks]


def _row(disk: Disk, snapshots: Iterable[Snapshot], used: int | None, now: datetime) -> Json:
    every = [item for item in snapshots if item.protects(now)]
    good = [item.taken for item in every]
    # Those of an earlier claim of this name can be restored from, but hold nothing of what is on the disk now.
    last = max((item.taken for item in every if item.disk_uid in ("", disk.uid)), default=None)
    created = moment(disk.created)
    return {
        "student": disk.student,
        "disk": disk.name,
        "course": disk.course,
        "storage_class": disk.storage_class,
        "phase": disk.phase,
        "size": disk.size,
        "wanted": disk.wanted,
        "used": used,
        "used_share": None if used is None else round(used / disk.size, 3),
        "age_seconds": _seconds(now, created),
        "snapshots": len(good),
        "first_snapshot": _text(min(good, default=None)),
        "last_snapshot": _text(max(good, default=None)),
        "unprotected_seconds": _seconds(now, last or created),
    }


def _seconds(now: datetime, then: datetime) -> int:
    return max(0, int((now - then).total_seconds()))


def _text(time: datetime | None) -> str | None:
    return None if time is None else f"{time.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def disk_info(cluster: Any, options: Mapping[str, Any]) -> tuple[list[Json], list[str]]:
    """Return a dictionary for each chosen disk, and warnings about what could not be found out.

    Raises:
        ClusterError: the cluster does not answer.
        SelectionError: no disk can be meant.
    """
    namespace = required_namespace(options)
    cluster.expect_uid(options["cluster_uid"])
    claims = cluster.list("PersistentVolumeClaim", "v1", namespace, DISKS)
    disks = chosen(map(disk_of, claims), options["students"], options["courses"], options["query"])
    warnings: list[str] = []
    used = _used(cluster, namespace, warnings) if options["measure"] else {}
    return rows(disks, _snapshots(cluster, namespace, warnings), used, datetime.now(UTC)), warnings


def _snapshots(cluster: Any, namespace: str, warnings: list[str]) -> list[Snapshot]:
    try:
        return [snapshot_of(item) for item in cluster.each("VolumeSnapshot", API, namespace, OURS)]
    except ClusterError as error:
        if not error.unknown_kind:
            raise
        warnings.append("This cluster knows no snapshots; the role storage can bring them.")
        return []


def _used(cluster: Any, namespace: str, warnings: list[str]) -> dict[str, int]:
    """Return the used bytes of the disks of running servers; kubelet measures what is mounted and nothing else."""
    pods = cluster.list("Pod", "v1", namespace, SERVERS)
    found: dict[str, int] = {}
    for node in sorted({pod["spec"]["nodeName"] for pod in pods if pod["spec"].get("nodeName")}):
        try:
            volumes = cluster.volumes_in_use(node)
        except ClusterError as error:
            warnings.append(str(error))
            continue
        for volume in volumes:
            if volume["pvcRef"]["namespace"] == namespace and "usedBytes" in volume:
                found[volume["pvcRef"]["name"]] = int(volume["usedBytes"])
    return found
