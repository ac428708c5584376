"""Locks, mounts, loop devices, sizes of the kernel's structures, the command line."""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
from pathlib import Path
from typing import Any

import pytest
from campus_csi import config, ext4, loop, mounts
from campus_csi.errors import Aborted, CallError, from_oserror
from campus_csi.locks import Locks

GOOD = ["--endpoint=/run/csi.sock", "--node-name=n1", "--pool-path=/pool"]


def test_a_second_call_for_a_disk_is_told_to_come_back() -> None:
    locks = Locks()
    with locks.hold("a"):
        with pytest.raises(Aborted, match="a is under way"), locks.hold("a"):
            pass
        with locks.hold("b"):
            pass
    with locks.hold("a"):
        pass


def test_mountinfo() -> None:
    text = (
        "22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw\n"
        "40 22 7:12 / /var/lib/a\\040b rw - ext4 /dev/loop12 rw\n"
        "41 22 7:12 /x /pods\\134y rw shared:3 master:1 - ext4 /dev/loop12 rw\n"
        "42 22 7:12 / /pods/z nosuid,ro shared:3 master:1 - ext4 /dev/loop12 rw\n"
        "43 22 7:13 / /pods/error rw,noatime - ext4 /dev/loop13 ro\n"
    )
    assert mounts.parse(text) == [
        mounts.Mount(Path("/"), (254, 0)),
        mounts.Mount(Path("/var/lib/a b"), (7, 12)),
        mounts.Mount(Path("/pods\\y"), (7, 12)),
        mounts.Mount(Path("/pods/z"), (7, 12), readonly=True),
        mounts.Mount(Path("/pods/error"), (7, 13)),
    ]


def test_the_uppermost_mount_of_a_path_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    stacked = [mounts.Mount(Path("/a"), (7, 1)), mounts.Mount(Path("/a"), (7, 2)), mounts.Mount(Path("/b"), (7, 1))]
    monkeypatch.setattr(mounts, "mounts", lambda: stacked)
    assert mounts.at(Path("/a")) == stacked[1]
    assert mounts.at(Path("/c")) is None
    assert mounts.beside(Path("/b")) == [Path("/a")]
    assert mounts.beside(Path("/c")) == []


def test_the_kernels_structures_have_their_sizes() -> None:
    assert ctypes.sizeof(loop._Info) == 232
    assert ctypes.sizeof(loop._Config) == 304


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A file that the kernel says is attached to whatever device is asked."""
    image = tmp_path / "disk.img"
    image.write_bytes(b"")
    known = image.stat()

    def ioctl(handle: int, request: int, info: Any = 0) -> int:
        assert request == 0x4C05
        info.device, info.inode = known.st_dev, known.st_ino
        info.file_name = b"/elsewhere/other.img"
        return 0

    monkeypatch.setattr(fcntl, "ioctl", ioctl)
    return image


def test_a_device_is_known_by_the_files_identity(device: Path, tmp_path: Path) -> None:
    assert loop._backing(0) == loop.identity(device)
    assert loop._backing(0) == loop.identity(device.rename(tmp_path / "renamed"))
    device.write_bytes(b"")
    assert loop._backing(0) != loop.identity(device), "another file of the same name is another file"


@pytest.mark.parametrize(("number", "result"), [(errno.ENXIO, False), (errno.EIO, None)])
def test_an_empty_device_is_no_match_but_doubt_is_an_error(
    monkeypatch: pytest.MonkeyPatch, number: int, *, result: bool | None
) -> None:
    def ioctl(*_: Any) -> int:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "ioctl", ioctl)
    if result is None:
        with pytest.raises(OSError, match=r"Input/output.*: '/dev/loop\d+'"):
            loop._backing(0)
    else:
        assert loop._backing(0) is None


@pytest.mark.parametrize("broken", [True, False])
def test_devices_of_others_are_closed_again(
    device: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, broken: bool
) -> None:
    opened: list[int] = []

    def open_file(number: int, mode: int) -> int:
        opened.append(os.open(device, os.O_RDONLY))
        return opened[-1]

    def ioctl(*_: Any) -> int:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    other = tmp_path / "other.img"
    other.touch()
    monkeypatch.setattr(loop, "_attached", lambda: [3, 4])
    monkeypatch.setattr(loop, "_open", open_file)
    if broken:
        monkeypatch.setattr(fcntl, "ioctl", ioctl)
        with pytest.raises(OSError, match="Input/output"):
            loop.find(other)
    else:
        assert loop.find(other) is None
    assert len(opened) == (1 if broken else 2)
    for handle in opened:
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(handle)


@pytest.mark.parametrize(("mib", "journal"), [(16, 4), (300, 8), (1024, 16), (20 * 1024, 32)])
def test_the_journal_is_small(mib: int, journal: int) -> None:
    assert ext4._journal(mib * 1024 * 1024) == journal


@pytest.mark.parametrize(
    ("number", "code"), [(errno.ENOSPC, "RESOURCE_EXHAUSTED"), (errno.EIO, "INTERNAL"), (errno.EACCES, "INTERNAL")]
)
def test_what_the_kernel_says_becomes_a_message_with_the_file(number: int, code: str) -> None:
    error = from_oserror(OSError(number, os.strerror(number), "/pool/x"))
    assert isinstance(error, CallError)
    assert error.code.name == code
    assert "/pool/x" in str(error)


def test_settings() -> None:
    settings = config.parse([*GOOD, "--pool-size=20Gi", "--overcommit=1.5", "--snapshot-reserve=0.25"])
    assert settings.pool_size == 20 * 1024**3
    assert (settings.overcommit, settings.snapshot_reserve) == (1.5, 0.25)
    assert settings.registration is None
    assert settings.watchdog is None
    assert config.parse([*GOOD, "--watchdog=/w"]).watchdog == Path("/w")


def test_no_pool_size_means_the_folder_itself() -> None:
    assert config.parse(GOOD).pool_size is None
    assert config.parse([*GOOD, "--pool-size="]).pool_size is None


@pytest.mark.parametrize(
    ("argument", "sentence"),
    [
        ("--pool-size=20 GB", "not a quantity"),
        ("--pool-size=1Mi", "at least 320 MiB"),
        ("--overcommit=0", "above 0"),
        ("--overcommit=nan", "above 0"),
        ("--snapshot-reserve=1", "below 1"),
        ("--snapshot-reserve=-0.1", "below 1"),
        ("--health-port=x", "invalid int"),
        ("--surplus=1", "unrecognized"),
    ],
)
def test_wrong_arguments_end_with_a_sentence(argument: str, sentence: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        config.parse([*GOOD, argument])
    assert sentence in capsys.readouterr().err
