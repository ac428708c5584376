"""Mounting, growing and deleting with the kernel replaced by a list."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from campus_csi import ext4, loop, mounts
from campus_csi.accounting import Ledger, Room
from campus_csi.disks import Disks
from campus_csi.errors import Damaged, FailedPrecondition, InvalidArgument, NotFound
from campus_csi.locks import Locks
from campus_csi.mounts import Mount
from campus_csi.node import Node
from campus_csi.store import Store
from campus_csi_proto import csi_pb2 as csi

GIB = 1024**3
Mode = csi.VolumeCapability.AccessMode


class Kernel:
    """Loop devices and mounts as far as the driver sees them."""

    def __init__(self) -> None:
        self.loops: dict[Path, int] = {}
        self.mounted: list[Mount] = []
        self.done: list[str] = []
        self.may_grow = True
        self.trouble: Exception | None = None

    def find(self, image: Path) -> int | None:
        return self.loops.get(image)

    @contextmanager
    def attached(self, image: Path) -> Iterator[str]:
        number = self.loops.setdefault(image, len(self.done) + 1)
        yield f"/dev/loop{number}"
        self._let_go()

    def _let_go(self) -> None:
        used = {mount.device[1] for mount in self.mounted}
        self.loops = {image: number for image, number in self.loops.items() if number in used}

    def released(self, image: Path) -> bool:
        return image not in self.loops

    def at(self, path: Path) -> Mount | None:
        return next((mount for mount in reversed(self.mounted) if mount.path == path), None)

    def has(self, number: int, image: Path) -> bool:
        return self.loops.get(image) == number

    def beside(self, path: Path) -> list[Path]:
        found = self.at(path)
        assert found is not None
        return [mount.path for mount in self.mounted if mount.device == found.device and mount.path != path]

    def mount(self, device: str, path: Path, kind: str, options: tuple[str, ...]) -> None:
        self.mounted.append(Mount(path, (7, int(device.removeprefix("/dev/loop")))))
        self.done.append("mount")

    def bind(self, source: Path, target: Path, readonly: bool) -> None:
        found = self.at(source)
        assert found is not None
        self.mounted.append(Mount(target, found.device))
        self.done.append("bind")
        if readonly:
            self.make_readonly(target)

    def make_readonly(self, path: Path) -> None:
        self.mounted = [replace(mount, readonly=True) if mount.path == path else mount for mount in self.mounted]
        self.done.append("ro")

    def unmount(self, path: Path) -> None:
        self.mounted = [mount for mount in self.mounted if mount.path != path]
        self._let_go()

    def check(self, image: Path, *, thorough: bool = False) -> None:
        self.done.append("checked thoroughly" if thorough else "checked")

    def grow_unmounted(self, image: Path) -> None:
        with image.open("r+b") as handle:
            handle.write(b"half-grown")
        if self.trouble is not None:
            raise self.trouble
        self.done.append("grown unmounted")

    def grow_mounted(self, path: Path, size: int) -> None:
        if not self.may_grow:
            raise PermissionError(1, "Operation not permitted")
        self.done.append("grown")


class Parts:
    """The node service on that kernel."""

    def __init__(self, root: Path, kernel: Kernel) -> None:
        self.kernel = kernel
        self.spare = GIB
        self.store = Store(root, lambda path, size: path.touch())
        self.ledger = Ledger(Room(lambda: 4 * GIB, lambda *_: self.spare), {})
        self.disks = Disks(self.store, self.ledger, shares=False)
        self.node = Node("n1", "n1", self.store, self.disks, Locks())
        self.id = self.store.create("pvc-1", GIB).id
        self.ledger.promise(self.id, GIB)
        self.staging, self.target = root / "staging", root / "pods" / "target"


@pytest.fixture
def parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Parts:
    kernel = Kernel()
    for name in ("find", "has", "attached", "released"):
        monkeypatch.setattr(loop, name, getattr(kernel, name))
    monkeypatch.setattr(loop, "refresh", lambda image: None)
    for name in ("at", "beside", "mount", "bind", "make_readonly", "unmount"):
        monkeypatch.setattr(mounts, name, getattr(kernel, name))
    monkeypatch.setattr(ext4, "check", kernel.check)
    monkeypatch.setattr(ext4, "grow_unmounted", kernel.grow_unmounted)
    monkeypatch.setattr(ext4, "grow_mounted", kernel.grow_mounted)
    return Parts(tmp_path, kernel)


def test_a_disk_is_checked_mounted_once_and_taken_away(parts: Parts) -> None:
    for _unused in range(2):
        parts.disks.stage(parts.id, parts.staging)
        parts.disks.publish(parts.id, parts.staging, parts.target)
    assert parts.kernel.done == ["checked", "mount", "bind"]
    for _unused in range(2):
        parts.disks.unpublish(parts.id, parts.target)
        parts.disks.unstage(parts.id, parts.staging)
    assert not parts.target.exists()
    assert parts.kernel.loops == {}


def test_staging_lost_by_a_restart_is_made_again(parts: Parts) -> None:
    parts.disks.publish(parts.id, parts.staging, parts.target, readonly=True)
    assert parts.kernel.done == ["checked", "mount", "bind", "ro"]


def test_a_disk_that_was_bound_but_not_yet_read_only_is_made_so_by_the_retry(parts: Parts) -> None:
    parts.disks.stage(parts.id, parts.staging)
    parts.kernel.bind(parts.staging, parts.target, readonly=False)
    for _unused in range(2):
        parts.disks.publish(parts.id, parts.staging, parts.target, readonly=True)
    assert parts.kernel.done == ["checked", "mount", "bind", "ro"]
    staged, published = parts.kernel.at(parts.staging), parts.kernel.at(parts.target)
    assert staged is not None
    assert published is not None
    assert (staged.readonly, published.readonly) == (False, True)


def test_a_disk_mounted_elsewhere_is_not_checked_again(parts: Parts) -> None:
    parts.disks.stage(parts.id, parts.staging)
    parts.disks.stage(parts.id, parts.staging.with_name("second"))
    assert parts.kernel.done == ["checked", "mount", "mount"]


@pytest.mark.parametrize("place", ["staging", "target"])
def test_a_foreign_mount_is_left_alone(parts: Parts, place: str) -> None:
    foreign = Mount(getattr(parts, place), (254, 0))
    parts.kernel.mounted.append(foreign)
    with pytest.raises(FailedPrecondition, match="something else"):
        parts.disks.publish(parts.id, parts.staging, parts.target)
    assert foreign in parts.kernel.mounted


def test_a_disk_for_one_pod_alone_is_not_given_to_two(parts: Parts) -> None:
    parts.disks.publish(parts.id, parts.staging, parts.target, alone=True)
    with pytest.raises(FailedPrecondition, match="one pod alone"):
        parts.disks.publish(parts.id, parts.staging, parts.target.with_name("other"), alone=True)
    parts.disks.publish(parts.id, parts.staging, parts.target, alone=True)


def test_a_mounted_disk_is_not_deleted(parts: Parts) -> None:
    parts.disks.stage(parts.id, parts.staging)
    with pytest.raises(FailedPrecondition, match="still mounted"):
        parts.disks.delete(parts.id)
    parts.disks.unstage(parts.id, parts.staging)
    parts.disks.delete(parts.id)
    assert parts.ledger.promised == 0


def test_a_disk_in_use_grows(parts: Parts) -> None:
    parts.disks.publish(parts.id, parts.staging, parts.target)
    for _unused in range(2):
        assert parts.disks.expand(parts.id, parts.target, 2 * GIB) == 2 * GIB
    assert parts.kernel.done.count("grown") == 1
    assert parts.ledger.promised == 2 * GIB


def test_where_the_kernel_forbids_it_the_disk_grows_at_the_next_start(parts: Parts) -> None:
    parts.kernel.may_grow = False
    parts.disks.publish(parts.id, parts.staging, parts.target)
    with pytest.raises(FailedPrecondition, match="started next"):
        parts.disks.expand(parts.id, parts.target, 2 * GIB)
    parts.disks.unpublish(parts.id, parts.target)
    parts.disks.unstage(parts.id, parts.staging)
    parts.disks.publish(parts.id, parts.staging, parts.target)
    assert parts.kernel.done[-4:] == ["checked thoroughly", "grown unmounted", "mount", "bind"]
    assert parts.disks.expand(parts.id, parts.target, 2 * GIB) == 2 * GIB


@pytest.mark.parametrize("trouble", [Damaged("resize2fs failed"), OSError(28, "No space left on device"), None])
def test_a_disk_that_cannot_be_grown_before_it_is_mounted_is_used_as_it_is(
    parts: Parts, caplog: pytest.LogCaptureFixture, trouble: Exception | None
) -> None:
    parts.kernel.trouble = trouble
    if trouble is None:
        parts.spare = -1
    parts.store.enlarge(parts.id, 2 * GIB)
    image = parts.store.disks.image(parts.id)
    before = image.stat().st_ino
    parts.disks.stage(parts.id, parts.staging)
    assert parts.kernel.done == ["checked thoroughly", "mount"]
    assert f"{parts.id} could not be grown to 2 GiB and is used as it is" in caplog.text
    assert image.stat().st_ino == before
    assert list(image.parents[2].joinpath("partial").iterdir()) == []

    parts.kernel.trouble, parts.spare = None, GIB
    parts.disks.unstage(parts.id, parts.staging)
    parts.disks.stage(parts.id, parts.staging)
    assert parts.kernel.done[-2:] == ["grown unmounted", "mount"]
    assert image.stat().st_ino != before
    volume = parts.store.disks.get(parts.id)
    assert volume.grown == volume.capacity == 2 * GIB


def test_a_full_pool_leaves_the_disk_as_it_is(parts: Parts) -> None:
    parts.disks.publish(parts.id, parts.staging, parts.target)
    with pytest.raises(FailedPrecondition, match=r"stays as it is.*1 GiB of 4 GiB"):
        parts.disks.expand(parts.id, parts.target, 5 * GIB)
    assert parts.store.disks.get(parts.id).capacity == GIB
    assert parts.ledger.promised == GIB


def test_a_disk_that_is_not_mounted_there_is_not_grown(parts: Parts) -> None:
    with pytest.raises(NotFound, match="not mounted"):
        parts.disks.expand(parts.id, parts.target, 2 * GIB)


STAGE, PUBLISH = csi.NodeStageVolumeRequest, csi.NodePublishVolumeRequest
CAPABILITY = csi.VolumeCapability(
    mount=csi.VolumeCapability.MountVolume(), access_mode=Mode(mode=Mode.SINGLE_NODE_WRITER)
)


@pytest.mark.parametrize(
    ("call", "request_", "sentence"),
    [
        ("NodeStageVolume", STAGE(), "volume id"),
        ("NodeStageVolume", STAGE(volume_id="x"), "staging target path"),
        ("NodeStageVolume", STAGE(volume_id="x", staging_target_path="/s"), "capability"),
        ("NodeUnstageVolume", csi.NodeUnstageVolumeRequest(volume_id="x"), "staging target path"),
        ("NodePublishVolume", PUBLISH(volume_id="x"), "target path"),
        ("NodePublishVolume", PUBLISH(volume_id="x", target_path="/t"), "capability"),
        ("NodePublishVolume", PUBLISH(volume_id="x", target_path="/t", volume_capability=CAPABILITY), "staging"),
        ("NodeUnpublishVolume", csi.NodeUnpublishVolumeRequest(volume_id="x"), "target path"),
        ("NodeGetVolumeStats", csi.NodeGetVolumeStatsRequest(volume_id="x"), "volume path"),
        ("NodeExpandVolume", csi.NodeExpandVolumeRequest(volume_id="x"), "volume path"),
    ],
)
def test_a_request_without_its_arguments_is_refused(parts: Parts, call: str, request_: Any, sentence: str) -> None:
    with pytest.raises(InvalidArgument, match=sentence):
        getattr(parts.node, call)(request_, None)


def test_growing_names_no_size_when_an_unfinished_one_is_to_end(parts: Parts) -> None:
    parts.disks.publish(parts.id, parts.staging, parts.target)
    parts.store.enlarge(parts.id, 2 * GIB)
    request = csi.NodeExpandVolumeRequest(volume_id=parts.id, volume_path=str(parts.target))
    assert parts.node.NodeExpandVolume(request, None).capacity_bytes == 2 * GIB
    assert "grown" in parts.kernel.done


def test_the_node_says_where_its_disks_are(parts: Parts) -> None:
    info = parts.node.NodeGetInfo(csi.NodeGetInfoRequest(), None)
    assert info.node_id == "n1"
    assert list(info.accessible_topology.segments.values()) == ["n1"]
