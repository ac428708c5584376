"""The watchdog and the freezer on real sockets and processes, with the kernel's freeze replaced."""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from campus_csi import loop, mounts, watchdog
from campus_csi.errors import Aborted, Damaged
from campus_csi.freezing import Freezer
from campus_csi.mounts import Mount
from campus_csi.store import Store

FREEZE, THAW = 0xC0045877, 0xC0045878


class Kernel:
    """One file system that freezes and thaws."""

    def __init__(self) -> None:
        self.frozen = False
        self.log: list[str] = []

    def ioctl(self, _handle: Any, request: int, _argument: int = 0) -> int:
        if request not in (FREEZE, THAW):
            raise OSError(errno.ENOTTY, os.strerror(errno.ENOTTY))
        if self.frozen is (request == FREEZE):
            number = errno.EBUSY if self.frozen else errno.EINVAL
            raise OSError(number, os.strerror(number))
        self.frozen = request == FREEZE
        self.log.append("frozen" if self.frozen else "thawed")
        return 0


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> Kernel:
    found = Kernel()
    monkeypatch.setattr(fcntl, "ioctl", found.ioctl)
    return found


@contextmanager
def watching(seconds: float = 60.0) -> Iterator[tuple[socket.socket, Callable[[], bool]]]:
    """Run a watchdog in a thread; yield the driver's end, after READY, and what waits for the watchdog's answer."""
    ours, theirs = socket.socketpair()
    with ours, theirs, ThreadPoolExecutor(1) as pool, Path(os.devnull).open("rb") as mount:
        answer = pool.submit(watchdog.watch, theirs, seconds)
        socket.send_fds(ours, [b"f"], [mount.fileno()])
        assert ours.recv(1) == watchdog.READY
        yield ours, answer.result


def test_a_driver_that_thaws_itself_is_left_alone(kernel: Kernel) -> None:
    with watching() as (driver, answer):
        kernel.frozen = True
        driver.sendall(watchdog.DONE)
        assert answer() is False
    assert kernel.frozen, "only the driver thaws while all is well"


def test_a_killed_drivers_freeze_is_ended(kernel: Kernel) -> None:
    with watching() as (driver, answer):
        kernel.frozen = True
        driver.close()
        assert answer() is True
    assert not kernel.frozen


def test_a_driver_killed_before_it_froze_leaves_nothing_to_do(kernel: Kernel) -> None:
    with watching() as (driver, answer):
        driver.close()
        assert answer() is False
    assert kernel.log == []


def test_a_freeze_that_lasts_too_long_is_ended(kernel: Kernel) -> None:
    kernel.frozen = True
    with watching(seconds=0.0) as (_driver, answer):
        assert answer() is True
    assert not kernel.frozen


def test_a_freeze_that_begins_too_late_is_ended_too(kernel: Kernel, monkeypatch: pytest.MonkeyPatch) -> None:
    tries = iter(range(3))

    def thaw(_handle: int) -> bool:
        if next(tries) == 2:
            kernel.frozen = True
        return kernel.frozen

    monkeypatch.setattr(watchdog, "thaw", thaw)
    with watching(seconds=0.0) as (_driver, answer):
        assert answer() is True


def test_a_driver_gone_before_it_said_what_to_watch_is_no_error() -> None:
    ours, theirs = socket.socketpair()
    ours.close()
    with theirs:
        assert watchdog.watch(theirs) is False


@pytest.fixture
def mount(tmp_path: Path) -> Mount:
    device = tmp_path.stat().st_dev
    return Mount(tmp_path, (os.major(device), os.minor(device)))


def test_a_frozen_block_is_counted(kernel: Kernel, mount: Mount) -> None:
    freezer = Freezer(None)
    with freezer.frozen(mount):
        assert kernel.frozen
    assert kernel.log == ["frozen", "thawed"]
    figures = freezer.figures()
    assert (figures.count, figures.ended_early) == (1, 0)
    assert 0 <= figures.longest == figures.seconds


def test_what_fails_while_frozen_is_thawed(kernel: Kernel, mount: Mount) -> None:
    with pytest.raises(OSError, match="full"), Freezer(None).frozen(mount):
        raise OSError(errno.ENOSPC, "full")
    assert not kernel.frozen


def test_a_copy_made_after_the_thaw_is_not_called_whole(kernel: Kernel, mount: Mount) -> None:
    freezer = Freezer(None)
    with pytest.raises(Aborted, match="too early"), freezer.frozen(mount):
        kernel.frozen = False
    assert freezer.figures().ended_early == 1


def test_someone_elses_freeze_is_left_alone(kernel: Kernel, mount: Mount) -> None:
    kernel.frozen = True
    with pytest.raises(Aborted, match="by someone else"), Freezer(None).frozen(mount):
        pass
    assert kernel.frozen


def test_another_file_system_at_that_place_is_not_frozen(kernel: Kernel, mount: Mount) -> None:
    with pytest.raises(Aborted, match="unmounted"), Freezer(None).frozen(Mount(mount.path, (7, 99))):
        pass
    assert kernel.log == []


def test_without_a_watchdog_nothing_is_frozen(kernel: Kernel, mount: Mount, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(Damaged, match="watchdog"), Freezer(None).frozen(mount):
        pass
    assert kernel.log == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may thaw")
def test_a_watchdog_of_another_container_serves_many(
    kernel: Kernel, mount: Mount, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "w"
    command = [sys.executable, "-I", "-S", watchdog.__file__, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"watching\n"
        freezer = Freezer(path)
        monkeypatch.setattr(freezer, "start_own", lambda: pytest.fail("the other one serves"))
        for _unused in range(3):
            with freezer.frozen(mount):
                assert kernel.frozen
        process.terminate()
        assert process.wait(30) == 0
    assert freezer.figures().count == 3


def test_where_that_watchdog_is_not_there_another_is_started(
    kernel: Kernel, mount: Mount, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with Freezer(tmp_path / "w").frozen(mount):
        assert kernel.frozen
    assert "no watchdog at" in caplog.text


def test_what_an_earlier_driver_left_frozen_is_thawed_and_no_other(
    kernel: Kernel,
    mount: Mount,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    store = Store(tmp_path, lambda path, size: path.touch())
    mine = loop.identity(store.disks.image(store.create("pvc-1", 1).id))
    major, minor = mount.device
    backing = {minor: mine, minor + 1: (0, 0)}

    def find(number: int) -> tuple[int, int] | None:
        if number not in backing:
            raise OSError(errno.EIO, "broken")
        return backing[number]

    monkeypatch.setattr(loop, "MAJOR", major)
    monkeypatch.setattr(loop, "backing", find)
    foreign = [Mount(Path("/"), (major, minor + 1)), Mount(Path("/dev/null/x"), (major + 1, minor))]
    freezer = Freezer(None)

    kernel.frozen = True
    monkeypatch.setattr(mounts, "mounts", lambda: [*foreign, Mount(Path("/proc"), mount.device)])
    freezer.thaw_all(tmp_path)
    assert kernel.frozen, "what hides a disk is not the disk"

    broken = Mount(Path("/x"), (major, minor + 2))
    monkeypatch.setattr(mounts, "mounts", lambda: [*foreign, broken, mount, mount])
    freezer.thaw_all(tmp_path)
    assert kernel.log == ["thawed"]
    assert freezer.figures().ended_early == 1
    assert "/x could not be looked at" in caplog.text
