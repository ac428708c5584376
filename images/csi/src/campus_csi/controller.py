"""CSI Controller service: disks and snapshots made, listed and removed on this node."""

from __future__ import annotations

from functools import partial
from typing import Any

from campus_csi_proto import csi_pb2 as csi
from campus_csi_proto import csi_pb2_grpc

from . import TOPOLOGY_KEY, capabilities, ext4
from .accounting import Ledger
from .copies import Copies, counted
from .disks import Disks
from .errors import AlreadyExists, InvalidArgument, NotFound, OutOfRange, ResourceExhausted
from .listing import page
from .locks import Locks
from .quantity import show
from .records import Snapshot, Volume, volume_id
from .snapshots import Snapshots
from .store import Store

DEFAULT_SIZE = 1024**3
"""Bytes of a disk whose request names no size."""

_CLAIM = "csi.storage.k8s.io/pvc/name"
_NAMESPACE = "csi.storage.k8s.io/pvc/namespace"
_PARAMETERS = {_CLAIM, _NAMESPACE, "csi.storage.k8s.io/pv/name"}


def fit_size(required: int, limit: int, source: int = 0) -> int:
    """Return the bytes to give for a range of bytes, 0 meaning not named, and a source of that size, 0 meaning none.

    Raises:
        InvalidArgument: a size is negative.
        OutOfRange: no disk fits the range.
    """
    if required < 0 or limit < 0:
        raise InvalidArgument("a size in bytes cannot be negative")
    if source:
        if 0 < required < source or 0 < limit < source:
            asked = show(required or limit)
            raise OutOfRange(f"a disk of {asked} cannot hold what it is to be made from, which has {show(source)}")
        required = required or source
    wanted = required or min(DEFAULT_SIZE, limit or DEFAULT_SIZE)
    size = max(ext4.SMALLEST, -(-wanted // ext4.BLOCK) * ext4.BLOCK)
    if limit and size > limit:
        smallest = show(ext4.SMALLEST)
        raise OutOfRange(f"no disk fits between {show(required)} and {show(limit)}; the smallest is {smallest}")
    return size


class Controller(csi_pb2_grpc.ControllerServicer):  # type: ignore[misc]
    """Disks and snapshots of this node's pool."""

    def __init__(
        self, topology: str, store: Store, ledger: Ledger, disks: Disks, *, copies: Copies, locks: Locks
    ) -> None:
        self._topology = {TOPOLOGY_KEY: topology}
        self._store = store
        self._ledger = ledger
        self._disks = disks
        self._copies = copies
        self._locks = locks
        self._snapshots = Snapshots(store, ledger, copies, locks)

    def ControllerGetCapabilities(self, request: Any, context: Any) -> Any:
        """Return what is offered; a disk grows by the node service alone."""
        kinds = csi.ControllerServiceCapability
        offered = (
            kinds.RPC.CREATE_DELETE_VOLUME,
            kinds.RPC.LIST_VOLUMES,
            kinds.RPC.GET_CAPACITY,
            kinds.RPC.CREATE_DELETE_SNAPSHOT,
            kinds.RPC.LIST_SNAPSHOTS,
            kinds.RPC.CLONE_VOLUME,
            kinds.RPC.SINGLE_NODE_MULTI_WRITER,
        )
        return csi.ControllerGetCapabilitiesResponse(capabilities=[kinds(rpc=kinds.RPC(type=kind)) for kind in offered])

    def CreateVolume(self, request: Any, context: Any) -> Any:
        """Make a disk, or return the one made for that name before."""
        if not request.name:
            raise InvalidArgument("the volume's name is missing")
        capabilities.require(request.volume_capabilities)
        self._refuse_unknown(request)
        sizes = request.capacity_range
        size = fit_size(sizes.required_bytes, sizes.limit_bytes)
        source = _source(request.volume_content_source)
        identity = volume_id(request.name)
        with self._locks.hold(identity):
            volume = self._store.disks.find(identity)
            if volume is None:
                volume = self._make_from(request, source) if source else self._make(request, size)
            else:
                _require_same(volume, request, source)
        return csi.CreateVolumeResponse(volume=self._describe(volume))

    def _refuse_unknown(self, request: Any) -> None:
        unknown = sorted({*request.parameters} - _PARAMETERS) + sorted(request.mutable_parameters)
        if unknown:
            raise InvalidArgument(f"unknown parameter {', '.join(unknown)} in the StorageClass; this driver takes none")
        wanted = request.accessibility_requirements.requisite
        if wanted and not any(self._is_here(topology) for topology in wanted):
            raise ResourceExhausted(f"the disk is wanted on other nodes than {self._topology[TOPOLOGY_KEY]}")

    def _make(self, request: Any, size: int) -> Volume:
        identity = volume_id(request.name)
        self._ledger.promise(identity, size)
        try:
            return self._store.create(request.name, size, _claim(request))
        except Exception:
            self._ledger.restore(identity, None)
            raise

    def _make_from(self, request: Any, source: str) -> Volume:
        origin = self._origin(source)
        sizes = request.capacity_range
        size = fit_size(sizes.required_bytes, sizes.limit_bytes, origin.capacity)
        copy = self._copies.of_disk if isinstance(origin, Volume) else self._copies.of_snapshot
        plan = self._copies.plan_disk(volume_id(request.name), origin)
        with self._copies.turn(), self._ledger.copying(plan, size) as made:
            whole = counted(partial(copy, source), made)
            return self._store.create_from(whole, request.name, size, _claim(request), plan.member.family)

    def _origin(self, source: str) -> Volume | Snapshot:
        """Return what a disk is to be made from.

        A csi-provisioner run with `--node-deployment` calls the driver of the node that the scheduler chose, which
        knows nothing of where a source is. To RESOURCE_EXHAUSTED it answers by letting the scheduler choose again; to
        NOT_FOUND by asking the same node for ever. So what may well be on another node is exhausted here, and only what
        cannot be an id of ours on any node is not found.

        Raises:
            ResourceExhausted: this node does not have it.
            NotFound: no node can have it.
        """
        for shelf in (self._store.disks, self._store.snapshots):
            if shelf.is_id(source):
                found = shelf.find(source)
                if found is None:
                    here = self._topology[TOPOLOGY_KEY]
                    raise ResourceExhausted(f"{source} is not on {here}; if it is on no other node either, it is gone")
                return found
        raise NotFound(f'"{source}" is no disk or snapshot of this driver')

    def DeleteVolume(self, request: Any, context: Any) -> Any:
        """Remove a disk; one that is not there is removed already."""
        if not request.volume_id:
            raise InvalidArgument("the volume's id is missing")
        with self._locks.hold(request.volume_id):
            self._disks.delete(request.volume_id)
        return csi.DeleteVolumeResponse()

    def ValidateVolumeCapabilities(self, request: Any, context: Any) -> Any:
        """Say whether a disk can be used as wanted."""
        if not request.volume_id:
            raise InvalidArgument("the volume's id is missing")
        if not request.volume_capabilities:
            raise InvalidArgument("the volume capability is missing")
        self._store.disks.get(request.volume_id)
        reason = capabilities.problem(request.volume_capabilities)
        if reason:
            return csi.ValidateVolumeCapabilitiesResponse(message=reason)
        confirmed = csi.ValidateVolumeCapabilitiesResponse.Confirmed(
            volume_context=request.volume_context,
            volume_capabilities=request.volume_capabilities,
            parameters=request.parameters,
        )
        return csi.ValidateVolumeCapabilitiesResponse(confirmed=confirmed)

    def ListVolumes(self, request: Any, context: Any) -> Any:
        """Return disks, oldest first, after the one the token names."""
        volumes, token = page(self._store.disks.list(), request.starting_token, request.max_entries)
        entries = [csi.ListVolumesResponse.Entry(volume=self._describe(volume)) for volume in volumes]
        return csi.ListVolumesResponse(entries=entries, next_token=token)

    def CreateSnapshot(self, request: Any, context: Any) -> Any:
        """Take a snapshot of a disk."""
        return self._snapshots.create(request)

    def DeleteSnapshot(self, request: Any, context: Any) -> Any:
        """Remove a snapshot."""
        return self._snapshots.delete(request)

    def ListSnapshots(self, request: Any, context: Any) -> Any:
        """Return snapshots."""
        return self._snapshots.list(request)

    def GetCapacity(self, request: Any, context: Any) -> Any:
        """Return the bytes that may still be promised here."""
        elsewhere = request.HasField("accessible_topology") and not self._is_here(request.accessible_topology)
        available = 0 if elsewhere or capabilities.problem(request.volume_capabilities) else self._ledger.available()
        response = csi.GetCapacityResponse(available_capacity=available)
        response.maximum_volume_size.value = available
        response.minimum_volume_size.value = ext4.SMALLEST
        return response

    def _is_here(self, topology: Any) -> bool:
        return all(self._topology.get(key) == value for key, value in topology.segments.items())

    def _describe(self, volume: Volume) -> Any:
        here = csi.Topology(segments=self._topology)
        described = csi.Volume(volume_id=volume.id, capacity_bytes=volume.capacity, accessible_topology=[here])
        if self._store.snapshots.is_id(volume.source):
            described.content_source.snapshot.snapshot_id = volume.source
        elif volume.source:
            described.content_source.volume.volume_id = volume.source
        return described


def _claim(request: Any) -> str:
    """Return namespace/name of the claim a disk is made for, as far as they are known."""
    return "/".join(filter(None, (request.parameters.get(_NAMESPACE), request.parameters.get(_CLAIM))))


def _source(content: Any) -> str:
    """Return the id of what a disk is to be made from, empty for an empty disk.

    Raises:
        InvalidArgument: a source without an id.
    """
    kind = content.WhichOneof("type")
    if kind is None:
        return ""
    source = str(content.snapshot.snapshot_id if kind == "snapshot" else content.volume.volume_id)
    if not source:
        raise InvalidArgument(f"the id of the source {kind} is missing")
    return source


def _require_same(volume: Volume, request: Any, source: str) -> None:
    """Check that a disk is what is asked for once more.

    Raises:
        AlreadyExists: its size or its source is another.
    """
    sizes = request.capacity_range
    if volume.capacity < sizes.required_bytes or 0 < sizes.limit_bytes < volume.capacity:
        raise AlreadyExists(f"{request.name} exists with {show(volume.capacity)}, another size than wanted")
    if volume.source != source:
        present = f"made from {volume.source}" if volume.source else "made empty"
        raise AlreadyExists(f"{request.name} exists, {present}, not {f'from {source}' if source else 'empty'}")
