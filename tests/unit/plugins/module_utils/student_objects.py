"""Claims and snapshots of students as the API server shows them."""

from __future__ import annotations

from typing import Any

from ansible_collections.campus.jupyterhub.plugins.module_utils._disk_snapshots import API, CLAIM_UID
from ansible_collections.campus.jupyterhub.plugins.module_utils._student_disks import STUDENT, Disk, disk_of

Json = dict[str, Any]


def claim(student: str = "ann", name: str = "", size: str = "10Gi", **labels: str) -> Json:
    """Return the claim of a student's disk, bound to a volume."""
    name = name or f"claim-{student}"
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {
            "name": name,
            "namespace": "jupyterhub",
            "uid": f"uid-{name}",
            "creationTimestamp": "2026-09-01T08:00:00Z",
            "labels": {"component": "singleuser-storage", **labels},
            "annotations": {STUDENT: student},
        },
        "spec": {
            "resources": {"requests": {"storage": size}},
            "storageClassName": "jupyterhub",
            "volumeName": f"pv-{name}",
        },
        "status": {"phase": "Bound", "capacity": {"storage": size}},
    }


def disk(student: str = "ann", **options: Any) -> Disk:
    """Return a student's disk."""
    return disk_of(claim(student, **options))


def snapshot(
    taken: str = "2026-11-25T09:00:00Z",
    student: str = "ann",
    name: str = "",
    ready: bool | None = None,
    error: str = "",
) -> Json:
    """Return a snapshot of a student's disk."""
    name = name or f"claim-{student}-{taken[:19].replace('-', '').replace(':', '').replace('T', '-')}"
    # A failed one is not ready; an error beside one that is ready has to be asked for.
    ready = not error if ready is None else ready
    status: Json = {"readyToUse": ready, "creationTime": taken, "restoreSize": "10Gi"}
    status["boundVolumeSnapshotContentName"] = f"snapcontent-{name}"
    if error:
        status["error"] = {"message": error}
    return {
        "apiVersion": API,
        "kind": "VolumeSnapshot",
        "metadata": {
            "name": name,
            "namespace": "jupyterhub",
            "uid": f"uid-{name}",
            "creationTimestamp": taken,
            "labels": {"component": "singleuser-snapshot", "app.kubernetes.io/managed-by": "campus.jupyterhub"},
            "annotations": {STUDENT: student, CLAIM_UID: f"uid-claim-{student}"},
        },
        "spec": {"source": {"persistentVolumeClaimName": f"claim-{student}"}},
        "status": status,
    }
