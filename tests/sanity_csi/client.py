"""Calls as kubelet and csi-provisioner make them."""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import grpc
from ansible_collections.campus.jupyterhub.scripts.csi_sanity import HostDriver
from campus_csi_proto import csi_pb2 as csi
from campus_csi_proto import csi_pb2_grpc

MIB = 1024 * 1024
SECONDS = 60


class Client:
    """A connection to a driver on this machine."""

    def __init__(self, driver: HostDriver) -> None:
        self.folder = driver.folder
        self.channel = grpc.insecure_channel(f"unix:{driver.socket}")
        self.controller = csi_pb2_grpc.ControllerStub(self.channel)
        self.node = csi_pb2_grpc.NodeStub(self.channel)

    def create(self, name: str, size: int) -> str:
        """Make a disk and return its id."""
        sizes = csi.CapacityRange(required_bytes=size)
        request = csi.CreateVolumeRequest(name=name, capacity_range=sizes, volume_capabilities=[capability()])
        return str(self.controller.CreateVolume(request, timeout=SECONDS).volume.volume_id)

    def create_from(self, name: str, source: str, size: int = 0) -> str:
        """Make a disk from a snapshot or another disk and return its id."""
        content = csi.VolumeContentSource()
        if source.startswith("snap-"):
            content.snapshot.snapshot_id = source
        else:
            content.volume.volume_id = source
        sizes = csi.CapacityRange(required_bytes=size)
        request = csi.CreateVolumeRequest(
            name=name, capacity_range=sizes, volume_capabilities=[capability()], volume_content_source=content
        )
        return str(self.controller.CreateVolume(request, timeout=SECONDS).volume.volume_id)

    def snapshot(self, name: str, source: str) -> str:
        """Take a snapshot and return its id."""
        request = csi.CreateSnapshotRequest(name=name, source_volume_id=source)
        taken = self.controller.CreateSnapshot(request, timeout=SECONDS).snapshot
        assert taken.ready_to_use
        return str(taken.snapshot_id)

    def delete_snapshot(self, identity: str) -> None:
        """Remove a snapshot."""
        self.controller.DeleteSnapshot(csi.DeleteSnapshotRequest(snapshot_id=identity), timeout=SECONDS)

    def snapshots(self) -> dict[str, str]:
        """Return all snapshots and the disks they are of."""
        listed = self.controller.ListSnapshots(csi.ListSnapshotsRequest(), timeout=SECONDS)
        return {entry.snapshot.snapshot_id: entry.snapshot.source_volume_id for entry in listed.entries}

    def delete(self, identity: str) -> None:
        """Remove a disk."""
        self.controller.DeleteVolume(csi.DeleteVolumeRequest(volume_id=identity), timeout=SECONDS)

    def delete_unmounted(self, identity: str) -> None:
        """Remove a disk that was in use just now, again and again as csi-provisioner does: see `devices_gone`."""
        deadline = time.monotonic() + SECONDS
        while True:
            try:
                return self.delete(identity)
            except grpc.RpcError as error:
                if error.code() is not grpc.StatusCode.FAILED_PRECONDITION or time.monotonic() > deadline:
                    raise
            time.sleep(0.1)

    def sizes(self) -> dict[str, int]:
        """Return all disks and their sizes in bytes."""
        listed = self.controller.ListVolumes(csi.ListVolumesRequest(), timeout=SECONDS)
        return {entry.volume.volume_id: entry.volume.capacity_bytes for entry in listed.entries}

    def available(self) -> int:
        """Return the bytes that may still be promised."""
        return int(self.controller.GetCapacity(csi.GetCapacityRequest(), timeout=SECONDS).available_capacity)

    def staging(self, identity: str) -> Path:
        """Return where a disk is staged."""
        return self.folder / "stage" / identity

    def target(self, identity: str, pod: str = "pod") -> Path:
        """Return where a pod gets a disk."""
        return self.folder / "pods" / pod / identity

    def mount(self, identity: str, pod: str = "pod") -> Path:
        """Stage and publish a disk and return where it is."""
        self.node.NodeStageVolume(
            csi.NodeStageVolumeRequest(
                volume_id=identity, staging_target_path=str(self.staging(identity)), volume_capability=capability()
            ),
            timeout=SECONDS,
        )
        return self.publish(identity, pod)

    def publish(self, identity: str, pod: str = "pod") -> Path:
        """Publish a disk and return where it is."""
        target = self.target(identity, pod)
        self.node.NodePublishVolume(
            csi.NodePublishVolumeRequest(
                volume_id=identity,
                staging_target_path=str(self.staging(identity)),
                target_path=str(target),
                volume_capability=capability(),
            ),
            timeout=SECONDS,
        )
        return target

    def unmount(self, identity: str, *pods: str) -> None:
        """Take a disk away from pods and unstage it."""
        for pod in pods or ("pod",):
            target = str(self.target(identity, pod))
            request = csi.NodeUnpublishVolumeRequest(volume_id=identity, target_path=target)
            self.node.NodeUnpublishVolume(request, timeout=SECONDS)
        staging = str(self.staging(identity))
        request = csi.NodeUnstageVolumeRequest(volume_id=identity, staging_target_path=staging)
        self.node.NodeUnstageVolume(request, timeout=SECONDS)

    def expand(self, identity: str, size: int) -> int:
        """Grow a published disk and return the size reached."""
        sizes = csi.CapacityRange(required_bytes=size)
        target = str(self.target(identity))
        request = csi.NodeExpandVolumeRequest(volume_id=identity, volume_path=target, capacity_range=sizes)
        return int(self.node.NodeExpandVolume(request, timeout=SECONDS).capacity_bytes)

    def used(self, identity: str) -> int:
        """Return the used bytes of a published disk."""
        request = csi.NodeGetVolumeStatsRequest(volume_id=identity, volume_path=str(self.target(identity)))
        return int(self.node.NodeGetVolumeStats(request, timeout=SECONDS).usage[0].used)


def capability() -> Any:
    """Return what a ReadWriteOnce claim asks for."""
    mode = csi.VolumeCapability.AccessMode
    mount = csi.VolumeCapability.MountVolume()
    return csi.VolumeCapability(mount=mount, access_mode=mode(mode=mode.SINGLE_NODE_WRITER))


def devices(driver: HostDriver) -> list[str]:
    """Return the loop devices of a driver's disks; that of the pool itself is not counted."""
    backing = [path.read_text(encoding="utf-8").strip() for path in Path("/sys/block").glob("loop*/loop/backing_file")]
    return [path for path in backing if path.startswith(f"{driver.pool}/")]


def devices_gone(driver: HostDriver) -> bool:
    """Say whether no loop device is left; the kernel, or udev, may keep one for a moment after unmounting."""
    deadline = time.monotonic() + SECONDS
    while devices(driver):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def exhaust(path: Path) -> None:
    """Write into a file until its file system has not a block left."""
    for size in (MIB, 4096):
        with suppress(OSError), path.open("ab", buffering=0) as handle:
            while True:
                handle.write(b"\xa5" * size)


def fill(path: Path) -> None:
    """Write into a file until the disk is full.

    Raises:
        OSError: always, with ENOSPC unless something else is wrong.
    """
    with path.open("wb", buffering=0) as handle:
        while True:
            handle.write(b"\xa5" * MIB)
