"""A cluster in memory: objects, and as much of Kubernetes' controllers as disks and snapshots need.

The controllers work whenever somebody reads, so a program that waits for them sees them get on.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from typing import Any

from ansible_collections.campus.jupyterhub.plugins.module_utils._cluster import ClusterError
from ansible_collections.campus.jupyterhub.plugins.module_utils._disk_snapshots import API
from ansible_collections.campus.jupyterhub.tests.unit.plugins.module_utils.student_objects import claim, snapshot

Json = dict[str, Any]
Key = tuple[str, str, str]

NAMESPACE = "jupyterhub"
DRIVER = "local.csi.campus.jupyterhub"
CLAIM, VOLUME, POD, SNAPSHOT = "PersistentVolumeClaim", "PersistentVolume", "Pod", "VolumeSnapshot"


class KilledError(BaseException):
    """The program was killed here; nothing of it runs any more."""


def merged(into: Json, patch: Json) -> Json:
    """A JSON merge patch, applied."""
    result = dict(into)
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        elif isinstance(value, dict):
            result[key] = merged(result.get(key) or {}, value)
        else:
            result[key] = value
    return result


class FakeCluster:
    """The cluster.

    Attributes:
        data: what is on each volume and in each snapshot, by name.
        answers: what a pod prints as its last line.
        changes: how many calls changed something so far.
        kill_at: number of the change at which the program dies; after it when ``kill_after``.
        no_room: what storage says instead of making a disk.
    """

    def __init__(self) -> None:
        self.objects: dict[Key, Json] = {}
        self.data: dict[str, str] = {}
        self.answers: Callable[[Json], Json] = lambda _pod: {"root": "r", "files": 1, "parts": {}}
        self.changes = 0
        self.kill_at = -1
        self.kill_after = False
        self.no_room = ""
        self.pods_run: list[Json] = []
        self.seconds = 0.0
        self._dead = False
        self._uids = 0
        for name, policy in (("jupyterhub", "Retain"), ("jupyterhub-scratch", "Delete")):
            self.put(
                {
                    "apiVersion": "storage.k8s.io/v1",
                    "kind": "StorageClass",
                    "metadata": {"name": name},
                    "provisioner": DRIVER,
                    "reclaimPolicy": policy,
                    "allowVolumeExpansion": True,
                }
            )
        self.put(
            {"apiVersion": API, "kind": "VolumeSnapshotClass", "metadata": {"name": "jupyterhub"}, "driver": DRIVER}
        )

        job = {"containers": [{"image": "jobs:1"}], "imagePullSecrets": [{"name": "registry"}]}
        self.put(
            {
                "kind": "CronJob",
                "metadata": {"name": "snapshots", "namespace": NAMESPACE},
                "spec": {"jobTemplate": {"spec": {"template": {"spec": job}}}},
            }
        )

    # What tests put there

    def put(self, item: Json) -> Json:
        """Place an object as it is."""
        meta = item["metadata"]
        self._uids += 1
        meta.setdefault("uid", f"made-{self._uids}")
        meta.setdefault("resourceVersion", meta["uid"])
        self.objects[item["kind"], meta.get("namespace") or "", meta["name"]] = item
        return item

    def disk(self, student: str = "ann", data: str = "present", **options: Any) -> Json:
        """A student's disk with its volume."""
        item = self.put(claim(student, **options))
        name = item["spec"]["volumeName"]
        item["spec"]["accessModes"] = ["ReadWriteOnce"]
        self.put(volume(name, item, "Retain"))
        self.data[name] = data
        return item

    def snapshot(self, taken: str = "2026-11-25T09:00:00Z", data: str = "old", **options: Any) -> Json:
        """A snapshot of a student's disk with its content."""
        item = self.put(snapshot(taken, **options))
        self.put(content(item))
        self.data[item["metadata"]["name"]] = data
        return item

    def server(self, disk: str, node: str = "node-1") -> Json:
        """A running server of the student whose claim it is."""
        volumes = [{"name": "home", "persistentVolumeClaim": {"claimName": disk}}]
        return self.put(
            {
                "kind": POD,
                "metadata": {"name": f"jupyter-{disk}", "namespace": NAMESPACE},
                "spec": {"nodeName": node, "volumes": volumes},
                "status": {"phase": "Running"},
            }
        )

    def names(self, kind: str) -> list[str]:
        """Names of all objects of a kind."""
        return sorted(name for found, _namespace, name in self.objects if found == kind)

    def found(self, kind: str, name: str) -> Json:
        """An object that is there."""
        return next(item for (each, _space, called), item in self.objects.items() if (each, called) == (kind, name))

    def home_of(self, disk: str) -> str:
        """What the student finds on a disk."""
        return self.data[self.found(CLAIM, disk)["spec"]["volumeName"]]

    def revive(self) -> None:
        """Let the next program run to its end."""
        self._dead, self.kill_at = False, -1

    def clock(self) -> float:
        """Seconds that were slept."""
        return self.seconds

    def sleep(self, seconds: float) -> None:
        """Pass time."""
        self.seconds += seconds

    # What the program sees

    def get(self, kind: str, name: str, namespace: str | None = None, api_version: str = "v1") -> Json | None:
        self._alive()
        self.control()
        item = self.objects.get((kind, namespace or "", name))
        return copy.deepcopy(item)

    def list(
        self,
        kind: str,
        api_version: str = "v1",
        namespace: str | None = None,
        label_selector: str | None = None,
        field_selector: str | None = None,
    ) -> list[Json]:
        self._alive()
        self.control()
        wanted = dict(pair.split("=") for pair in (label_selector or "").split(",") if pair)
        return [
            copy.deepcopy(item)
            for (found, space, _name), item in sorted(self.objects.items())
            if found == kind
            and space == (namespace or "")
            and wanted.items() <= (item["metadata"].get("labels") or {}).items()
        ]

    def each(
        self, kind: str, api_version: str = "v1", namespace: str | None = None, label_selector: str | None = None
    ) -> Iterator[Json]:
        yield from self.list(kind, api_version, namespace, label_selector)

    def create(self, item: Json) -> Json:
        key = item["kind"], item["metadata"].get("namespace") or "", item["metadata"]["name"]
        if key in self.objects:
            raise ClusterError("create", key[2], "already exists", "", 409)
        made = {**copy.deepcopy(item), "status": {"phase": "Pending"}}
        made["metadata"].setdefault("creationTimestamp", "2026-11-26T10:00:00Z")
        return self._change(lambda: self.put(made))

    def patch(self, kind: str, name: str, namespace: str | None, body: Json, api_version: str = "v1") -> Json:
        key = kind, namespace or "", name
        if key not in self.objects:
            raise ClusterError("change", name, "not found", "", 404)
        version = self.objects[key]["metadata"]["resourceVersion"]
        if (body.get("metadata") or {}).get("resourceVersion", version) != version:
            raise ClusterError("change", name, "the object has been modified", "", 409)

        def change() -> Json:
            self.objects[key] = merged(self.objects[key], body)
            self.objects[key]["metadata"]["resourceVersion"] = f"changed-{self.changes}"
            return self.objects[key]

        return self._change(change)

    def delete(self, kind: str, name: str, namespace: str | None, uid: str, api_version: str = "v1") -> bool:
        item = self.objects.get((kind, namespace or "", name))
        if item is None:
            return False
        if item["metadata"]["uid"] != uid:
            raise ClusterError("delete", name, "another uid", "", 409)
        self._change(lambda: item["metadata"].update(deletionTimestamp="now") or item)
        return True

    def logs(self, pod: str, namespace: str, container: str, lines: int, previous: bool = False) -> str:
        self._alive()
        return str(self.found(POD, pod)["log"])

    def _alive(self) -> None:
        if self._dead:
            raise KilledError

    def _change(self, change: Callable[[], Json]) -> Json:
        self._alive()
        self._dead = self.changes == self.kill_at
        self.changes += 1
        if self._dead and not self.kill_after:
            raise KilledError
        result = copy.deepcopy(change())
        if self._dead:
            raise KilledError
        return result

    # What Kubernetes does meanwhile

    def control(self) -> None:
        """Let every controller get on by one step."""
        for (kind, _namespace, _name), item in list(self.objects.items()):
            if item["metadata"].get("deletionTimestamp"):
                self._end(item)
            elif kind == CLAIM and not item["spec"].get("volumeName"):
                self._bind_reserved(item)
            elif kind == CLAIM and item["status"]["phase"] == "Pending":
                self._bind(item, self.found(VOLUME, item["spec"]["volumeName"]))
            elif kind == VOLUME and item["status"]["phase"] == "Released":
                self._reclaim(item)
            elif kind == SNAPSHOT and not item["status"].keys() & {"readyToUse", "error"}:
                self._snapshot(item)
            elif kind == POD and item["status"]["phase"] == "Pending":
                self._run(item)

    def _end(self, item: Json) -> None:
        kind, meta = item["kind"], item["metadata"]
        if kind == CLAIM:
            if any(meta["name"] in claims_of(pod) for (each, _n, _o), pod in self.objects.items() if each == POD):
                return
            held = self.objects.get((VOLUME, "", item["spec"].get("volumeName") or ""))
            if held:
                held["status"]["phase"] = "Released"
                self._reclaim(held)
        if kind == SNAPSHOT:
            self._forget(item)
        del self.objects[kind, meta.get("namespace") or "", meta["name"]]

    def _reclaim(self, held: Json) -> None:
        """Give a volume's storage back, if it is not to be retained."""
        name = held["metadata"]["name"]
        if held["spec"]["persistentVolumeReclaimPolicy"] == "Delete":
            self.objects.pop((VOLUME, "", name), None)
            self.data.pop(name, None)

    def _forget(self, item: Json) -> None:
        """Give back what a snapshot keeps, if it is not to be retained."""
        key = "VolumeSnapshotContent", "", item["status"]["boundVolumeSnapshotContentName"]
        if self.objects[key]["spec"]["deletionPolicy"] == "Delete":
            del self.objects[key], self.data[item["metadata"]["name"]]

    def _bind_reserved(self, item: Json) -> None:
        for (kind, _namespace, _name), held in list(self.objects.items()):
            reference = held["spec"].get("claimRef") if kind == VOLUME else None
            if reference and reference["name"] == item["metadata"]["name"] and not reference.get("uid"):
                self._bind(item, held)

    def _bind(self, item: Json, held: Json) -> None:
        reference = held["spec"].get("claimRef") or {}
        name, uid = item["metadata"]["name"], item["metadata"]["uid"]
        fits = int(item["spec"]["resources"]["requests"]["storage"].replace("Gi", "0" * 9)) <= held["size"]
        if not fits or reference.get("name", name) != name or reference.get("uid", uid) != uid:
            return
        held["spec"]["claimRef"] = {"name": name, "namespace": NAMESPACE, "uid": uid}
        held["status"]["phase"] = item["status"]["phase"] = "Bound"
        item["spec"]["volumeName"] = held["metadata"]["name"]

    def _snapshot(self, item: Json) -> None:
        source = self.found(CLAIM, item["spec"]["source"]["persistentVolumeClaimName"])
        name = item["metadata"]["name"]
        item["metadata"].setdefault("creationTimestamp", "2026-11-26T10:00:00Z")
        item["status"] = {"readyToUse": True, "boundVolumeSnapshotContentName": f"content-{name}"}
        self.put(content(item))
        self.data[name] = self.data[source["spec"]["volumeName"]]

    def _run(self, item: Json) -> None:
        for name in claims_of(item):
            used = self.objects.get((CLAIM, NAMESPACE, name))
            if used is None:
                return
            if not used["spec"].get("volumeName") and not self._provision(used):
                return
        self.pods_run.append(copy.deepcopy(item))
        answer = self.answers(item)
        item["status"]["phase"] = "Failed" if "error" in answer else "Succeeded"
        item["log"] = json.dumps(answer)

    def _provision(self, item: Json) -> bool:
        """Make a volume for a claim, as its class says."""
        if self.no_room:
            about = {"involvedObject": {"name": item["metadata"]["name"]}, "type": "Warning", "message": self.no_room}
            self.put({"kind": "Event", "metadata": {"name": "room", "namespace": NAMESPACE}, **about})
            return False
        policy = self.found("StorageClass", item["spec"]["storageClassName"])["reclaimPolicy"]
        held = self.put(volume(f"pvc-{item['metadata']['uid']}", item, policy))
        source = item["spec"].get("dataSource")
        self.data[held["metadata"]["name"]] = self.data[source["name"]] if source else "empty"
        self._bind(item, held)
        return True


def claims_of(pod: Json) -> list[str]:
    """Names of the claims that a pod mounts."""
    volumes = pod["spec"].get("volumes") or []
    return [each["persistentVolumeClaim"]["claimName"] for each in volumes if "persistentVolumeClaim" in each]


def volume(name: str, item: Json, policy: str) -> Json:
    """The volume of a claim."""
    meta = item["metadata"]
    return {
        "apiVersion": "v1",
        "kind": VOLUME,
        "metadata": {"name": name},
        "size": int(item["spec"]["resources"]["requests"]["storage"].replace("Gi", "0" * 9)),
        "spec": {
            "persistentVolumeReclaimPolicy": policy,
            "storageClassName": item["spec"]["storageClassName"],
            "capacity": dict(item["spec"]["resources"]["requests"]),
            "claimRef": {"name": meta["name"], "namespace": meta["namespace"], "uid": meta["uid"]},
            "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": []}]}},
        },
        "status": {"phase": "Bound"},
    }


def content(item: Json) -> Json:
    """The content of a snapshot."""
    return {
        "apiVersion": API,
        "kind": "VolumeSnapshotContent",
        "metadata": {"name": item["status"]["boundVolumeSnapshotContentName"]},
        "spec": {"driver": DRIVER, "deletionPolicy": "Retain"},
    }
