"""Snapshots of real disks, interrupted at every point: nobody stays frozen, and what is listed is what there is."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest
from ansible_collections.campus.jupyterhub.scripts.csi_sanity import IMAGE, HostDriver
from ansible_collections.campus.jupyterhub.tests.sanity_csi.client import MIB, SECONDS, Client, devices_gone
from ansible_collections.campus.jupyterhub.tests.sanity_csi.students import fill_home, hashes, until, writing

FAULTY = str(Path(__file__).with_name("faulty.py"))
WATCHDOG = str(IMAGE / "src" / "campus_csi" / "watchdog.py")

calls = ThreadPoolExecutor(4)


def faulty(driver: HostDriver, point: str, *arguments: str) -> Client:
    """Start the driver anew, to fail from now on at that point."""
    driver.end(signal.SIGKILL)
    for name in ("armed", "held", "released"):
        (driver.folder / name).unlink(missing_ok=True)
    driver.program = (FAULTY, str(driver.folder), point)
    driver.start(*arguments)
    (driver.folder / "armed").touch()
    return Client(driver)


def healthy(driver: HostDriver) -> Client:
    """Start the driver anew, as it is."""
    driver.end(signal.SIGKILL)
    driver.program = ("-m", "campus_csi")
    driver.start()
    return Client(driver)


def killed(act: Callable[[Client, str, str], object], client: Client, disk: str, snapshot: str) -> bool:
    """Make a call and say whether the driver died of it."""
    try:
        act(client, disk, snapshot)
    except grpc.RpcError as error:
        if error.code() is not grpc.StatusCode.UNAVAILABLE:
            raise
        return True
    return False


def in_pool(driver: HostDriver, kind: str) -> set[str]:
    """Return what lies in a folder of the pool."""
    return {path.name for path in (driver.pool / kind).iterdir()}


def require_whole(client: Client, disk: str) -> None:
    """Check that a disk has what was written, and remove it."""
    assert (client.mount(disk) / "note").read_text() == "before"
    client.unmount(disk)
    client.delete_unmounted(disk)


ACTIONS: dict[str, Callable[[Client, str, str], object]] = {
    "snapshot": lambda client, disk, _snapshot: client.snapshot("new", disk),
    "delete snapshot": lambda client, _disk, snapshot: client.delete_snapshot(snapshot),
    "restore": lambda client, _disk, snapshot: client.create_from("new", snapshot, 32 * MIB),
    "clone": lambda client, disk, _snapshot: client.create_from("new", disk),
}


@pytest.mark.parametrize("action", ACTIONS)
def test_killed_at_every_point_a_retry_converges(driver: HostDriver, action: str) -> None:
    act = ACTIONS[action]
    client = Client(driver)
    disk = client.create("mine", 16 * MIB)
    home = client.mount(disk)
    (home / "note").write_text("before")
    point, dead = 0, True
    while dead:
        old = client.snapshot("old", disk)
        dead = killed(act, faulty(driver, str(point)), disk, old)
        with writing(home):
            client = healthy(driver)
        assert in_pool(driver, "partial") == in_pool(driver, "trash") == set()
        assert client.snapshots().keys() == in_pool(driver, "snapshots")
        assert client.sizes().keys() == in_pool(driver, "volumes")
        act(client, disk, old)
        assert (len(client.snapshots()), len(client.sizes())) == {
            "snapshot": (2, 1),
            "delete snapshot": (0, 1),
            "restore": (1, 2),
            "clone": (1, 2),
        }[action]
        for made in client.sizes().keys() - {disk}:
            require_whole(client, made)
        for snapshot in client.snapshots():
            require_whole(client, client.create_from("check", snapshot))
            client.delete_snapshot(snapshot)
        point += 1
    # A deletion has the fewest steps: moved, both folders brought to the disk, removed.
    assert point > 4
    client.unmount(disk)
    assert devices_gone(driver)


def grown(client: Client, disk: str, size: int) -> dict[str, str]:
    """Mount a disk, check that its file system has that size, and return what is on it."""
    home = client.mount(disk)
    figures = os.statvfs(home)
    assert 0.8 * size < figures.f_blocks * figures.f_frsize <= size
    found = hashes(home)
    client.unmount(disk)
    client.delete_unmounted(disk)
    return found


def test_killed_at_every_point_of_a_growth_the_disk_is_whole(driver: HostDriver) -> None:
    snapshot, content = snapshot_of_work(driver)
    point, dead = 0, True
    while dead:
        disk = Client(driver).create_from(f"new-{point}", snapshot, 256 * MIB)
        dead = killed(lambda client, made, _snapshot: client.mount(made), faulty(driver, str(point)), disk, snapshot)
        client = healthy(driver)
        assert in_pool(driver, "partial") == set()
        if not dead:
            client.unmount(disk)
        assert grown(client, disk, 256 * MIB) == content
        point += 1
    # Extended, copied, brought to the disk, put into the disk's place, written down.
    assert point > 5
    assert devices_gone(driver)


@pytest.mark.parametrize("torn", [8192, MIB, 64 * MIB])
def test_killed_while_resize2fs_runs_the_disk_is_whole(driver: HostDriver, torn: int) -> None:
    snapshot, content = snapshot_of_work(driver)
    disk = Client(driver).create_from("new", snapshot, 256 * MIB)
    assert killed(lambda client, made, _snapshot: client.mount(made), faulty(driver, f"torn-{torn}"), disk, snapshot)
    assert grown(healthy(driver), disk, 256 * MIB) == content


def snapshot_of_work(driver: HostDriver) -> tuple[str, dict[str, str]]:
    """Return a snapshot of a disk of 64 MiB at rest, and what is on it."""
    client = Client(driver)
    disk = client.create("mine", 64 * MIB)
    content = fill_home(client.mount(disk))
    client.unmount(disk)
    return client.snapshot("old", disk), content


def home_of(driver: HostDriver) -> tuple[str, Path]:
    """Return a disk in use, and where it is."""
    client = Client(driver)
    disk = client.create("mine", 64 * MIB)
    return disk, client.mount(disk)


def hold(driver: HostDriver, disk: str, *arguments: str) -> Future[str]:
    """Stop the driver in the middle of a snapshot of a disk in use, and return the waiting call."""
    client = faulty(driver, "hold", *arguments)
    waiting = calls.submit(client.snapshot, "s", disk)
    until((driver.folder / "held").exists)
    return waiting


def children(process: int) -> list[int]:
    """Return the processes that a process has started."""
    found = Path(f"/proc/{process}/task").glob("*/children")
    return [int(number) for path in found for number in path.read_text(encoding="utf-8").split()]


def require_one(client: Client, disk: str) -> None:
    """Check that no snapshot was left, and that one is taken now."""
    assert client.snapshots() == {}
    client.snapshot("s", disk)
    assert list(client.snapshots().values()) == [disk]


def test_killed_while_frozen_the_student_goes_on(driver: HostDriver) -> None:
    disk, home = home_of(driver)
    with writing(home) as writer:
        hold(driver, disk)
        writer.stands_still()
        driver.end(signal.SIGKILL)
        writer.goes_on()
    require_one(healthy(driver), disk)


def test_killed_together_with_its_watchdog_the_next_driver_thaws(driver: HostDriver) -> None:
    disk, home = home_of(driver)
    with writing(home) as writer:
        hold(driver, disk)
        (watchdog,) = children(driver.pid)
        os.kill(watchdog, signal.SIGKILL)
        driver.end(signal.SIGKILL)
        writer.stands_still()
        client = healthy(driver)
        writer.goes_on()
    require_one(client, disk)


def test_held_while_frozen_the_student_goes_on_and_the_snapshot_is_given_up(driver: HostDriver) -> None:
    disk, home = home_of(driver)
    with writing(home) as writer:
        waiting = hold(driver, disk)
        writer.stands_still()
        writer.goes_on()
        (driver.folder / "released").touch()
        with pytest.raises(grpc.RpcError, match="too early") as caught:
            waiting.result(SECONDS)
    assert caught.value.code() is grpc.StatusCode.ABORTED
    require_one(Client(driver), disk)


def test_a_watchdog_on_its_own_outlives_all_of_the_drivers_processes(driver: HostDriver) -> None:
    disk, home = home_of(driver)
    path = driver.folder / "watchdog.sock"
    command = [sys.executable, WATCHDOG, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as watchdog, writing(home) as writer:
        assert watchdog.stdout is not None
        assert watchdog.stdout.readline() == b"watching\n"
        hold(driver, disk, f"--watchdog={path}")
        writer.stands_still()
        assert children(driver.pid) == []
        driver.end(signal.SIGKILL)
        writer.goes_on()
        watchdog.terminate()
        assert watchdog.wait(SECONDS) == 0
    require_one(healthy(driver), disk)
