# Copyright: campus.jupyterhub contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Side disks made from snapshots, and the short-lived pods that read them, as Kubernetes objects. Pure.

Private to the collection: it may change in any release.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from ansible_collections.campus.jupyterhub.plugins.module_utils._disk_snapshots import MANAGER, Snapshot
from ansible_collections.campus.jupyterhub.plugins.module_utils._hub_config import STUDENT_ID
from ansible_collections.campus.jupyterhub.plugins.module_utils._student_disks import STUDENT

Json = dict[str, Any]

COMPONENT: Final = "restore"
"""What side disks and their pods are to Kubernetes: never a student's disk."""
LABELS: Final = {"app": "jupyterhub", "component": COMPONENT, "app.kubernetes.io/managed-by": MANAGER}
SNAPSHOT: Final = "campus.jupyterhub/snapshot"
CONTAINER: Final = "restore"
ALIKE: Final = ("accessModes", "volumeMode", "volumeAttributesClassName")
SIDE_MOUNT: Final = "/snapshot"
HOME_MOUNT: Final = "/home-disk"
READER_GRACE: Final = 5
WRITER_GRACE: Final = 30
"""Seconds in which a pod that is ended takes its unfinished copy off the student's disk."""
USERS: Final = 100
"""Group of files that Zero to JupyterHub's images write."""
DEDICATED: Final = ("hub.jupyter.org/dedicated", "hub.jupyter.org_dedicated")

NO_ROOM: Final = re.compile(r"resource_?exhausted|enough free storage|no space|out of space", re.IGNORECASE)


@dataclass(frozen=True)
class Template:
    """What the pods of restores have in common."""

    image: str
    pull_secrets: tuple[Json, ...] = ()


def template_of_job(job: Json) -> Template:
    """Return the template out of the CronJob that takes the snapshots: the same image, got in the same way."""
    spec = job["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    return Template(spec["containers"][0]["image"], tuple(spec.get("imagePullSecrets") or ()))


def side_claim(
    name: str, snapshot: Snapshot, size: int, storage_class: str, like: Mapping[str, Any] | None = None
) -> Json:
    """Return the claim of a disk that is made from a snapshot, in the snapshot's namespace.

    Args:
        name: of the claim.
        snapshot: what it is made from.
        size: bytes.
        storage_class: its StorageClass.
        like: spec of a claim whose place its volume is to take; Kubernetes binds only what agrees in all of this.
    """
    same = {key: like[key] for key in ALIKE if key in like} if like else {}
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {
            "name": name,
            "namespace": snapshot.namespace,
            "labels": dict(LABELS),
            "annotations": {STUDENT: snapshot.student, SNAPSHOT: snapshot.name},
        },
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            **same,
            "storageClassName": storage_class,
            "resources": {"requests": {"storage": str(size)}},
            "dataSource": {
                "apiGroup": "snapshot.storage.k8s.io",
                "kind": "VolumeSnapshot",
                "name": snapshot.name,
            },
        },
    }


def labelled(item: Json, labels: Mapping[str, str]) -> Json:
    """Return an object with further labels, by which it is known who made it."""
    meta = item["metadata"]
    return {**item, "metadata": {**meta, "labels": {**(meta.get("labels") or {}), **labels}}}


def is_side_disk_of(claim: Json, snapshot: str) -> bool:
    """Say whether a claim is a side disk of the collection made from this snapshot."""
    meta = claim["metadata"]
    labels, annotations = meta.get("labels") or {}, meta.get("annotations") or {}
    return LABELS.items() <= labels.items() and annotations.get(SNAPSHOT) == snapshot


def taken_by_another(there: Json | None, snapshot: str) -> str:
    """Say why a side disk of this snapshot cannot have a name that a claim may have already, empty when it can."""
    if there is None:
        return ""
    name, meta = there["metadata"]["name"], there["metadata"]
    if not is_side_disk_of(there, snapshot):
        return f"Another disk is called {name}; choose another name by to."
    return f"The side disk {name} is being removed; run again when it is gone." if meta.get("deletionTimestamp") else ""


def pod(
    name: str,
    namespace: str,
    *,
    template: Template,
    arguments: Sequence[str],
    side: str,
    seconds: int,
    home: str = "",
    affinity: Json | None = None,
) -> Json:
    """Return the pod that runs a program of the package ``campus_jobs`` on a side disk.

    Args:
        name: of the pod.
        namespace: of the pod and the claims.
        template: image that holds the package, and how to get it.
        arguments: the program's name in the package and its arguments.
        side: claim of the side disk, mounted read-only.
        seconds: after which it is ended.
        home: claim of the student's own disk, if the program writes there.
        affinity: node affinity as a PersistentVolume or a pod has it.
    """
    claims = [("snapshot", side, SIDE_MOUNT, True)] + ([("home", home, HOME_MOUNT, False)] if home else [])
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, "labels": dict(LABELS)},
        "spec": {
            "restartPolicy": "Never",
            "activeDeadlineSeconds": seconds,
            "terminationGracePeriodSeconds": WRITER_GRACE if home else READER_GRACE,
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "imagePullSecrets": [*template.pull_secrets],
            **({"affinity": {"nodeAffinity": affinity}} if affinity else {}),
            "tolerations": [
                {"key": key, "operator": "Equal", "value": "user", "effect": "NoSchedule"} for key in DEDICATED
            ],
            # No fsGroup: kubelet would go through all files of the student's disk and change their group.
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": STUDENT_ID,
                "runAsGroup": STUDENT_ID,
                "supplementalGroups": [USERS],
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [
                {
                    "name": CONTAINER,
                    "image": template.image,
                    # Kubernetes would put variables in the place of $(NAME).
                    "command": ["python3", "-m", *(word.replace("$", "$$") for word in arguments)],
                    "resources": {"requests": {"cpu": "50m", "memory": "64Mi"}, "limits": {"memory": "512Mi"}},
                    "securityContext": {
                        "allowPrivilegeEscalation": False,
                        "readOnlyRootFilesystem": True,
                        "capabilities": {"drop": ["ALL"]},
                    },
                    "volumeMounts": [
                        {"name": volume, "mountPath": mount, "readOnly": read_only}
                        for volume, _claim, mount, read_only in claims
                    ],
                }
            ],
            "volumes": [
                {"name": volume, "persistentVolumeClaim": {"claimName": claim, "readOnly": read_only}}
                for volume, claim, _mount, read_only in claims
            ],
        },
    }


def hashes_of() -> list[str]:
    """Return the program that reports the hashes of a side disk."""
    return ["campus_jobs.hashes", SIDE_MOUNT]


def copy_back(path: str, into: str, run: str) -> list[str]:
    """Return the program that copies a path of the side disk into a folder of the student's home."""
    options = {"snapshot": SIDE_MOUNT, "home": HOME_MOUNT, "path": path, "into": into, "run": run}
    return ["campus_jobs.copy_back", *(f"--{key}={value}" for key, value in options.items())]


def users_of(pods: Iterable[Json], claim: str) -> list[Json]:
    """Return the pods that use a claim or wait for it, without those that have ended."""
    found = []
    for each in pods:
        volumes = each["spec"].get("volumes") or []
        names = {(volume.get("persistentVolumeClaim") or {}).get("claimName") for volume in volumes}
        if claim in names and (each.get("status") or {}).get("phase") not in ("Succeeded", "Failed"):
            found.append(each)
    return found


def on_node(name: str) -> Json:
    """Return the affinity to one node, which leaves the choice to the scheduler: it also places new disks."""
    field = {"key": "metadata.name", "operator": "In", "values": [name]}
    return {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [{"matchFields": [field]}]}}


def as_volume(volume: Json | None) -> Json | None:
    """Return the affinity to where a PersistentVolume can be used; None when that is everywhere."""
    required = ((volume or {}).get("spec", {}).get("nodeAffinity") or {}).get("required")
    return {"requiredDuringSchedulingIgnoredDuringExecution": required} if required else None


def no_room(messages: Iterable[str]) -> str:
    """Return the first message that says that storage has no room, empty when none does."""
    return next((" ".join(text.split()) for text in messages if NO_ROOM.search(text)), "")
