# Copyright: campus.jupyterhub contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What is kept of Kubernetes' objects so that a cluster that never had them can be given them. Pure.

Private to the collection: it may change in any release.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final

from ansible_collections.campus.jupyterhub.plugins.module_utils._disk_snapshots import (
    API,
    CLAIM_NAME,
    TAKEN,
    claim_of,
    taken_of,
)
from ansible_collections.campus.jupyterhub.plugins.module_utils._disk_swap import claim_anew
from ansible_collections.campus.jupyterhub.plugins.module_utils._student_disks import STUDENT

Json = dict[str, Any]

# What a controller wrote about the objects as they were bound then, and kubectl about itself.
_PASSING: Final = (
    "kubectl.kubernetes.io/",
    "pv.kubernetes.io/bound-by-controller",
    "pv.kubernetes.io/bind-completed",
    "volume.kubernetes.io/selected-node",
    "volume.beta.kubernetes.io/storage-provisioner",
    "snapshot.storage.kubernetes.io/volumesnapshot-being-",
)
_NO_SOURCE: Final = frozenset(
    {
        "accessModes",
        "capacity",
        "claimRef",
        "mountOptions",
        "persistentVolumeReclaimPolicy",
        "storageClassName",
        "volumeAttributesClassName",
        "volumeMode",
    }
)
"""Fields of a PersistentVolume that do not say where in the storage it is."""


def secret_kept(item: Json) -> Json:
    """Return a Secret as it can be made again."""
    kept = _kept(item, "v1", "Secret", item["metadata"].get("namespace"))
    return {**kept, "type": item.get("type") or "Opaque", "data": dict(item.get("data") or {})}


def claim_kept(item: Json) -> Json:
    """Return a student's claim as it can be made again with the volume that it has."""
    claim = claim_anew(item)
    meta = {**claim["metadata"], "annotations": _lasting(claim["metadata"]["annotations"])}
    return {**claim, "metadata": meta, "spec": {**claim["spec"], "volumeName": item["spec"]["volumeName"]}}


def volume_kept(item: Json) -> Json:
    """Return a PersistentVolume as it can be made again, reserved for its claim."""
    reference = item["spec"].get("claimRef") or {}
    spec = {**item["spec"], "claimRef": {key: reference[key] for key in ("namespace", "name") if key in reference}}
    return {**_kept(item, "v1", "PersistentVolume"), "spec": spec}


def snapshot_kept(snapshot: Json, content: Json) -> Json:
    """Return the pair by which a snapshot that is in the storage is made known: nothing is taken for it.

    The name of the claim and the time move to annotations, since the snapshot's source is its content then.
    """
    meta, spec = snapshot["metadata"], snapshot["spec"]
    kept = _kept(snapshot, API, "VolumeSnapshot", meta["namespace"])
    told = {CLAIM_NAME: claim_of(snapshot), TAKEN: taken_of(snapshot)}
    kept["metadata"]["annotations"].update({key: value for key, value in told.items() if value})
    name = content["metadata"]["name"]
    same = {key: spec[key] for key in ("volumeSnapshotClassName",) if spec.get(key)}
    return {
        "snapshot": {**kept, "spec": {**same, "source": {"volumeSnapshotContentName": name}}},
        "content": {
            **_kept(content, API, "VolumeSnapshotContent"),
            "spec": {
                **{
                    key: content["spec"][key]
                    for key in ("deletionPolicy", "driver", "sourceVolumeMode", "volumeSnapshotClassName")
                    if content["spec"].get(key)
                },
                "source": {"snapshotHandle": snapshot_handle(content)},
                "volumeSnapshotRef": {"namespace": meta["namespace"], "name": meta["name"]},
            },
        },
    }


def disks_kept(claims: Iterable[Json], volumes: Mapping[str, Json], canary: str) -> tuple[list[Json], list[str]]:
    """Return the disks of students, and the names of claims that have no volume and so hold nothing.

    ``volumes`` are the PersistentVolumes by name; ``canary`` is a user who is no student.
    """
    kept, without = [], []
    for item in sorted(claims, key=lambda each: str(each["metadata"]["name"])):
        meta = item["metadata"]
        if canary and (meta.get("annotations") or {}).get(STUDENT) == canary:
            continue
        volume = volumes.get(item["spec"].get("volumeName") or "")
        if volume is None:
            without.append(str(meta["name"]))
        else:
            kept.append({"claim": claim_kept(item), "volume": volume_kept(volume), "uid": meta.get("uid", "")})
    return kept, without


def snapshots_kept(snapshots: Iterable[Json], content_of: Callable[[str], Json | None], canary: str) -> Iterator[Json]:
    """Yield the pairs of those snapshots that can be restored from; ``content_of`` returns a content by its name."""
    for item in snapshots:
        status = item.get("status") or {}
        content = content_of(status.get("boundVolumeSnapshotContentName") or "")
        whose = (item["metadata"].get("annotations") or {}).get(STUDENT)
        if status.get("readyToUse") and content and snapshot_handle(content) and not (canary and whose == canary):
            yield snapshot_kept(item, content)


def snapshot_handle(content: Json) -> str:
    """Return what the driver calls a snapshot, empty while it has not said."""
    named = (content.get("status") or {}).get("snapshotHandle")
    return str(named or content["spec"].get("source", {}).get("snapshotHandle") or "")


def place_of(volume: Json) -> Json:
    """Return where in the storage a PersistentVolume is: equal for two objects that are the same volume."""
    spec = volume["spec"]
    if csi := spec.get("csi"):
        return {"driver": csi["driver"], "handle": csi["volumeHandle"]}
    return {key: value for key, value in spec.items() if key not in _NO_SOURCE}


def _kept(item: Json, api_version: str, kind: str, namespace: str | None = None) -> Json:
    """Return an object's name, labels and annotations, without what belongs to the cluster that it was in."""
    meta = item["metadata"]
    return {
        "apiVersion": api_version,
        "kind": kind,
        "metadata": {
            "name": meta["name"],
            **({"namespace": namespace} if namespace else {}),
            "labels": dict(meta.get("labels") or {}),
            "annotations": _lasting(meta.get("annotations") or {}),
        },
    }


def _lasting(annotations: Mapping[str, str]) -> dict[str, str]:
    return {key: value for key, value in annotations.items() if not key.startswith(_PASSING)}
