"""CSI Node service: disks for pods of this node."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from campus_csi_proto import csi_pb2 as csi
from campus_csi_proto import csi_pb2_grpc

from . import TOPOLOGY_KEY, capabilities
from .controller import fit_size
from .disks import Disks
from .errors import InvalidArgument
from .locks import Locks
from .store import Store


def _require(request: Any, *fields: str) -> None:
    for field in fields:
        if not getattr(request, field):
            raise InvalidArgument(f"{field.replace('_', ' ')} is missing")


class Node(csi_pb2_grpc.NodeServicer):  # type: ignore[misc]
    """Mounts of this node's disks."""

    def __init__(self, name: str, topology: str, store: Store, disks: Disks, locks: Locks) -> None:
        self._name = name
        self._topology = topology
        self._store = store
        self._disks = disks
        self._locks = locks

    def NodeGetInfo(self, request: Any, context: Any) -> Any:
        """Return the node's name and where its disks can be reached: here alone."""
        here = csi.Topology(segments={TOPOLOGY_KEY: self._topology})
        return csi.NodeGetInfoResponse(node_id=self._name, accessible_topology=here)

    def NodeGetCapabilities(self, request: Any, context: Any) -> Any:
        """Return what is offered."""
        kinds = csi.NodeServiceCapability
        offered = (
            kinds.RPC.STAGE_UNSTAGE_VOLUME,
            kinds.RPC.GET_VOLUME_STATS,
            kinds.RPC.EXPAND_VOLUME,
            kinds.RPC.SINGLE_NODE_MULTI_WRITER,
        )
        return csi.NodeGetCapabilitiesResponse(capabilities=[kinds(rpc=kinds.RPC(type=kind)) for kind in offered])

    def NodeStageVolume(self, request: Any, context: Any) -> Any:
        """Mount a disk once for all pods of this node."""
        _require(request, "volume_id", "staging_target_path")
        if not request.HasField("volume_capability"):
            raise InvalidArgument("volume capability is missing")
        capabilities.require([request.volume_capability])
        with self._locks.hold(request.volume_id):
            staging = Path(request.staging_target_path)
            self._disks.stage(request.volume_id, staging, request.volume_capability.mount.mount_flags)
        return csi.NodeStageVolumeResponse()

    def NodeUnstageVolume(self, request: Any, context: Any) -> Any:
        """Unmount a disk no pod of this node uses any more."""
        _require(request, "volume_id", "staging_target_path")
        with self._locks.hold(request.volume_id):
            self._disks.unstage(request.volume_id, Path(request.staging_target_path))
        return csi.NodeUnstageVolumeResponse()

    def NodePublishVolume(self, request: Any, context: Any) -> Any:
        """Give a disk to a pod."""
        _require(request, "volume_id", "target_path")
        if not request.HasField("volume_capability"):
            raise InvalidArgument("volume capability is missing")
        capabilities.require([request.volume_capability])
        _require(request, "staging_target_path")
        mode = request.volume_capability.access_mode.mode
        with self._locks.hold(request.volume_id):
            self._disks.publish(
                request.volume_id,
                Path(request.staging_target_path),
                Path(request.target_path),
                request.volume_capability.mount.mount_flags,
                readonly=request.readonly or mode == capabilities.Mode.SINGLE_NODE_READER_ONLY,
                alone=mode == capabilities.ALONE,
            )
        return csi.NodePublishVolumeResponse()

    def NodeUnpublishVolume(self, request: Any, context: Any) -> Any:
        """Take a disk away from a pod."""
        _require(request, "volume_id", "target_path")
        with self._locks.hold(request.volume_id):
            self._disks.unpublish(request.volume_id, Path(request.target_path))
        return csi.NodeUnpublishVolumeResponse()

    def NodeGetVolumeStats(self, request: Any, context: Any) -> Any:
        """Return used and free bytes and files of a mounted disk."""
        _require(request, "volume_id", "volume_path")
        self._store.disks.get(request.volume_id)
        path = Path(request.volume_path)
        self._disks.require_mounted(request.volume_id, path)
        figures = os.statvfs(path)
        size = figures.f_frsize
        used = csi.VolumeUsage(
            unit=csi.VolumeUsage.BYTES,
            total=figures.f_blocks * size,
            used=(figures.f_blocks - figures.f_bfree) * size,
            available=figures.f_bavail * size,
        )
        files = csi.VolumeUsage(
            unit=csi.VolumeUsage.INODES,
            total=figures.f_files,
            used=figures.f_files - figures.f_ffree,
            available=figures.f_favail,
        )
        return csi.NodeGetVolumeStatsResponse(usage=[used, files])

    def NodeExpandVolume(self, request: Any, context: Any) -> Any:
        """Grow a disk, or end a growth that was cut short."""
        _require(request, "volume_id", "volume_path")
        with self._locks.hold(request.volume_id):
            volume = self._store.disks.get(request.volume_id)
            wanted = request.capacity_range.required_bytes or volume.capacity
            size = fit_size(wanted, request.capacity_range.limit_bytes)
            reached = self._disks.expand(volume.id, Path(request.volume_path), max(size, volume.capacity))
        return csi.NodeExpandVolumeResponse(capacity_bytes=reached)
