"""CSI Controller service: disks made, listed and removed on this node."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from campus_csi_proto import csi_pb2 as csi
from campus_csi_proto import csi_pb2_grpc

from . import TOPOLOGY_KEY, capabilities, ext4
from .accounting import Ledger
from .disks import Disks
from .errors import Aborted, AlreadyExists, InvalidArgument, OutOfRange, ResourceExhausted
from .locks import Locks
from .quantity import show
from .store import Store, Volume, volume_id

DEFAULT_SIZE = 1024**3
"""Bytes of a disk whose request names no size."""

_CLAIM = "csi.storage.k8s.io/pvc/name"
_NAMESPACE = "csi.storage.k8s.io/pvc/namespace"
_TOKEN = re.compile(r"[0-9]{20}-disk-[0-9a-f]{40}")
_PARAMETERS = {_CLAIM, _NAMESPACE, "csi.storage.k8s.io/pv/name"}


def fit_size(required: int, limit: int) -> int:
    """Return the bytes to give for a range of bytes; 0 means not named.

    Raises:
        InvalidArgument: a size is negative.
        OutOfRange: no disk fits the range.
    """
    if required < 0 or limit < 0:
        raise InvalidArgument("a size in bytes cannot be negative")
    wanted = required or min(DEFAULT_SIZE, limit or DEFAULT_SIZE)
    size = max(ext4.SMALLEST, -(-wanted // ext4.BLOCK) * ext4.BLOCK)
    if limit and size > limit:
        smallest = show(ext4.SMALLEST)
        raise OutOfRange(f"no disk fits between {show(required)} and {show(limit)}; the smallest is {smallest}")
    return size


class Controller(csi_pb2_grpc.ControllerServicer):  # type: ignore[misc]
    """Disks of this node's pool."""

    def __init__(self, topology: str, store: Store, ledger: Ledger, disks: Disks, locks: Locks) -> None:
        self._topology = {TOPOLOGY_KEY: topology}
        self._store = store
        self._ledger = ledger
        self._disks = disks
        self._locks = locks

    def ControllerGetCapabilities(self, request: Any, context: Any) -> Any:
        """Return what is offered; a disk grows by the node service alone."""
        kinds = csi.ControllerServiceCapability
        offered = (
            kinds.RPC.CREATE_DELETE_VOLUME,
            kinds.RPC.LIST_VOLUMES,
            kinds.RPC.GET_CAPACITY,
            kinds.RPC.SINGLE_NODE_MULTI_WRITER,
        )
        return csi.ControllerGetCapabilitiesResponse(capabilities=[kinds(rpc=kinds.RPC(type=kind)) for kind in offered])

    def CreateVolume(self, request: Any, context: Any) -> Any:
        """Make a disk, or return the one made for that name before."""
        if not request.name:
            raise InvalidArgument("the volume's name is missing")
        capabilities.require(request.volume_capabilities)
        self._refuse_unknown(request)
        limit = request.capacity_range.limit_bytes
        size = fit_size(request.capacity_range.required_bytes, limit)
        identity = volume_id(request.name)
        with self._locks.hold(identity):
            volume = self._store.find(identity)
            if volume is None:
                volume = self._make(request, size)
            elif volume.capacity < request.capacity_range.required_bytes or (limit and volume.capacity > limit):
                raise AlreadyExists(f"{request.name} exists with {show(volume.capacity)}, another size than wanted")
        return csi.CreateVolumeResponse(volume=self._describe(volume))

    def _refuse_unknown(self, request: Any) -> None:
        if request.HasField("volume_content_source"):
            raise InvalidArgument("disks cannot be made from another volume or a snapshot")
        unknown = sorted({*request.parameters} - _PARAMETERS) + sorted(request.mutable_parameters)
        if unknown:
            raise InvalidArgument(f"unknown parameter {', '.join(unknown)} in the StorageClass; this driver takes none")
        wanted = request.accessibility_requirements.requisite
        if wanted and not any(self._is_here(topology) for topology in wanted):
            raise ResourceExhausted(f"the disk is wanted on other nodes than {self._topology[TOPOLOGY_KEY]}")

    def _make(self, request: Any, size: int) -> Volume:
        identity = volume_id(request.name)
        claim = "/".join(filter(None, (request.parameters.get(_NAMESPACE), request.parameters.get(_CLAIM))))
        self._ledger.promise(identity, size)
        try:
            return self._store.create(request.name, size, claim)
        except Exception:
            self._ledger.restore(identity, None)
            raise

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
        self._store.get(request.volume_id)
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
        volumes, token = page(self._store.list(), request.starting_token, request.max_entries)
        entries = [csi.ListVolumesResponse.Entry(volume=self._describe(volume)) for volume in volumes]
        return csi.ListVolumesResponse(entries=entries, next_token=token)

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
        return csi.Volume(volume_id=volume.id, capacity_bytes=volume.capacity, accessible_topology=[here])


def page(volumes: Iterable[Volume], token: str, entries: int) -> tuple[list[Volume], str]:
    """Return at most `entries` disks (0: all) after `token`, and the token for the rest, empty when there is none.

    Raises:
        InvalidArgument: `entries` is negative.
        Aborted: the token is not one of ours.
    """
    if entries < 0:
        raise InvalidArgument("max_entries cannot be negative")
    if token and not _TOKEN.fullmatch(token):
        raise Aborted(f'"{token}" is not a token of this list; begin again without one')
    rest = [volume for volume in volumes if volume.token > token]
    shown = rest[:entries] if entries else rest
    return shown, shown[-1].token if len(shown) < len(rest) else ""
