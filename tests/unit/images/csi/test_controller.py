from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from campus_csi import TOPOLOGY_KEY
from campus_csi.accounting import Ledger
from campus_csi.controller import Controller, fit_size, page
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
from campus_csi.locks import Locks
from campus_csi.store import Store, Volume, volume_id
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
        self.ledger = Ledger(lambda: 10 * GIB, {})
        disks = Disks(self.store, self.ledger)
        self.controller = Controller("n1", self.store, self.ledger, disks, self.locks)

    def make(self, image: Path, size: int) -> None:
        if self.failing:
            raise OSError(28, "No space left on device", str(image))
        image.touch()


@pytest.fixture
def parts(tmp_path: Path) -> Parts:
    return Parts(tmp_path)


def test_a_disk_is_made_once_and_belongs_to_its_node(parts: Parts) -> None:
    names = {"csi.storage.k8s.io/pvc/name": "claim-ann", "csi.storage.k8s.io/pvc/namespace": "hub"}
    first = parts.controller.CreateVolume(create(parameters=names), None)
    assert first == parts.controller.CreateVolume(create(parameters=names), None)
    assert first.volume.capacity_bytes == GIB
    assert dict(first.volume.accessible_topology[0].segments) == {TOPOLOGY_KEY: "n1"}
    assert [volume.claim for volume in parts.store.list()] == ["hub/claim-ann"]


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
    assert parts.store.list() == []
    assert parts.ledger.promised == 0


def test_another_source_is_refused(parts: Parts) -> None:
    request = create()
    request.volume_content_source.volume.volume_id = "disk-x"
    with pytest.raises(InvalidArgument, match="cannot be made from"):
        parts.controller.CreateVolume(request, None)


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
