"""A whole driver, with the kernel's part replaced: where it starts, and that long calls keep no other kind waiting."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from itertools import islice
from pathlib import Path
from typing import Any

import grpc
import pytest
from campus_csi import copies, ext4, files, loop
from campus_csi.config import parse
from campus_csi.driver import Driver
from campus_csi.errors import FailedPrecondition
from campus_csi_proto import csi_pb2 as csi
from campus_csi_proto import csi_pb2_grpc

MANY = 40
SECONDS = 60
Mode = csi.VolumeCapability.AccessMode
CAPABILITY = csi.VolumeCapability(
    mount=csi.VolumeCapability.MountVolume(), access_mode=Mode(mode=Mode.SINGLE_NODE_WRITER)
)


class Running:
    """A driver whose copies are held until they are let go."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, *, shares: bool) -> None:
        self.begun, self.let_go = threading.Semaphore(0), threading.Event()
        monkeypatch.setattr(files, "can_clone", lambda _folder: shares)
        monkeypatch.setattr(files, "clone", self.copy)
        monkeypatch.setattr(files, "copy_sparse", self.copy)
        monkeypatch.setattr(ext4, "make", lambda image, _size: image.write_bytes(b"empty"))
        monkeypatch.setattr(loop, "find", lambda _image: None)
        monkeypatch.setattr(loop, "require_plain", lambda: None)
        socket = folder / "s"
        self.driver = Driver(parse([f"--endpoint={socket}", "--node-name=n1", f"--pool-path={folder / 'pool'}"]))
        self.thread = threading.Thread(target=self.driver.run)
        self.thread.start()
        self.channel = grpc.insecure_channel(f"unix:{socket}")
        grpc.channel_ready_future(self.channel).result(SECONDS)
        self.controller = csi_pb2_grpc.ControllerStub(self.channel)
        self.node = csi_pb2_grpc.NodeStub(self.channel)

    def copy(self, source: Path, target: Path) -> None:
        self.begun.release()
        assert self.let_go.wait(SECONDS)
        target.write_bytes(source.read_bytes())

    def held(self, count: int) -> None:
        """Wait until so many copies are held."""
        for _unused in range(count):
            assert self.begun.acquire(timeout=SECONDS)

    def create(self, name: str, source: str = "") -> str:
        request = csi.CreateVolumeRequest(name=name, volume_capabilities=[CAPABILITY])
        request.capacity_range.required_bytes = ext4.SMALLEST
        if source:
            request.volume_content_source.volume.volume_id = source
        return str(self.controller.CreateVolume(request, timeout=SECONDS).volume.volume_id)

    def snapshot(self, disk: str) -> Any:
        request = csi.CreateSnapshotRequest(name=f"s-{disk}", source_volume_id=disk)
        return self.controller.CreateSnapshot(request, timeout=SECONDS).snapshot

    def end(self) -> None:
        self.let_go.set()
        self.channel.close()
        self.driver.stop()
        self.thread.join(SECONDS)
        assert not self.thread.is_alive()


@pytest.fixture
def most(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The kernel's file that says how many partitions a loop device may have."""
    monkeypatch.setattr(loop, "_control", lambda: os.open(os.devnull, os.O_RDONLY))
    monkeypatch.setattr(loop, "_MAX_PART", tmp_path / "max_part")
    return tmp_path / "max_part"


def test_where_numbers_and_minors_differ_nothing_is_touched(most: Path, tmp_path: Path) -> None:
    most.write_text("15\n")
    settings = parse(["--endpoint=/s", "--node-name=n1", f"--pool-path={tmp_path / 'pool'}"])
    with pytest.raises(FailedPrecondition, match=r"max_part is 15.*loop\.max_part=0.*restart the node"):
        Driver(settings)
    assert not (tmp_path / "pool").exists()


def test_where_numbers_are_minors_the_driver_may_start(most: Path) -> None:
    loop.require_plain()
    most.write_text("0\n")
    loop.require_plain()


@pytest.fixture
def running(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Running]:
    found = Running(tmp_path, monkeypatch, shares=request.param)
    yield found
    found.end()


def answers(running: Running) -> bool:
    """Say whether the probe, a student's start and a new student's disk are served."""
    node = running.node.NodeGetInfo(csi.NodeGetInfoRequest(), timeout=SECONDS)
    return running.driver._alive() == (True, "ok\n") and bool(node.node_id and running.create("new"))


@pytest.mark.parametrize("running", [True, False], indirect=True)
def test_snapshots_that_take_long_keep_nobody_waiting(running: Running) -> None:
    disks = [running.create(f"pvc-{number}") for number in range(MANY)]
    with ThreadPoolExecutor(MANY) as callers:
        taken = [callers.submit(running.snapshot, disk) for disk in disks]
        running.held(16)
        assert answers(running)
        running.let_go.set()
        assert all(call.result().ready_to_use for call in taken)


@pytest.mark.parametrize("running", [False], indirect=True)
def test_disks_whose_data_is_copied_keep_nobody_waiting(running: Running) -> None:
    disks = [running.create(f"pvc-{number}") for number in range(MANY)]
    with ThreadPoolExecutor(MANY) as callers:
        made = {callers.submit(running.create, f"copy of {disk}", disk): disk for disk in disks}
        refused = list(islice(as_completed(made, SECONDS), MANY - copies.AT_ONCE))
        errors = [call.exception() for call in refused]
        assert {error.code() for error in errors if isinstance(error, grpc.RpcError)} == {grpc.StatusCode.ABORTED}
        assert "4 disks are being copied on this node already; try again" in str(errors[0])
        assert answers(running)
        running.let_go.set()
    assert all(call.result() for call in made if call not in refused)
    for call in refused:
        running.create(f"copy of {made[call]}", made[call])


@pytest.mark.parametrize("running", [True], indirect=True)
def test_disks_that_share_blocks_need_no_turn(running: Running) -> None:
    disks = [running.create(f"pvc-{number}") for number in range(copies.AT_ONCE + 1)]
    with ThreadPoolExecutor(MANY) as callers:
        made = [callers.submit(running.create, f"copy of {disk}", disk) for disk in disks]
        running.held(len(disks))
        running.let_go.set()
        assert all(call.result() for call in made)
