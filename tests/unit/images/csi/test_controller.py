from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from campus_csi import TOPOLOGY_KEY, files, loop
from campus_csi.accounting import Copying, Ledger, Room
from campus_csi.controller import Controller, fit_size
from campus_csi.copies import Copies
from campus_csi.disks import Disks
from campus_csi.errors import (
    Aborted,
    AlreadyExists,
    CallError,
    InvalidArgument,
    NotFound,
    OutOfRange,
    ResourceExhausted,
)
from campus_csi.freezing import Freezer
from campus_csi.listing import page
from campus_csi.locks import Locks
from campus_csi.records import Volume, volume_id
from campus_csi.store import Store
from campus_csi_proto import csi_pb2 as csi
from hypothesis import given
from hypothesis import strategies as st

MIB = 1024 * 1024
GIB = 1024**3
Mode = csi.VolumeCapability.AccessMode


def capability(mode: int = Mode.SINGLE_NODE_WRITER, fs_type: str = "") -> Any:
    mount = csi.VolumeCapability.MountVolume(fs_type=fs_type)
    return csi.VolumeCapability(mount=mount, access_mode=Mode(mode=mode))


def block() -> Any:
    return csi.VolumeCapability(
        block=csi.VolumeCapability.BlockVolume(), access_mode=Mode(mode=Mode.SINGLE_NODE_WRITER)
    )


def create(name: str = "pvc-1", required: int = GIB, limit: int = 0, **fields: Any) -> Any:
    fields.setdefault("volume_capabilities", [capability()])
    sizes = csi.CapacityRange(required_bytes=required, limit_bytes=limit)
    return csi.CreateVolumeRequest(name=name, capacity_range=sizes, **fields)


class Parts:
    """A controller on a store of empty files."""

    def __init__(self, root: Path) -> None:
        self.failing = False
        self.locks = Locks()
        self.store = Store(root, self.make)
        self.spare = 10 * GIB
        self.ledger = Ledger(Room(lambda: 10 * GIB, self.room), {})
        disks = Disks(self.store, self.ledger, shares=False)
        copies = Copies(self.store, self.locks, Freezer(None), shares=False)
        self.controller = Controller("n1", self.store, self.ledger, disks, copies=copies, locks=self.locks)

    def room(self, _promises: Any, copies: Iterable[Copying]) -> int:
        return self.spare - sum(copying.member.taken for copying in copies)

    def make(self, image: Path, size: int) -> None:
        if self.failing:
            raise OSError(28, "No space left on device", str(image))
        image.write_bytes(b"empty")

    def create(self, name: str = "pvc-1", **fields: Any) -> str:
        return str(self.controller.CreateVolume(create(name, **fields), None).volume.volume_id)

    def snapshot(self, name: str, source: str) -> str:
        request = csi.CreateSnapshotRequest(name=name, source_volume_id=source)
        return str(self.controller.CreateSnapshot(request, None).snapshot.snapshot_id)

    def snapshots(self, **fields: Any) -> list[str]:
        listed = self.controller.ListSnapshots(csi.ListSnapshotsRequest(**fields), None)
        return [entry.snapshot.snapshot_id for entry in listed.entries]


@pytest.fixture
def parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Parts:
    monkeypatch.setattr(loop, "find", lambda image: None)
    return Parts(tmp_path)


def test_a_disk_is_made_once_and_belongs_to_its_node(parts: Parts) -> None:
    names = {"csi.storage.k8s.io/pvc/name": "claim-ann", "csi.storage.k8s.io/pvc/namespace": "hub"}
    first = parts.controller.CreateVolume(create(parameters=names), None)
    assert first == parts.controller.CreateVolume(create(parameters=names), None)
    assert first.volume.capacity_bytes == GIB
    assert dict(first.volume.accessible_topology[0].segments) == {TOPOLOGY_KEY: "n1"}
    assert [volume.claim for volume in parts.store.disks.list()] == ["hub/claim-ann"]


@pytest.mark.parametrize(
    ("changes", "error", "sentence"),
    [
        ({"name": ""}, InvalidArgument, "name is missing"),
        ({"volume_capabilities": []}, InvalidArgument, "capability is missing"),
        ({"volume_capabilities": [block()]}, InvalidArgument, "no block volumes"),
        ({"volume_capabilities": [capability(fs_type="xfs")]}, InvalidArgument, "ext4"),
        ({"volume_capabilities": [capability(Mode.MULTI_NODE_MULTI_WRITER)]}, InvalidArgument, "ReadWriteOnce"),
        ({"parameters": {"fast": "yes"}}, InvalidArgument, "unknown parameter fast"),
        ({"mutable_parameters": {"iops": "1"}}, InvalidArgument, "unknown parameter iops"),
        ({"required": -1}, InvalidArgument, "negative"),
        ({"required": 2 * GIB, "limit": GIB}, OutOfRange, "no disk fits"),
        ({"required": 11 * GIB}, ResourceExhausted, "cannot promise 11 GiB more"),
    ],
)
def test_what_cannot_be_made_is_refused_and_leaves_nothing(
    parts: Parts, changes: dict[str, Any], error: type[CallError], sentence: str
) -> None:
    with pytest.raises(error, match=sentence):
        parts.controller.CreateVolume(create(**changes), None)
    assert parts.store.disks.list() == []
    assert parts.ledger.promised == 0


def test_a_disk_wanted_elsewhere_is_refused(parts: Parts) -> None:
    request = create()
    request.accessibility_requirements.requisite.add().segments[TOPOLOGY_KEY] = "n2"
    with pytest.raises(ResourceExhausted, match="other nodes than n1"):
        parts.controller.CreateVolume(request, None)
    request.accessibility_requirements.requisite.add().segments[TOPOLOGY_KEY] = "n1"
    parts.controller.CreateVolume(request, None)


def test_another_size_for_the_same_name_is_refused(parts: Parts) -> None:
    parts.controller.CreateVolume(create(), None)
    with pytest.raises(AlreadyExists):
        parts.controller.CreateVolume(create(required=2 * GIB), None)
    with pytest.raises(AlreadyExists):
        parts.controller.CreateVolume(create(required=0, limit=GIB // 2), None)
    parts.controller.CreateVolume(create(required=GIB // 2), None)


def test_a_failed_creation_takes_its_promise_back(parts: Parts) -> None:
    parts.failing = True
    with pytest.raises(OSError, match="No space"):
        parts.controller.CreateVolume(create(), None)
    assert parts.ledger.promised == 0
    parts.failing = False
    parts.controller.CreateVolume(create(), None)
    assert parts.ledger.promised == GIB


def test_a_disk_under_way_is_not_made_twice(parts: Parts) -> None:
    with parts.locks.hold(volume_id("pvc-1")), pytest.raises(Aborted):
        parts.controller.CreateVolume(create(), None)


def test_deleting_gives_the_promise_back(parts: Parts) -> None:
    made = parts.controller.CreateVolume(create(), None).volume.volume_id
    for _unused in range(2):
        parts.controller.DeleteVolume(csi.DeleteVolumeRequest(volume_id=made), None)
    assert parts.ledger.promised == 0
    with pytest.raises(InvalidArgument):
        parts.controller.DeleteVolume(csi.DeleteVolumeRequest(), None)


def test_capacity_is_what_may_still_be_promised_here(parts: Parts) -> None:
    parts.controller.CreateVolume(create(required=4 * GIB), None)
    assert parts.controller.GetCapacity(csi.GetCapacityRequest(), None).available_capacity == 6 * GIB
    elsewhere = csi.GetCapacityRequest()
    elsewhere.accessible_topology.segments[TOPOLOGY_KEY] = "n2"
    assert parts.controller.GetCapacity(elsewhere, None).available_capacity == 0
    blocks = csi.GetCapacityRequest(volume_capabilities=[block()])
    assert parts.controller.GetCapacity(blocks, None).available_capacity == 0


def test_capabilities_are_confirmed_or_explained(parts: Parts) -> None:
    made = parts.controller.CreateVolume(create(), None).volume.volume_id

    def ask(**fields: Any) -> Any:
        return parts.controller.ValidateVolumeCapabilities(csi.ValidateVolumeCapabilitiesRequest(**fields), None)

    assert ask(volume_id=made, volume_capabilities=[capability()]).HasField("confirmed")
    refused = ask(volume_id=made, volume_capabilities=[block()])
    assert not refused.HasField("confirmed")
    assert "block" in refused.message
    with pytest.raises(NotFound):
        ask(volume_id="disk-x", volume_capabilities=[capability()])


@given(st.integers(0, 2**45), st.integers(0, 2**45))
def test_a_fitted_size_is_in_its_range(required: int, limit: int) -> None:
    try:
        size = fit_size(required, limit)
    except OutOfRange:
        assert limit
        return
    assert size >= required
    assert size % 4096 == 0
    assert not limit or size <= limit


def volumes(count: int) -> list[Volume]:
    return [Volume(f"disk-{number:040x}", f"pvc-{number}", MIB, MIB, 10**18 + number) for number in range(count)]


@given(st.integers(0, 30), st.integers(1, 7))
def test_pages_hold_every_disk_once(count: int, entries: int) -> None:
    token, seen, pages = "", [], 0
    while pages == 0 or token:
        shown, token = page(volumes(count), token, entries)
        seen += shown
        pages += 1
    assert seen == volumes(count)
    assert pages == max(1, -(-count // entries))


def test_a_token_holds_when_its_disk_is_deleted_and_new_ones_come() -> None:
    first, token = page(volumes(4), "", 2)
    rest, end = page([*volumes(6)[2:]], token, 0)
    assert [*first, *rest] == volumes(6)
    assert end == ""


@pytest.mark.parametrize("token", ["x", "-", "1-disk", "invalid-token", "٣" * 20 + "-disk"])
def test_a_foreign_token_is_refused(token: str) -> None:
    with pytest.raises(Aborted, match="begin again"):
        page(volumes(2), token, 0)


def test_a_negative_page_is_refused() -> None:
    with pytest.raises(InvalidArgument):
        page([], "", -1)


def from_snapshot(identity: str) -> Any:
    return csi.VolumeContentSource(snapshot=csi.VolumeContentSource.SnapshotSource(snapshot_id=identity))


def from_disk(identity: str) -> Any:
    return csi.VolumeContentSource(volume=csi.VolumeContentSource.VolumeSource(volume_id=identity))


def test_a_snapshot_is_taken_once_and_says_all_about_itself(parts: Parts) -> None:
    disk = parts.create()
    request = csi.CreateSnapshotRequest(name="snapshot-1", source_volume_id=disk)
    first = parts.controller.CreateSnapshot(request, None)
    assert first == parts.controller.CreateSnapshot(request, None)
    assert first.snapshot.source_volume_id == disk
    assert first.snapshot.size_bytes == GIB
    assert first.snapshot.ready_to_use
    record = parts.store.snapshots.list()[0]
    assert first.snapshot.creation_time.ToNanoseconds() == record.created > parts.store.disks.get(disk).created


@pytest.mark.parametrize(
    ("fields", "error", "sentence"),
    [
        ({"name": ""}, InvalidArgument, "name is missing"),
        ({"source_volume_id": ""}, InvalidArgument, "source volume's id"),
        ({"source_volume_id": "disk-x"}, NotFound, "no disk disk-x"),
        ({"parameters": {"fast": "yes"}}, InvalidArgument, "unknown parameter fast in the VolumeSnapshotClass"),
    ],
)
def test_a_snapshot_that_cannot_be_taken_leaves_nothing(
    parts: Parts, fields: dict[str, Any], error: type[CallError], sentence: str
) -> None:
    wanted = {"name": "snapshot-1", "source_volume_id": parts.create(), **fields}
    with pytest.raises(error, match=sentence):
        parts.controller.CreateSnapshot(csi.CreateSnapshotRequest(**wanted), None)
    assert parts.snapshots() == []


def test_names_of_the_snapshot_objects_are_no_parameters(parts: Parts) -> None:
    names = {"csi.storage.k8s.io/volumesnapshot/name": "a", "csi.storage.k8s.io/volumesnapshotcontent/name": "b"}
    request = csi.CreateSnapshotRequest(name="snapshot-1", source_volume_id=parts.create(), parameters=names)
    parts.controller.CreateSnapshot(request, None)


def test_a_name_belongs_to_one_source(parts: Parts) -> None:
    parts.snapshot("snapshot-1", parts.create("a"))
    with pytest.raises(AlreadyExists, match="as a snapshot of disk-"):
        parts.snapshot("snapshot-1", parts.create("b"))


def test_a_pool_without_room_takes_no_snapshot(parts: Parts) -> None:
    disk = parts.create()
    parts.spare = -1
    with pytest.raises(ResourceExhausted, match="no room for a snapshot"):
        parts.snapshot("snapshot-1", disk)
    assert parts.snapshots() == []


@pytest.mark.parametrize("what", ["snapshot", "copy"])
def test_what_is_written_back_for_a_copy_must_find_room_too(
    parts: Parts, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    disk = parts.create()
    image = parts.store.disks.image(disk)
    parts.spare = image.stat().st_blocks * 512 + MIB
    real = files.copy_sparse

    def copy(source: Path, target: Path) -> None:
        target.write_bytes(b"work" * MIB)

    def take(name: str) -> str:
        if what == "snapshot":
            return parts.snapshot(name, disk)
        return parts.create(name, volume_content_source=from_disk(disk))

    monkeypatch.setattr(files, "copy_sparse", copy)
    with pytest.raises(ResourceExhausted, match=f"no room for a {what}"):
        take("late")
    assert (parts.snapshots(), len(parts.store.disks.list()), parts.ledger.promised) == ([], 1, GIB)
    assert list(image.parents[2].joinpath("partial").iterdir()) == []
    monkeypatch.setattr(files, "copy_sparse", real)
    take("in-time")


def test_snapshots_are_listed_by_id_by_source_and_in_pages(parts: Parts) -> None:
    first, second = parts.create("a"), parts.create("b")
    of_first = [parts.snapshot(f"a-{number}", first) for number in range(3)]
    of_second = parts.snapshot("b-0", second)
    assert parts.snapshots() == [*of_first, of_second]
    assert parts.snapshots(source_volume_id=first) == of_first
    assert parts.snapshots(snapshot_id=of_second) == [of_second]
    assert parts.snapshots(snapshot_id=of_second, source_volume_id=first) == []
    assert parts.snapshots(snapshot_id="snap-x") == parts.snapshots(source_volume_id="disk-x") == []
    page_1 = parts.controller.ListSnapshots(csi.ListSnapshotsRequest(max_entries=2), None)
    parts.controller.DeleteSnapshot(csi.DeleteSnapshotRequest(snapshot_id=of_first[1]), None)
    rest = parts.snapshots(starting_token=page_1.next_token)
    assert [entry.snapshot.snapshot_id for entry in page_1.entries] + rest == [*of_first, of_second]
    with pytest.raises(Aborted):
        parts.snapshots(starting_token="x")


def test_deleting_a_snapshot_may_be_repeated(parts: Parts) -> None:
    made = parts.snapshot("snapshot-1", parts.create())
    for _unused in range(2):
        parts.controller.DeleteSnapshot(csi.DeleteSnapshotRequest(snapshot_id=made), None)
    assert parts.snapshots() == []
    with pytest.raises(InvalidArgument):
        parts.controller.DeleteSnapshot(csi.DeleteSnapshotRequest(), None)


def test_a_snapshot_outlives_its_disk_and_becomes_a_larger_one(parts: Parts) -> None:
    disk = parts.create(parameters={"csi.storage.k8s.io/pvc/name": "claim-ann"})
    parts.store.disks.image(disk).write_bytes(b"work of a term")
    made = parts.snapshot("snapshot-1", disk)
    parts.controller.DeleteVolume(csi.DeleteVolumeRequest(volume_id=disk), None)
    request = create("pvc-2", required=2 * GIB, volume_content_source=from_snapshot(made))
    restored = parts.controller.CreateVolume(request, None).volume
    assert restored == parts.controller.CreateVolume(request, None).volume
    assert restored.content_source == from_snapshot(made)
    record = parts.store.disks.get(restored.volume_id)
    assert (record.capacity, record.grown, record.family) == (2 * GIB, GIB, record.id)
    assert parts.store.disks.image(record.id).read_bytes().rstrip(b"\0") == b"work of a term"
    assert parts.store.disks.image(record.id).stat().st_size == 2 * GIB
    assert parts.ledger.promised == 2 * GIB
    assert parts.store.snapshots.get(made).claim == "claim-ann"


def test_a_disk_is_cloned_with_its_size_where_none_is_named(parts: Parts) -> None:
    disk = parts.create(required=3 * GIB)
    clone = parts.create("pvc-2", required=0, volume_content_source=from_disk(disk))
    assert parts.store.disks.get(clone).capacity == 3 * GIB
    assert parts.controller.CreateVolume(
        create("pvc-2", required=0, volume_content_source=from_disk(disk)), None
    ).volume.content_source == from_disk(disk)


@pytest.mark.parametrize(
    ("fields", "error", "sentence"),
    [
        ({"required": GIB // 2}, OutOfRange, "512 MiB cannot hold"),
        ({"required": 0, "limit": GIB // 2}, OutOfRange, "512 MiB cannot hold"),
        ({"required": 10 * GIB}, ResourceExhausted, "cannot promise"),
        ({"volume_content_source": from_snapshot("snap-" + "0" * 40)}, ResourceExhausted, "not on n1"),
        ({"volume_content_source": from_disk("disk-" + "0" * 40)}, ResourceExhausted, "not on n1"),
        ({"volume_content_source": from_snapshot("no-id-of-ours")}, NotFound, "no disk or snapshot of this driver"),
        ({"volume_content_source": from_disk("")}, InvalidArgument, "source volume is missing"),
    ],
)
def test_a_disk_that_cannot_be_made_from_its_source_leaves_nothing(
    parts: Parts, fields: dict[str, Any], error: type[CallError], sentence: str
) -> None:
    made = parts.snapshot("snapshot-1", parts.create())
    wanted = {"volume_content_source": from_snapshot(made), **fields}
    with pytest.raises(error, match=sentence):
        parts.controller.CreateVolume(create("pvc-2", **wanted), None)
    assert [volume.name for volume in parts.store.disks.list()] == ["pvc-1"]
    assert parts.ledger.promised == GIB


def test_another_source_for_the_same_name_is_refused(parts: Parts) -> None:
    first, second = (parts.snapshot(name, parts.create("a")) for name in ("s1", "s2"))
    parts.create("pvc-2", volume_content_source=from_snapshot(first))
    with pytest.raises(AlreadyExists, match="made from snap-"):
        parts.create("pvc-2", volume_content_source=from_snapshot(second))
    with pytest.raises(AlreadyExists, match="not empty"):
        parts.create("pvc-2")
    with pytest.raises(AlreadyExists, match="made empty, not from snap-"):
        parts.create("a", volume_content_source=from_snapshot(first))


def test_a_call_for_the_disk_keeps_its_snapshot_waiting(parts: Parts) -> None:
    disk = parts.create()
    with parts.locks.hold(disk), pytest.raises(Aborted, match="under way"):
        parts.snapshot("snapshot-1", disk)
    parts.snapshot("snapshot-1", disk)


def test_a_disk_whose_image_somebody_removed_comes_back_out_of_a_snapshot_and_can_be_deleted(parts: Parts) -> None:
    lost = parts.create()
    parts.store.disks.image(lost).write_bytes(b"work")
    kept = parts.snapshot("snap-1", lost)
    parts.store.disks.image(lost).unlink()
    assert parts.ledger.available() >= 0
    source = csi.VolumeContentSource(snapshot=csi.VolumeContentSource.SnapshotSource(snapshot_id=kept))
    again = parts.create("pvc-2", volume_content_source=source)
    assert parts.store.disks.image(again).read_bytes().startswith(b"work")
    parts.controller.DeleteVolume(csi.DeleteVolumeRequest(volume_id=lost), None)
    assert [volume.id for volume in parts.store.disks.list()] == [again]
    assert parts.snapshots() == [kept]
