"""A cluster that takes and removes snapshots, as the snapshot controller and a driver do, one look after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from ansible_collections.campus.jupyterhub.plugins.module_utils._cluster import ClusterError
from ansible_collections.campus.jupyterhub.plugins.module_utils._snapshot_remove import Clock

Json = dict[str, Any]

DRIVER = "local.csi.campus.jupyterhub"


class KilledError(BaseException):
    """The program was killed here."""


class FakeClock:
    """Time that passes only when somebody sleeps."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.begun = datetime.now(UTC)

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        self.seconds += seconds

    @property
    def clock(self) -> Clock:
        """What the code under test takes."""
        return Clock(lambda: self.seconds, self.sleep, lambda: self.begun + timedelta(seconds=self.seconds))


class FakeCluster:
    """Objects by kind and name; `finish` says what a driver makes of a snapshot that is looked at."""

    def __init__(self, *items: Json, finish: Callable[[Json], None] | None = None) -> None:
        self.objects: dict[str, dict[str, Json]] = {"VolumeSnapshotClass": {"jupyterhub": {"driver": DRIVER}}}
        self.under_way: list[int] = []
        self.stuck: set[str] = set()
        """Contents that never go."""
        self.unheard: set[str] = set()
        """Contents whose new policy the controller does not know yet when their snapshot goes."""
        self.kill_at = ""
        """Kind of the object after whose deletion the program dies."""
        self.unlisted: dict[str, ClusterError] = {}
        """Why objects of a kind cannot be listed."""
        self.refused: dict[str, ClusterError] = {}
        """Why no snapshot can be made, by the name of the claim."""
        self.answers: list[ClusterError | None] = []
        """What comes of the next attempts to make a snapshot; None is success."""
        self.lost = False
        """Whether only the answer fails, not what was asked for."""
        self.asked = 0
        self._finish = finish or ready
        for item in items:
            self._put(item)

    def names(self, kind: str) -> list[str]:
        """Return the names of the objects of a kind."""
        return sorted(self.objects.get(kind, {}))

    def _put(self, item: Json) -> None:
        self.objects.setdefault(item["kind"], {})[item["metadata"]["name"]] = item
        if item["kind"] == "VolumeSnapshot" and (item.get("status") or {}).get("boundVolumeSnapshotContentName"):
            self._keep_content(item)

    def _keep_content(self, snapshot: Json) -> None:
        name = snapshot["status"]["boundVolumeSnapshotContentName"]
        meta = {"name": name, "uid": f"uid-{name}"}
        reference = {key: snapshot["metadata"].get(key) for key in ("name", "namespace", "uid")}
        spec = {
            "deletionPolicy": "Retain",
            "driver": DRIVER,
            "source": {"volumeHandle": "disk"},
            "volumeSnapshotRef": reference,
        }
        content = {"kind": "VolumeSnapshotContent", "metadata": meta, "spec": spec}
        self.objects.setdefault("VolumeSnapshotContent", {})[name] = content

    def expect_uid(self, wanted: str) -> None:
        """Be the cluster that is meant."""

    def get(self, kind: str, name: str, namespace: str | None = None, api_version: str = "v1") -> Json | None:
        """Return an object, or None."""
        return self.objects.get(kind, {}).get(name)

    def each(
        self, kind: str, api_version: str = "v1", namespace: str | None = None, label_selector: str | None = None
    ) -> Iterator[Json]:
        """Yield the objects of a kind that have the labels."""
        if kind in self.unlisted:
            raise self.unlisted[kind]
        yield from self.list(kind, api_version, namespace, label_selector)

    def list(
        self,
        kind: str,
        api_version: str = "v1",
        namespace: str | None = None,
        label_selector: str | None = None,
        field_selector: str | None = None,
    ) -> list[Json]:
        """Return the objects of a kind that have the labels."""
        wanted = dict(pair.split("=") for pair in (label_selector or "").split(",") if pair)
        found = [
            item
            for item in self.objects.get(kind, {}).values()
            if wanted.items() <= (item["metadata"].get("labels") or {}).items()
        ]
        if kind == "VolumeSnapshot":
            self.under_way.append(sum(1 for item in self.objects.get(kind, {}).values() if "status" not in item))
            for item in found:
                if not (item.get("status") or {}).get("readyToUse"):
                    self._finish(item)
                    self._put(item)
        return found

    def create(self, item: Json) -> Json:
        """Make an object."""
        name = item["metadata"]["name"]
        claim = (item.get("spec") or {}).get("source", {}).get("persistentVolumeClaimName")
        self.asked += 1
        if claim in self.refused:
            raise self.refused[claim]
        trouble = self.answers.pop(0) if self.answers and claim else None
        if trouble and not self.lost:
            raise trouble
        if name in self.objects.get(item["kind"], {}):
            raise ClusterError("create", f"{item['kind']} {name}", "it exists already", "", 409)
        item["metadata"].update(uid=f"uid-{name}", creationTimestamp="2026-11-25T09:00:00Z")
        self._put(item)
        if trouble:
            raise trouble
        return item

    def patch(self, kind: str, name: str, namespace: str | None, body: Json, api_version: str = "v1") -> Json:
        """Change a content's policy."""
        self.objects[kind][name]["spec"].update(body["spec"])
        return self.objects[kind][name]

    def delete(self, kind: str, name: str, namespace: str | None, uid: str, api_version: str = "v1") -> bool:
        """Remove a snapshot, with what it keeps where the policy says so, or a content alone."""
        item = self.objects[kind].get(name)
        if item is None:
            return False
        assert item["metadata"]["uid"] == uid
        if kind == "VolumeSnapshotContent":
            self._let_go(name)
            return True
        del self.objects[kind][name]
        content = (item.get("status") or {}).get("boundVolumeSnapshotContentName")
        if content and content not in self.unheard:
            self._let_go(content)
        if self.kill_at == kind:
            raise KilledError
        return True

    def _let_go(self, content: str) -> None:
        """Be the driver that is told to delete what a content stands for."""
        going = self.objects["VolumeSnapshotContent"][content]
        assert going["spec"]["deletionPolicy"] == "Delete"
        going["metadata"]["deletionTimestamp"] = "2026-11-25T09:00:00Z"
        if content not in self.stuck:
            del self.objects["VolumeSnapshotContent"][content]


def ready(item: Json) -> None:
    """Be a driver that succeeds at once."""
    name = item["metadata"]["name"]
    item["status"] = {
        "readyToUse": True,
        "creationTime": item["metadata"]["creationTimestamp"],
        "boundVolumeSnapshotContentName": f"snapcontent-{name}",
    }
