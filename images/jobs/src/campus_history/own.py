"""The cluster as far as it is one student's: who asks through it learns of no other student's disks and snapshots."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from ansible_collections.campus.jupyterhub.plugins.module_utils._disk_snapshots import claim_of, selectors_of
from ansible_collections.campus.jupyterhub.plugins.module_utils._side_disk import labelled
from ansible_collections.campus.jupyterhub.plugins.module_utils._side_disk_run import Api
from ansible_collections.campus.jupyterhub.plugins.module_utils._student_disks import DISKS, STUDENT, disk_of

Json = dict[str, Any]

CLAIM: Final = "PersistentVolumeClaim"
SNAPSHOT: Final = "VolumeSnapshot"
MARK: Final = "campus.jupyterhub/files-history"
"""Label of all that this page makes, and the only thing that it may delete."""


class Own:
    """One student's part of a cluster; all of it that is made gets the label MARK."""

    def __init__(self, api: Api, student: str, part: str) -> None:
        """``student`` is the name that the hub vouches for, ``part`` the value of the label."""
        self._api, self.student, self._part = api, student, part
        # Single objects are only ever those to which something of the student's own has led.
        self.get, self.patch, self.delete, self.logs = api.get, api.patch, api.delete, api.logs

    def list(
        self,
        kind: str,
        api_version: str = "v1",
        namespace: str | None = None,
        label_selector: str | None = None,
        field_selector: str | None = None,
    ) -> list[Json]:
        """Return the objects that match; of claims and snapshots the student's alone."""
        if kind == SNAPSHOT:
            return [*self._snapshots(api_version, namespace, label_selector)]
        found = self._api.list(kind, api_version, namespace, label_selector, field_selector)
        return [item for item in found if kind != CLAIM or self._is_own(item)]

    def _is_own(self, item: Json) -> bool:
        return (item["metadata"].get("annotations") or {}).get(STUDENT) == self.student

    def _snapshots(self, api_version: str, namespace: str | None, selector: str | None) -> Iterator[Json]:
        disks = self.list(CLAIM, "v1", namespace, DISKS)
        names = {disk["metadata"]["name"] for disk in disks}
        narrow = selectors_of(map(disk_of, disks)) or [selector or ""]
        found = [item for each in narrow for item in self._api.list(SNAPSHOT, api_version, namespace, each)]
        return (item for item in found if self._is_own(item) and self._is_named(item, names))

    def _is_named(self, item: Json, disks: set[str]) -> bool:
        """Say whether the annotation is a student's name: of a disk without a student it is that of the claim."""
        disk = claim_of(item)
        return disk in disks or disk != self.student

    def create(self, item: Json) -> Json:
        """Make an object and return it."""
        return self._api.create(labelled(item, {MARK: self._part}))
