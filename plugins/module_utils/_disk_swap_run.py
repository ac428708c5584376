# Copyright: campus.jupyterhub contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Put a restored volume in the place of a student's disk, so that stopping anywhere loses nothing.

Each step is done only where it is still to be done: a repeat goes on. Private to the collection: it may change in any
release.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from ansible_collections.campus.jupyterhub.plugins.module_utils import _disk_swap
from ansible_collections.campus.jupyterhub.plugins.module_utils._cluster import ClusterError
from ansible_collections.campus.jupyterhub.plugins.module_utils._disk_swap import Record
from ansible_collections.campus.jupyterhub.plugins.module_utils._restore_plan import written
from ansible_collections.campus.jupyterhub.plugins.module_utils._side_disk import users_of
from ansible_collections.campus.jupyterhub.plugins.module_utils._side_disk_run import RestoreError, SideDisks
from ansible_collections.campus.jupyterhub.plugins.module_utils._snapshot_take import Order, take_all
from ansible_collections.campus.jupyterhub.plugins.module_utils._student_disks import disk_of

Json = dict[str, Any]

CLAIM = "PersistentVolumeClaim"
VOLUME = "PersistentVolume"
REASON = "before-restore"


def now_in_utc() -> datetime:
    """Return the time."""
    return datetime.now(UTC)


@dataclass
class Swap:
    """The exchange of one student's disk."""

    sides: SideDisks
    record: Record
    snapshot_class: str
    """Class of the snapshot of the present disk; empty to take none."""
    now: Callable[[], datetime] = now_in_utc

    def begin(self, side_disk: str) -> str:
        """Keep the side disk's volume with the record on it, and return its name."""
        claim = self.sides.api.get(CLAIM, side_disk, self.record.namespace)
        volume = str(((claim or {}).get("spec") or {}).get("volumeName") or "")
        if not volume:
            raise RestoreError(f"The side disk {side_disk} has no volume; run again.")
        self.sides.api.patch(VOLUME, volume, None, _disk_swap.pending(self.record))
        return volume

    def finish(self, volume: str) -> Json:
        """Put the volume in the disk's place; returns the names of both volumes and of the snapshot that was taken.

        Raises:
            RestoreError: the disk is in use, or another one has taken its place; all data is still there.
        """
        self._reserve(volume)
        taken = self._give_up_present(volume)
        # A claim that waited may have got it in the very instant in which it was deleted.
        self._reserve(volume)
        self._take_place(volume)
        self.sides.api.patch(VOLUME, volume, None, _disk_swap.finished(self.record))
        return {"volume": volume, "kept_volume": self.record.replaced, "present_snapshot": taken}

    def require_unused(self) -> None:
        """Raise RestoreError while a pod uses the disk."""
        pods = self.sides.api.list("Pod", "v1", self.record.namespace)
        require_unused(pods, self.record.name, self.record.student)

    def _reserve(self, name: str) -> None:
        """Take the side disk's claim away and reserve its volume for the student's claim."""
        volume = self._volume(name)
        if _disk_swap.is_reserved(volume, self.record):
            return
        holder = (volume["spec"].get("claimRef") or {}).get("name")
        if holder and holder != self.record.name:
            self.sides.remove(CLAIM, holder)
            if self.sides.api.get(CLAIM, holder, self.record.namespace):
                raise RestoreError(f"The volume {name} of the restored disk belongs to {holder}; leaving both alone.")
        self.sides.api.patch(VOLUME, name, None, _disk_swap.reserved(self.record))

    def _volume(self, name: str) -> Json:
        volume = self.sides.api.get(VOLUME, name)
        if volume is None:
            raise RestoreError(f"The volume {name} of the restored disk is gone; run again.")
        return volume

    def _give_up_present(self, volume: str) -> str:
        """Remove the claim of the present disk, whose volume stays; returns the snapshot taken of it, if one was."""
        record, api, taken = self.record, self.sides.api, ""
        claim = self._present(volume)
        if claim is None:
            return taken
        if not claim["metadata"].get("deletionTimestamp"):
            self.require_unused()
            self._note_present(volume, claim)
            if self.record.replaced:
                taken = self._take_snapshot(claim)
                moment = written(self.now())
                api.patch(VOLUME, self.record.replaced, None, _disk_swap.replaced(self.record, volume, moment))
            self.require_unused()
            claim = self._present(volume)
            if claim is None:
                return taken
            self._require_noted(volume, claim)
            self._require_safe(volume)
            api.delete(CLAIM, record.name, record.namespace, record.uid)

        def gone() -> bool | None:
            left = api.get(CLAIM, record.name, record.namespace)
            return True if left is None or left["metadata"]["uid"] != record.uid else None

        self.sides.until(f"Removing the claim {record.name}, whose volume stays,", gone)
        return taken

    def _present(self, volume: str) -> Json | None:
        """Return the claim that is to be replaced; None where there is none, or it has the restored volume.

        A claim that waits for a volume gets the one that is reserved for its name, whoever made it.

        Raises:
            RestoreError: another claim has its name by now, and a volume.
        """
        claim = self.sides.api.get(CLAIM, self.record.name, self.record.namespace)
        has = claim["spec"].get("volumeName") if claim else None
        if claim is None or has == volume:
            return None
        if claim["metadata"]["uid"] == self.record.uid:
            return claim
        if has:
            raise RestoreError(
                f"The claim {self.record.name} was made anew meanwhile and has the volume {has}; nothing of it was "
                f"changed, and the restored disk waits as the volume {volume}."
            )
        return None

    def _present_of(self, claim: Json) -> str:
        """Return the name of the volume that a claim has just now, empty where it has none that is its own."""
        name = str(claim["spec"].get("volumeName") or "")
        found = self.sides.api.get(VOLUME, name) if name else None
        return name if found and _disk_swap.belongs_to(found, claim) else ""

    def _note_present(self, volume: str, claim: Json) -> None:
        """Keep in the record which volume is replaced: a claim that had none may have got one since it was planned."""
        present = self._present_of(claim)
        if present != self.record.replaced:
            self.record = replace(self.record, replaced=present)
            self.sides.api.patch(VOLUME, volume, None, _disk_swap.pending(self.record))

    def _require_noted(self, volume: str, claim: Json) -> None:
        """Raise RestoreError unless the claim still has the volume that was noted: no other would be kept."""
        if self._present_of(claim) != self.record.replaced:
            raise RestoreError(
                f"The disk {self.record.name} of {self.record.student} got a volume meanwhile; nothing of it was "
                f"changed, and the restored disk waits as the volume {volume}. Run again."
            )

    def _require_safe(self, name: str) -> None:
        """Raise RestoreError unless the restored volume is still there for the claim; another run may have failed."""
        if not _disk_swap.is_safe(self._volume(name), self.record):
            raise RestoreError(
                f"The volume {name} of the restored disk is not kept for {self.record.name} any more, as by another "
                "restore of it at the same time; the disk was not touched. Run again when no other runs."
            )

    def _take_snapshot(self, claim: Json) -> str:
        """Take a snapshot of the present disk, wait until it is ready, and return its name."""
        if not self.snapshot_class:
            return ""
        disk, sides = disk_of(claim), self.sides
        order = Order(sides.namespace, self.snapshot_class, REASON, REASON, self.now(), 1, sides.seconds)
        taken = take_all(sides.api, [disk], order, sides.clock)[disk.name]
        if taken.message:
            raise RestoreError(f"{taken.message} The disk was not touched; run again, or see snapshot_present.")
        return taken.name

    def _take_place(self, volume: str) -> None:
        """Make the student's claim anew, bound to the volume, and wait until it is."""
        record, api = self.record, self.sides.api
        item = {**record.claim, "spec": {**record.claim["spec"], "volumeName": volume}}
        try:
            api.create(item)
        except ClusterError as error:
            # The hub may have made it for a student who came just now; the volume is reserved for it all the same.
            if error.status != 409:
                raise

        def bound() -> bool | None:
            claim = api.get(CLAIM, record.name, record.namespace)
            has = ((claim or {}).get("spec") or {}).get("volumeName")
            if has and has != volume:
                raise RestoreError(f"The claim {record.name} has the volume {has}, not the restored {volume}.")
            phase = ((claim or {}).get("status") or {}).get("phase")
            return True if has and phase == "Bound" else None

        self.sides.until(f"Binding the claim {record.name} to the volume {volume}", bound)


def require_unused(pods: list[Json], claim: str, student: str) -> None:
    """Raise RestoreError when a pod uses a student's disk."""
    users = users_of(pods, claim)
    if users:
        name = users[0]["metadata"]["name"]
        raise RestoreError(
            f"The disk {claim} is in use by the pod {name}: stop the server of {student} first, then run again."
        )
