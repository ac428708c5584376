"""Snapshots of real disks: taken while a student writes, restored, refused."""

from __future__ import annotations

import os
import socket
import subprocess
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest
from ansible_collections.campus.jupyterhub.scripts.csi_sanity import HostDriver, host_driver
from ansible_collections.campus.jupyterhub.tests.sanity_csi.client import MIB, SECONDS, Client, devices_gone, fill
from ansible_collections.campus.jupyterhub.tests.sanity_csi.students import fill_home, hashes, until, writing


def sound(image: Path) -> bool:
    """Say whether a full check of an image finds nothing to repair."""
    return subprocess.run(["e2fsck", "-f", "-n", image], capture_output=True, check=False).returncode == 0


def test_a_snapshot_taken_while_a_student_writes_is_whole(driver: HostDriver) -> None:
    client = Client(driver)
    disk = client.create("mine", 64 * MIB)
    home = client.mount(disk)
    before = fill_home(home)
    with writing(home) as writer:
        taken = []
        for number in range(5):
            low = writer.written
            taken.append((client.snapshot(f"s{number}", disk), low, writer.written))
            writer.goes_on()
    assert client.snapshots() == dict.fromkeys([snapshot for snapshot, _low, _high in taken], disk)
    client.unmount(disk)
    assert devices_gone(driver)
    client.delete_unmounted(disk)
    for snapshot, low, high in taken:
        assert sound(driver.pool / "snapshots" / snapshot / "disk.img")
        restored = client.create_from(f"of-{snapshot}", snapshot, 64 * MIB)
        home = client.mount(restored)
        found = hashes(home)
        lines = (home / "lines").read_text().split("\n")[:-1]
        # All that was brought to the disk before the call is there, in order, and nothing from after it.
        assert lines == [str(number) for number in range(len(lines))]
        assert low <= len(lines) <= high + 1
        assert {name: found.get(name) for name in before} == before
        client.unmount(restored)
        client.delete_unmounted(restored)
        client.delete_snapshot(snapshot)
    assert (client.snapshots(), client.sizes()) == ({}, {})
    assert devices_gone(driver)


def test_a_larger_disk_from_a_snapshot_has_its_size_and_both_are_used_at_once(driver: HostDriver) -> None:
    client = Client(driver)
    disk = client.create("mine", 64 * MIB)
    home = client.mount(disk)
    before = fill_home(home)
    restored = client.create_from("larger", client.snapshot("s", disk), 256 * MIB)
    side = client.mount(restored)
    assert hashes(side) == before
    assert os.statvfs(side).f_blocks * os.statvfs(side).f_frsize > 200 * MIB
    (side / "note").write_text("only here")
    (home / "course 0" / "übung-0.ipynb").write_text("changed")
    assert not (home / "note").exists()
    assert hashes(side).items() >= before.items()


def test_a_disk_in_use_is_cloned(driver: HostDriver) -> None:
    client = Client(driver)
    disk = client.create("mine", 64 * MIB)
    home = client.mount(disk)
    before = fill_home(home)
    with writing(home):
        clone = client.create_from("clone", disk)
    assert client.sizes() == {disk: 64 * MIB, clone: 64 * MIB}
    assert hashes(client.mount(clone)).items() >= before.items()


def test_many_at_once_are_whole_and_leave_nothing_behind(driver: HostDriver) -> None:
    client = Client(driver)

    def live(number: int) -> None:
        disk = client.create(f"pvc-{number}", 16 * MIB)
        note = client.mount(disk) / "note"
        note.write_text(str(number))
        snapshot = client.snapshot(f"s-{number}", disk)
        note.write_text("later")
        client.unmount(disk)
        restored = client.create_from(f"restored-{number}", snapshot, 24 * MIB)
        client.delete_snapshot(snapshot)
        assert (client.mount(restored) / "note").read_text() == str(number)
        client.unmount(restored)
        for done in (disk, restored):
            client.delete_unmounted(done)

    with ThreadPoolExecutor(12) as pool:
        list(pool.map(live, range(24)))
    assert devices_gone(driver)
    assert (client.sizes(), client.snapshots()) == ({}, {})
    for kind in ("volumes", "snapshots", "partial", "trash"):
        assert list((driver.pool / kind).iterdir()) == []


def rewrite(path: Path) -> None:
    """Write 120 MiB over what a file has."""
    with path.open("r+b" if path.exists() else "wb") as handle:
        for _unused in range(120):
            handle.write(os.urandom(MIB))
        handle.flush()
        os.fsync(handle.fileno())


def test_snapshots_that_could_eat_a_disks_space_are_refused() -> None:
    with host_driver("512Mi") as driver:
        client = Client(driver)
        disk = client.create("mine", 192 * MIB)
        home = client.mount(disk)
        rewrite(home / "data")
        taken = [client.snapshot("s0", disk)]
        rewrite(home / "data")
        with pytest.raises(grpc.RpcError, match="no room for a snapshot") as caught:
            client.snapshot("s1", disk)
        assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert client.snapshots().keys() == set(taken)
        with pytest.raises(grpc.RpcError, match="no room for a disk") as caught:
            client.create("other", 64 * MIB)
        assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        # The student can still write all anew, and fill the disk to its end.
        rewrite(home / "data")
        with pytest.raises(OSError, match="No space left"):
            fill(home / "rest")
        (home / "rest").unlink()
        rewrite(home / "data")
        for snapshot in taken:
            client.delete_snapshot(snapshot)
        # XFS frees what is deleted a moment later.
        until(lambda: client.available() > 200 * MIB)
        client.snapshot("again", disk)


def test_where_blocks_cannot_be_shared_data_is_copied() -> None:
    with host_driver("") as driver:
        if "cannot share blocks" not in driver.log.read_text(encoding="utf-8"):
            pytest.skip("this machine's file system shares blocks")
        client = Client(driver)
        disk = client.create("mine", 64 * MIB)
        home = client.mount(disk)
        before = fill_home(home)
        with writing(home):
            in_use = client.snapshot("in-use", disk)
        client.unmount(disk)
        assert devices_gone(driver)
        at_rest = client.snapshot("at-rest", disk)
        assert (driver.pool / "snapshots" / at_rest / "disk.img").stat().st_blocks * 512 < 32 * MIB
        for number, snapshot in enumerate((in_use, at_rest)):
            size = (64 + 64 * number) * MIB
            restored = client.create_from(f"restored-{number}", snapshot, size)
            home = client.mount(restored)
            assert hashes(home).items() >= before.items()
            figures = os.statvfs(home)
            assert 0.8 * size < figures.f_blocks * figures.f_frsize <= size
            client.unmount(restored)


def test_figures(driver: HostDriver) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    driver.end()
    driver.start(f"--health-port={port}")
    client = Client(driver)
    disk = client.create("mine", 64 * MIB)
    client.mount(disk)
    client.snapshot("s", disk)
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=SECONDS) as answer:
        text = answer.read().decode()
    figures = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    assert figures["campus_csi_snapshots"] == figures["campus_csi_freezes_total"] == "1"
    assert figures["campus_csi_watchdog_thaws_total"] == "0"
    assert float(figures["campus_csi_freeze_seconds_max"]) > 0
    assert float(figures['campus_csi_pool_bytes{kind="spare"}']) > 0
