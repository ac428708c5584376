# Copyright: campus.jupyterhub contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Carry out a restore.

Private to the collection: it may change in any release.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from ansible_collections.campus.jupyterhub.plugins.module_utils import _disk_swap
from ansible_collections.campus.jupyterhub.plugins.module_utils._cluster import ClusterError
from ansible_collections.campus.jupyterhub.plugins.module_utils._disk_snapshots import (
    API,
    OURS,
    selectors_of,
    snapshot_of,
)
from ansible_collections.campus.jupyterhub.plugins.module_utils._disk_swap import Record
from ansible_collections.campus.jupyterhub.plugins.module_utils._disk_swap_run import (
    CLAIM,
    VOLUME,
    Swap,
    now_in_utc,
    require_unused,
)
from ansible_collections.campus.jupyterhub.plugins.module_utils._manifest import differences, manifest_of
from ansible_collections.campus.jupyterhub.plugins.module_utils._restore_begun import Begun, begun_of
from ansible_collections.campus.jupyterhub.plugins.module_utils._restore_plan import (
    PATH,
    SIDE,
    WHOLE,
    Plan,
    Request,
    plan,
    request_of,
    written,
)
from ansible_collections.campus.jupyterhub.plugins.module_utils._side_disk import (
    as_volume,
    copy_back,
    hashes_of,
    is_side_disk_of,
    on_node,
    pod,
    side_claim,
    taken_by_another,
    users_of,
)
from ansible_collections.campus.jupyterhub.plugins.module_utils._side_disk_run import (
    Api,
    RestoreError,
    SideDisks,
    template_of,
)
from ansible_collections.campus.jupyterhub.plugins.module_utils._student_disks import (
    DISKS,
    Disk,
    SelectionError,
    disk_of,
    required_namespace,
)

Json = dict[str, Any]

ARGUMENTS: dict[str, Any] = {
    "namespace": {"type": "str", "required": True},
    "student": {"type": "str", "required": True},
    "disk": {"type": "str", "default": ""},
    "snapshot": {"type": "str", "default": ""},
    "time": {"type": "str", "default": ""},
    "path": {"type": "str", "default": ""},
    "whole_disk": {"type": "bool", "default": False},
    "to": {"type": "str", "default": ""},
    "into": {"type": "str", "default": ""},
    "keep_side_disk": {"type": "bool", "default": False},
    "timezone": {"type": "str", "default": "UTC"},
    "image": {"type": "str", "default": ""},
    "scratch_class": {"type": "str", "default": "jupyterhub-scratch"},
    "storage_class": {"type": "str", "default": "jupyterhub"},
    "snapshot_class": {"type": "str", "default": "jupyterhub"},
    "snapshot_present": {"type": "bool", "default": True},
    "timeout": {"type": "int", "default": 600},
    "cluster_uid": {"type": "str", "default": ""},
}


class Restore:
    """One restore, planned when it is made; nothing is changed before ``run``."""

    def __init__(
        self,
        sides: SideDisks,
        options: Mapping[str, Any],
        now: Callable[[], datetime] = now_in_utc,
    ) -> None:
        """Plan it.

        Raises:
            SelectionError: what is asked for cannot be meant.
            RestoreError: the cluster cannot do it, or not now.
            ClusterError: the cluster does not answer.
        """
        self.sides, self.options, self._now = sides, options, now
        api, namespace = sides.api, sides.namespace
        request = request_of(options, now())
        claims = api.list(CLAIM, "v1", namespace, DISKS)
        disks = [disk_of(each) for each in claims]
        self._template = template_of(api, namespace, options["image"])
        self._over: list[Begun] = []
        self._begun: Begun | None = None
        self._item: Json = {}
        self.plan = self._planned_whole(request, disks) if request.whole_disk else self._planned(request, disks)
        self._claim = next((each for each in claims if each["metadata"]["name"] == self.plan.disk), None)
        self._pods = api.list("Pod", "v1", namespace)
        side = None if self._begun else api.get(CLAIM, self.plan.side_disk, namespace)
        self._there = side is not None
        present = self.plan.present
        self._class = options["scratch_class"]
        if self.plan.mode == WHOLE:
            self._class = present.storage_class if present else options["storage_class"]
        if why := taken_by_another(side, self.plan.snapshot.name):
            raise RestoreError(why)
        self._check()

    def _planned_whole(self, request: Request, disks: list[Disk]) -> Plan:
        """Return the plan for a whole disk: what was begun and is named goes on, also without its snapshot.

        Raises:
            SelectionError: as ``plan`` does.
            RestoreError: another restore of the disk was begun.
        """
        volumes = self.sides.api.list(VOLUME, "v1", None, f"{_disk_swap.PENDING}=pending")
        begun = begun_of(volumes, self.sides.namespace, request)
        self._over = [each for each in begun if each.is_over(disks)]
        waiting = [each for each in begun if each not in self._over]
        self._begun = next((each for each in waiting if each.record.snapshot == request.snapshot), None)
        if self._begun:
            return self._begun.plan(disks)
        try:
            made = self._planned(request, disks)
        except SelectionError as error:
            # It may be the one whose snapshot retention has removed meanwhile.
            if waiting and (request.disk or len({disk.name for disk in disks if disk.student == request.student}) < 2):
                raise RestoreError(waiting[0].sentence()) from error
            raise
        self._begun = next((each for each in waiting if each.record.name == made.disk), None)
        if self._begun and self._begun.record.snapshot != made.snapshot.name:
            raise RestoreError(self._begun.sentence())
        return made

    def _planned(self, request: Request, disks: list[Disk]) -> Plan:
        """Return the plan; snapshots of all students are read only where the student's own give none, or for a name."""
        own = selectors_of(disk for disk in disks if disk.student == request.student)
        if own and not request.to:
            with contextlib.suppress(SelectionError):
                return self._planned_from(request, disks, own)
        return self._planned_from(request, disks, [OURS])

    def _planned_from(self, request: Request, disks: list[Disk], selectors: list[str]) -> Plan:
        api, namespace = self.sides.api, self.sides.namespace
        found = [item for each in selectors for item in api.list("VolumeSnapshot", API, namespace, each)]
        made = plan(request, disks, [snapshot_of(each) for each in found])
        self._item = next(each for each in found if each["metadata"]["name"] == made.snapshot.name)
        return made

    def _check(self) -> None:
        """Raise RestoreError when the cluster cannot do what is planned."""
        if not self._begun:
            self._check_snapshot()
        if self.plan.mode == PATH:
            self._node()
        if self.plan.mode == WHOLE:
            self._check_whole()

    def _check_snapshot(self) -> None:
        """Raise RestoreError when no disk can be made from the snapshot."""
        chosen = self.plan.snapshot
        driver = self._driver_of_class()
        content = self.sides.api.get("VolumeSnapshotContent", chosen.content, None, API) if chosen.content else None
        if content is None:
            raise RestoreError(f"The content of the snapshot {chosen.name} is gone; choose another.")
        if content["spec"]["driver"] != driver:
            raise RestoreError(
                f"The StorageClass {self._class} is of {driver} and cannot make a disk from a snapshot of "
                f"{content['spec']['driver']}; name a class of that driver."
            )

    def _check_whole(self) -> None:
        require_unused(self._pods, self.plan.disk, self.plan.student)
        if self.options["snapshot_present"] and self.plan.present:
            name, driver = self.options["snapshot_class"], self._driver_of_class()
            found = self.sides.api.get("VolumeSnapshotClass", name, None, API) if name else None
            if found is None or found["driver"] != driver:
                why = f"is of {found['driver']}" if found else "is not there"
                raise RestoreError(
                    f"The VolumeSnapshotClass {name} {why}, so the present disk cannot be kept as a snapshot first; "
                    f"name one of {driver} by snapshot_class."
                )

    def _driver_of_class(self) -> str:
        found = self.sides.api.get("StorageClass", self._class, None, "storage.k8s.io/v1")
        if found is None and self._class:
            raise RestoreError(f"There is no StorageClass {self._class} to make the disk in; name another.")
        if found is None and self.plan.mode == WHOLE and self.plan.present:
            raise RestoreError(
                f"The disk {self.plan.disk} has no StorageClass to make another in its place; restore a path, or make "
                "a side disk."
            )
        if found is None:
            raise RestoreError("No StorageClass is named to make the disk in; name one.")
        return str(found["provisioner"])

    def _node(self) -> str:
        """Return the node on which the student's disk is in use, empty when it can be used on any that reaches it."""
        modes = ((self._claim or {}).get("spec") or {}).get("accessModes") or []
        users = users_of(self._pods, self.plan.disk)
        if not users or "ReadWriteMany" in modes:
            return ""
        if "ReadWriteOncePod" in modes:
            raise RestoreError(
                f"The disk {self.plan.disk} takes one pod only and {users[0]['metadata']['name']} has it: "
                f"stop the server of {self.plan.student} first, then run again."
            )
        return next((node for each in users if (node := each["spec"].get("nodeName"))), "")

    @property
    def changes(self) -> bool:
        """Whether there is anything to do; a side disk for its own sake may be there already."""
        return self.plan.mode != SIDE or not self._there

    def report(self) -> Json:
        """Return what will be done."""
        words = self.plan.sentence()
        if self._begun:
            words += " It was begun before, and goes on from there."
        return {**self.plan.as_dict(), "plan": words}

    def run(self) -> Json:
        """Do it, and return what was done.

        Raises:
            RestoreError: it could not be done.
            ClusterError: the cluster did not answer.
        """
        for each in self._over:
            self.sides.api.patch(VOLUME, each.volume, None, _disk_swap.finished(each.record))
        if self._begun:
            return self._swap(self._begun.record).finish(self._begun.volume)
        name = self.plan.side_disk
        claim = side_claim(name, self.plan.snapshot, self.plan.size, self._class, self._like())
        created = self.sides.make(claim)
        try:
            answer = self._ask()
            recorded = manifest_of(self._item)
            if self.plan.mode != PATH and recorded:
                answer["differs"] = differences(recorded, answer)
                answer["matches"] = not answer["differs"]
            answer.pop("parts", None)
            if self.plan.mode == WHOLE:
                self._require_equal(answer)
                swap = self._swap(self._record())
                # What is refused now leaves nothing that is begun.
                swap.require_unused()
                answer.update(swap.finish(swap.begin(name)))
        except BaseException:
            if created or (self._is_unnamed and not self.plan.keep_side_disk):
                self._clean_up()
            raise
        if not self.plan.keep_side_disk:
            if created or self._is_unnamed:
                self._clean_up()
            else:
                answer["side_disk"] = name
        return answer

    @property
    def _is_unnamed(self) -> bool:
        """Whether the side disk has the name of this very restore; one that was named may have been kept for a use."""
        return self.plan.side_disk == self.plan.run

    def _clean_up(self) -> None:
        """Remove the side disk; a volume that is to take the place of the student's stays."""
        api = self.sides.api
        claim = api.get(CLAIM, self.plan.side_disk, self.sides.namespace)
        name = ((claim or {}).get("spec") or {}).get("volumeName")
        if claim and name and is_side_disk_of(claim, self.plan.snapshot.name):
            self._let_go(name)
        self.sides.remove(CLAIM, self.plan.side_disk)

    def _let_go(self, name: str) -> None:
        """Let a volume go with its claim, also in a class that retains; not one that is to take a place.

        The same restore may run twice and note that on it at this very moment: only what was read is changed.
        """
        api = self.sides.api

        def let_go() -> bool | None:
            volume = api.get(VOLUME, name)
            if (
                volume is None
                or volume["spec"].get("persistentVolumeReclaimPolicy") == "Delete"
                or _disk_swap.record_of(volume)
            ):
                return True
            version = volume["metadata"]["resourceVersion"]
            body = {"metadata": {"resourceVersion": version}, "spec": {"persistentVolumeReclaimPolicy": "Delete"}}
            try:
                api.patch(VOLUME, name, None, body)
            except ClusterError as error:
                if error.status != 409:
                    raise
                return None
            return True

        self.sides.until(f"Letting the volume {name} go", let_go)

    def _like(self) -> Json | None:
        """Return what the disk made from the snapshot has to agree with: the student's, if it takes its place."""
        return self._claim["spec"] if self._claim and self.plan.mode == WHOLE else None

    def _ask(self) -> Json:
        """Run the pod that brings the path back, or else reads the side disk."""
        wanted, arguments, home = self.plan, hashes_of(), ""
        affinity = None
        if wanted.mode == PATH:
            arguments, home = copy_back(wanted.path, wanted.into, wanted.run), wanted.disk
            affinity = on_node(node) if (node := self._node()) else None
        elif wanted.present and wanted.present.bound:
            affinity = as_volume(self.sides.api.get(VOLUME, wanted.present.volume))
        item = pod(
            wanted.run,
            self.sides.namespace,
            template=self._template,
            arguments=arguments,
            side=wanted.side_disk,
            seconds=self.options["timeout"],
            home=home,
            affinity=affinity,
        )
        return self.sides.ask(item)

    def _require_equal(self, answer: Json) -> None:
        if answer.get("differs"):
            raise RestoreError(
                f"The disk made from {self.plan.snapshot.name} is not what was recorded when it was taken "
                f"({', '.join(answer['differs'])}); the student's disk was not touched."
            )

    def _record(self) -> Record:
        disk, chosen = self.plan.present, self.plan.snapshot
        uid = replaced = ""
        if self._claim and disk:
            claim, uid, replaced = _disk_swap.claim_anew(self._claim), disk.uid, disk.volume if disk.bound else ""
        else:
            labels = self._item["metadata"].get("labels") or {}
            claim = _disk_swap.claim_of_snapshot(chosen, labels, self.plan.size, self._class)
        return Record(self.plan.student, chosen.name, written(chosen.taken), claim, uid, replaced)

    def _swap(self, record: Record) -> Swap:
        chosen = self.options["snapshot_class"] if self.options["snapshot_present"] else ""
        return Swap(self.sides, record, chosen, self._now)


def restore(api: Api, options: Mapping[str, Any], check_mode: bool) -> Json:
    """Return what a restore did, or would do in check mode; raises as Restore does."""
    wanted = Restore(SideDisks(api, required_namespace(options), options["timeout"]), options)
    report = wanted.report()
    kept = report["side_disk"] if wanted.plan.keep_side_disk else ""
    diff = {"before": "", "after": f"{report['plan']}\n"}
    done = {} if check_mode else wanted.run()
    return {"changed": wanted.changes, **report, "side_disk": kept, **done, "diff": diff}
