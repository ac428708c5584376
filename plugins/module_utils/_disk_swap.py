# Copyright: campus.jupyterhub contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Put a restored volume in the place of a student's disk: what is kept about it, and what becomes of whom. Pure.

The record of what is to be done lies on the restored volume, which is neither the student's nor in a namespace:
whatever happens half-way, the same call finds it and goes on. Private to the collection: it may change in any release.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any, Final

from ansible_collections.campus.jupyterhub.plugins.module_utils._disk_snapshots import Snapshot
from ansible_collections.campus.jupyterhub.plugins.module_utils._side_disk import ALIKE
from ansible_collections.campus.jupyterhub.plugins.module_utils._student_disks import COURSE, STUDENT

Json = dict[str, Any]

PENDING: Final = "campus.jupyterhub/restore"
RECORD: Final = "campus.jupyterhub/restore-record"
RESTORED: Final = "campus.jupyterhub/restored-from"
REPLACED: Final = "campus.jupyterhub/replaced"

BINDING: Final = ("pv.kubernetes.io/", "volume.kubernetes.io/", "volume.beta.kubernetes.io/")
"""What Kubernetes writes onto a claim about its volume, and would take for the new one."""


@dataclass(frozen=True)
class Record:
    """What is to be done with a restored volume."""

    student: str
    snapshot: str
    """Name of the snapshot that it was made from."""
    taken: str
    """When that was taken, as the API server writes it: the snapshot may go before the record does."""
    claim: Json
    """The student's claim as it is to be made: metadata without a uid, and spec without a volume."""
    uid: str
    """Uid of the claim that it replaces; empty where there was none."""
    replaced: str
    """Name of the volume that it replaces; empty where there was none. The claim may get one until it is given up."""

    @property
    def name(self) -> str:
        """Name of the student's claim."""
        return str(self.claim["metadata"]["name"])

    @property
    def namespace(self) -> str:
        """Namespace of the student's claim."""
        return str(self.claim["metadata"]["namespace"])


def claim_anew(claim: Json) -> Json:
    """Return a claim as it can be made again, with the same name, labels, annotations and wishes."""
    meta, spec = claim["metadata"], claim["spec"]
    annotations = {key: value for key, value in (meta.get("annotations") or {}).items() if not key.startswith(BINDING)}
    kept = {key: spec[key] for key in (*ALIKE, "resources", "storageClassName") if key in spec}
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {
            "name": meta["name"],
            "namespace": meta["namespace"],
            "labels": dict(meta.get("labels") or {}),
            "annotations": annotations,
        },
        "spec": kept,
    }


def claim_of_snapshot(snapshot: Snapshot, labels: Json, size: int, storage_class: str) -> Json:
    """Return the claim of a student whose own is gone, as KubeSpawner would make it; ``labels`` are the snapshot's."""
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {
            "name": snapshot.disk,
            "namespace": snapshot.namespace,
            "labels": {
                "app": "jupyterhub",
                "component": "singleuser-storage",
                **{key: labels[key] for key in (STUDENT, COURSE) if key in labels},
            },
            "annotations": {STUDENT: snapshot.student},
        },
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": str(size)}},
            "storageClassName": storage_class,
        },
    }


def pending(record: Record) -> Json:
    """Return the patch that keeps a volume whatever becomes of its claim, and says what is to be done with it."""
    return {
        "metadata": {
            "labels": {PENDING: "pending"},
            "annotations": {RECORD: json.dumps(asdict(record), sort_keys=True), STUDENT: record.student},
        },
        "spec": {"persistentVolumeReclaimPolicy": "Retain"},
    }


def reserved(record: Record) -> Json:
    """Return the patch that reserves a volume for the student's claim, whoever makes it: it may be the hub."""
    return reserved_for(record.namespace, record.name)


def reserved_for(namespace: str, name: str) -> Json:
    """Return the patch that reserves a volume for a claim of this name, whichever it had before."""
    reference = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "name": name,
        "namespace": namespace,
        "uid": None,
        "resourceVersion": None,
    }
    return {
        "metadata": {"annotations": {"pv.kubernetes.io/bound-by-controller": None}},
        "spec": {"claimRef": reference},
    }


def replaced(record: Record, by: str, moment: str) -> Json:
    """Return the patch that keeps the volume that is replaced, and says whose it was."""
    return {
        "metadata": {"annotations": {STUDENT: record.student, REPLACED: json.dumps({"by": by, "time": moment})}},
        "spec": {"persistentVolumeReclaimPolicy": "Retain"},
    }


def finished(record: Record) -> Json:
    """Return the patch of a volume that has taken its place."""
    return {
        "metadata": {
            "labels": {PENDING: None},
            "annotations": {RECORD: None, RESTORED: record.snapshot},
        }
    }


def record_of(volume: Json) -> Record | None:
    """Return what is to be done with a volume, None when nothing is."""
    text = (volume["metadata"].get("annotations") or {}).get(RECORD)
    return Record(**json.loads(text)) if text else None


def is_reserved(volume: Json, record: Record) -> bool:
    """Say whether a volume waits for the student's claim, or has it; not if it had one that is gone."""
    reference = volume["spec"].get("claimRef") or {}
    gone = reference.get("uid") and (volume.get("status") or {}).get("phase") == "Released"
    return not gone and (reference.get("namespace"), reference.get("name")) == (record.namespace, record.name)


def is_safe(volume: Json, record: Record) -> bool:
    """Say whether a volume stays, and for the student's claim, so that the claim may be deleted for it."""
    kept = volume["spec"].get("persistentVolumeReclaimPolicy") == "Retain"
    return kept and not volume["metadata"].get("deletionTimestamp") and is_reserved(volume, record)


def belongs_to(volume: Json, claim: Json) -> bool:
    """Say whether a volume that a claim names is its own; one of another claim is not its to give up."""
    reference = volume["spec"].get("claimRef") or {}
    return reference.get("uid") in (None, claim["metadata"]["uid"])
