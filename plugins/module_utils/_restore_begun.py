# Copyright: campus.jupyterhub contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Restores of whole disks that an earlier run began: which go on, and which are over but for the note of it. Pure.

Private to the collection: it may change in any release.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from ansible_collections.campus.jupyterhub.plugins.module_utils._disk_snapshots import Snapshot
from ansible_collections.campus.jupyterhub.plugins.module_utils._disk_swap import Record, record_of
from ansible_collections.campus.jupyterhub.plugins.module_utils._quantity import to_bytes
from ansible_collections.campus.jupyterhub.plugins.module_utils._restore_plan import WHOLE, Plan, Request
from ansible_collections.campus.jupyterhub.plugins.module_utils._student_disks import Disk, moment

Json = dict[str, Any]


@dataclass(frozen=True)
class Begun:
    """A restored volume whose record is still on it."""

    volume: str
    """Name of the PersistentVolume."""
    size: int
    """Its bytes."""
    record: Record

    def is_over(self, disks: Iterable[Disk]) -> bool:
        """Say whether the student's claim has the volume: the run ended between that and taking the record away."""
        return any(disk.name == self.record.name and disk.bound and disk.volume == self.volume for disk in disks)

    def sentence(self) -> str:
        """Return why no other restore of the disk can be made."""
        return (
            f"A restore of {self.record.name} from the snapshot {self.record.snapshot} was begun and not "
            "finished; finish it first by naming that snapshot."
        )

    def plan(self, disks: Iterable[Disk]) -> Plan:
        """Return how it goes on; its snapshot may be gone meanwhile, and is not needed any more."""
        record = self.record
        snapshot = Snapshot(
            name=record.snapshot,
            namespace=record.namespace,
            uid="",
            disk=record.name,
            disk_uid=record.uid,
            student=record.student,
            course="",
            taken=moment(record.taken),
            ready=True,
            error="",
            size=self.size,
            content="",
            reason="",
            deleting=False,
        )
        return Plan(
            mode=WHOLE,
            student=record.student,
            disk=record.name,
            present=next((disk for disk in disks if disk.name == record.name), None),
            snapshot=snapshot,
            path="",
            into="",
            side_disk="",
            run="",
            keep_side_disk=False,
            size=self.size,
        )


def begun_of(volumes: Iterable[Json], namespace: str, request: Request) -> list[Begun]:
    """Return what was begun of the disk that is meant, or of all disks of the student where none is named."""
    found = []
    for volume in volumes:
        record = record_of(volume)
        if (
            record
            and (record.namespace, record.student) == (namespace, request.student)
            and request.disk in ("", record.name)
        ):
            found.append(Begun(volume["metadata"]["name"], to_bytes(volume["spec"]["capacity"]["storage"]), record))
    return found
