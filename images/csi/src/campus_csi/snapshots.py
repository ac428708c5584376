"""The calls of the CSI Controller service that are about snapshots."""

from __future__ import annotations

from functools import partial
from typing import Any

from campus_csi_proto import csi_pb2 as csi

from .accounting import Ledger
from .copies import Copies, counted
from .errors import AlreadyExists, InvalidArgument
from .listing import page
from .locks import Locks
from .records import Snapshot, snapshot_id
from .store import Store

_PARAMETERS = {
    f"csi.storage.k8s.io/{name}"
    for name in ("volumesnapshot/name", "volumesnapshot/namespace", "volumesnapshotcontent/name")
}


class Snapshots:
    """Snapshots in this node's pool.

    With `--enable-distributed-snapshotting` the snapshot controller labels each VolumeSnapshotContent with the node
    that the disk's volume belongs to, and a csi-snapshotter run with `--node-deployment` looks at those of its node
    only. So these calls come to the node that has the disk, and an id that is not here is nowhere.
    """

    def __init__(self, store: Store, ledger: Ledger, copies: Copies, locks: Locks) -> None:
        self._store = store
        self._ledger = ledger
        self._copies = copies
        self._locks = locks

    def create(self, request: Any) -> Any:
        """Take a snapshot, or return the one taken for that name before."""
        if not request.name:
            raise InvalidArgument("the snapshot's name is missing")
        source = request.source_volume_id
        if not source:
            raise InvalidArgument("the source volume's id is missing")
        unknown = sorted({*request.parameters} - _PARAMETERS)
        if unknown:
            raise InvalidArgument(
                f"unknown parameter {', '.join(unknown)} in the VolumeSnapshotClass; this driver takes none"
            )
        identity = snapshot_id(request.name)
        with self._locks.hold(identity):
            snapshot = self._store.snapshots.find(identity)
            if snapshot is None:
                snapshot = self._take(request.name, source)
            elif snapshot.source != source:
                raise AlreadyExists(f"{request.name} exists as a snapshot of {snapshot.source}, not of {source}")
        return csi.CreateSnapshotResponse(snapshot=_describe(snapshot))

    def _take(self, name: str, source: str) -> Snapshot:
        plan = self._copies.plan_snapshot(snapshot_id(name), self._store.disks.get(source))
        with self._ledger.copying(plan) as made:
            copy = counted(partial(self._copies.of_disk, source), made)
            return self._store.create_snapshot(copy, name, plan.member.family)

    def delete(self, request: Any) -> Any:
        """Remove a snapshot; one that is not there is removed already."""
        if not request.snapshot_id:
            raise InvalidArgument("the snapshot's id is missing")
        with self._locks.hold(request.snapshot_id):
            self._store.delete_snapshot(request.snapshot_id)
        return csi.DeleteSnapshotResponse()

    def list(self, request: Any) -> Any:
        """Return snapshots, oldest first, after the one the token names: all, those of one disk, or one."""
        if request.snapshot_id:
            one = self._store.snapshots.find(request.snapshot_id)
            found = [one] if one else []
        else:
            found = self._store.snapshots.list()
        chosen = [snapshot for snapshot in found if request.source_volume_id in ("", snapshot.source)]
        shown, token = page(chosen, request.starting_token, request.max_entries)
        entries = [csi.ListSnapshotsResponse.Entry(snapshot=_describe(snapshot)) for snapshot in shown]
        return csi.ListSnapshotsResponse(entries=entries, next_token=token)


def _describe(snapshot: Snapshot) -> Any:
    described = csi.Snapshot(
        snapshot_id=snapshot.id,
        source_volume_id=snapshot.source,
        size_bytes=snapshot.capacity,
        ready_to_use=True,
    )
    described.creation_time.FromNanoseconds(snapshot.created)
    return described
