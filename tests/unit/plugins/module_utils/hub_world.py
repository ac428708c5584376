"""A cluster in memory with as much of Kubernetes' controllers as giving disks and snapshots back needs.

It has no verb that deletes. A claim that finds no volume gets a new, empty one, as the storage would make it.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

from ansible_collections.campus.jupyterhub.plugins.module_utils._cluster import ClusterError
from ansible_collections.campus.jupyterhub.plugins.module_utils._disk_snapshots import API
from ansible_collections.campus.jupyterhub.plugins.module_utils._snapshot_remove import Clock
from ansible_collections.campus.jupyterhub.tests.unit.plugins.module_utils.student_objects import claim, snapshot

Json = dict[str, Any]

NAMESPACE = "jupyterhub"
DRIVER = "local.csi.campus.jupyterhub"
CLAIM, VOLUME, SNAPSHOT, CONTENT = (
    "PersistentVolumeClaim",
    "PersistentVolume",
    "VolumeSnapshot",
    "VolumeSnapshotContent",
)


class KilledError(BaseException):
    """The program was killed here."""


class HubWorld:
    """The cluster; ``clock`` passes only when somebody sleeps."""

    def __init__(self, uid: str = "cluster-1") -> None:
        self.objects: dict[tuple[str, str, str], Json] = {}
        self.cluster_uid = uid
        self.changes: list[str] = []
        self.kill_at = -1
        self.knows_snapshots = True
        self.gone: set[str] = set()
        """What the driver called snapshots that are not in the storage any more."""
        self.seconds = 0.0
        self._uids = 0
        for kind, name in (("StorageClass", "jupyterhub"), ("CSIDriver", DRIVER)):
            self.put({"apiVersion": "storage.k8s.io/v1", "kind": kind, "metadata": {"name": name}})

    @property
    def clock(self) -> Clock:
        """What the code under test takes."""
        return Clock(lambda: self.seconds, self._sleep)

    def _sleep(self, seconds: float) -> None:
        self.seconds += seconds

    # What tests put there

    def put(self, item: Json) -> Json:
        """Place an object as it is."""
        meta = item["metadata"]
        self._uids += 1
        meta.setdefault("uid", f"{self.cluster_uid}-{self._uids}")
        self.objects[item["kind"], meta.get("namespace") or "", meta["name"]] = item
        return item

    def disk(self, student: str, handle: str = "", **options: Any) -> Json:
        """A student's disk with its volume."""
        item = self.put(claim(student, **options))
        item["spec"]["accessModes"] = ["ReadWriteOnce"]
        item["metadata"]["annotations"]["pv.kubernetes.io/bind-completed"] = "yes"
        reference = {"kind": CLAIM, "apiVersion": "v1", **_place(item), "uid": item["metadata"]["uid"]}
        self.put(volume(item["spec"]["volumeName"], handle or f"disk-of-{student}", reference))
        return item

    def snapshot(self, student: str, taken: str = "2026-11-25T09:00:00Z", **options: Any) -> Json:
        """A snapshot of a student's disk with its content."""
        item = self.put(snapshot(taken, student, **options))
        name = item["status"]["boundVolumeSnapshotContentName"]
        self.put(
            {
                "apiVersion": API,
                "kind": CONTENT,
                "metadata": {"name": name, "finalizers": ["snapshot"], "resourceVersion": "7"},
                "spec": {
                    "driver": DRIVER,
                    "deletionPolicy": "Retain",
                    "source": {"volumeHandle": f"disk-of-{student}"},
                    "volumeSnapshotClassName": "jupyterhub",
                    "volumeSnapshotRef": {"kind": SNAPSHOT, **_place(item), "uid": item["metadata"]["uid"]},
                },
                "status": {"snapshotHandle": f"handle-of-{item['metadata']['name']}", "readyToUse": True},
            }
        )
        return item

    def secret(self, name: str = "hub-secret", namespace: str = NAMESPACE, **data: str) -> Json:
        """A Secret."""
        meta = {"name": name, "namespace": namespace, "resourceVersion": "5"}
        return self.put({"apiVersion": "v1", "kind": "Secret", "metadata": meta, "type": "Opaque", "data": data})

    def names(self, kind: str) -> list[str]:
        """Names of all objects of a kind."""
        return sorted(name for found, _namespace, name in self.objects if found == kind)

    def found(self, kind: str, name: str, namespace: str = NAMESPACE) -> Json:
        """An object that is there."""
        return self.objects[kind, "" if kind in (VOLUME, CONTENT) else namespace, name]

    def home_of(self, name: str, namespace: str = NAMESPACE) -> str:
        """Where in the storage the home is that a student finds; empty while there is none."""
        spec = self.found(CLAIM, name, namespace)["spec"]
        if self.found(CLAIM, name, namespace)["status"].get("phase") != "Bound":
            return ""
        return str(self.found(VOLUME, spec["volumeName"])["spec"]["csi"]["volumeHandle"])

    def forget(self, kind: str, name: str, namespace: str = NAMESPACE) -> Json:
        """Take an object away as an administrator would."""
        return self.objects.pop((kind, "" if kind in (VOLUME, CONTENT) else namespace, name))

    # What the program sees

    def get(self, kind: str, name: str, namespace: str | None = None, api_version: str = "v1") -> Json | None:
        self.control()
        return copy.deepcopy(self.objects.get((kind, namespace or "", name)))

    def list(
        self,
        kind: str,
        api_version: str = "v1",
        namespace: str | None = None,
        label_selector: str | None = None,
        field_selector: str | None = None,
    ) -> list[Json]:
        return [*self.each(kind, api_version, namespace, label_selector, field_selector)]

    def each(
        self,
        kind: str,
        api_version: str = "v1",
        namespace: str | None = None,
        label_selector: str | None = None,
        field_selector: str | None = None,
    ) -> Iterator[Json]:
        if not self.knows_snapshots and kind in (SNAPSHOT, CONTENT):
            error = ClusterError("list", kind, "the cluster does not know this kind", "", 404)
            error.unknown_kind = True
            raise error
        self.control()
        wanted = dict(pair.split("=") for pair in (label_selector or "").split(",") if pair)
        for (found, space, _name), item in sorted(self.objects.items()):
            labels = item["metadata"].get("labels") or {}
            if found == kind and namespace in (None, space) and wanted.items() <= labels.items():
                yield copy.deepcopy(item)

    def create(self, item: Json) -> Json:
        meta = item["metadata"]
        key = item["kind"], meta.get("namespace") or "", meta["name"]
        if key in self.objects:
            raise ClusterError("create", key[2], "already exists", "", 409)
        if key[1] and ("Namespace", "", key[1]) not in self.objects:
            raise ClusterError("create", key[2], f"namespace {key[1]} not found", "", 404)
        assert not {"uid", "resourceVersion", "ownerReferences", "finalizers"} & meta.keys(), meta
        self._change(f"create {key[0]} {key[2]}")
        return self.put({**copy.deepcopy(item), "status": {}})

    def patch(self, kind: str, name: str, namespace: str | None, body: Json, api_version: str = "v1") -> Json:
        self._change(f"patch {kind} {name}")
        key = kind, namespace or "", name
        self.objects[key] = merged(self.objects[key], body)
        if kind == VOLUME and not self.objects[key]["spec"].get("claimRef", {}).get("uid"):
            self.objects[key]["status"] = {"phase": "Available"}
        return self.objects[key]

    def uid(self) -> str:
        return self.cluster_uid

    def expect_uid(self, wanted: str) -> None:
        if wanted and wanted != self.cluster_uid:
            raise ClusterError("use", "this cluster", "another uid", "Correct jupyterhub_cluster_uid.")

    def _change(self, what: str) -> None:
        if len(self.changes) == self.kill_at:
            raise KilledError
        self.changes.append(what)

    # What Kubernetes does meanwhile

    def control(self) -> None:
        """Let every controller get on by one step."""
        for (kind, _namespace, _name), item in list(self.objects.items()):
            if kind == CLAIM and item["status"].get("phase") != "Bound":
                self._bind(item)
            if kind == SNAPSHOT and not item["status"].get("readyToUse"):
                self._ready(item)

    def _bind(self, item: Json) -> None:
        wanted, uid = item["spec"].get("volumeName"), item["metadata"]["uid"]
        for held in [each for (kind, _space, _name), each in self.objects.items() if kind == VOLUME]:
            reference = held["spec"].get("claimRef") or {}
            ours = _place(item).items() <= reference.items() and reference.get("uid") in (None, uid)
            free = not reference and wanted == held["metadata"]["name"]
            if (ours or free) and wanted in (None, held["metadata"]["name"]):
                assert item["spec"]["storageClassName"] == held["spec"]["storageClassName"]
                held["spec"]["claimRef"] = {**reference, **_place(item), "uid": uid}
                held["status"] = {"phase": "Bound"}
                item["spec"]["volumeName"] = held["metadata"]["name"]
                item["status"] = {"phase": "Bound"}
                return
        if not wanted:
            reference = {**_place(item), "uid": uid}
            new = self.put(volume(f"pvc-{uid}", f"empty-{uid}", reference))
            item["spec"]["volumeName"] = new["metadata"]["name"]
            item["status"] = {"phase": "Bound"}

    def _ready(self, item: Json) -> None:
        found = self.objects.get((CONTENT, "", item["spec"]["source"].get("volumeSnapshotContentName") or ""))
        if found is None or not found["spec"]["source"].get("snapshotHandle"):
            return
        reference = found["spec"]["volumeSnapshotRef"]
        uid = item["metadata"]["uid"]
        if _place(item).items() <= reference.items() and reference.get("uid") in (None, uid):
            reference["uid"] = uid
            item["metadata"]["creationTimestamp"] = "2026-11-26T10:00:00Z"
            item["status"] = {"readyToUse": True, "boundVolumeSnapshotContentName": found["metadata"]["name"]}
            if found["spec"]["source"]["snapshotHandle"] in self.gone:
                item["status"] |= {"readyToUse": False, "error": {"message": "can not find snapshot"}}


def merged(into: Json, patch: Json) -> Json:
    """A JSON merge patch, applied."""
    result = dict(into)
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merged(result.get(key) or {}, value) if isinstance(value, dict) else value
    return result


def volume(name: str, handle: str, reference: Json | None, phase: str = "Bound") -> Json:
    """A volume of the local driver."""
    return {
        "apiVersion": "v1",
        "kind": VOLUME,
        "metadata": {
            "name": name,
            "resourceVersion": "9",
            "finalizers": ["kubernetes.io/pv-protection"],
            "annotations": {
                "pv.kubernetes.io/provisioned-by": DRIVER,
                "pv.kubernetes.io/bound-by-controller": "yes",
            },
        },
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "capacity": {"storage": "10Gi"},
            "csi": {"driver": DRIVER, "volumeHandle": handle, "fsType": "ext4"},
            "persistentVolumeReclaimPolicy": "Retain",
            "storageClassName": "jupyterhub",
            **({"claimRef": reference} if reference else {}),
        },
        "status": {"phase": phase},
    }


def _place(item: Json) -> Json:
    return {"namespace": item["metadata"]["namespace"], "name": item["metadata"]["name"]}
