"""Loop devices: a device belongs to a file when the kernel says it has that file's (device, inode), whatever the path.

Devices detach by themselves when the last mount or holder is gone (AUTOCLEAR), so none can be left over.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import stat
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from .errors import FailedPrecondition

MAJOR = 7

_CONTROL = "/dev/loop-control"
_MAX_PART = Path("/sys/module/loop/parameters/max_part")
_SET_CAPACITY, _GET_STATUS64, _CONFIGURE, _GET_FREE = 0x4C07, 0x4C05, 0x4C0A, 0x4C82
_AUTOCLEAR, _DIRECT_IO = 4, 16
_ATTEMPTS = 100
_PAUSE = 0.02


class _Info(ctypes.Structure):
    """struct loop_info64 of linux/loop.h."""

    _fields_ = (
        ("device", ctypes.c_uint64),
        ("inode", ctypes.c_uint64),
        ("rdevice", ctypes.c_uint64),
        ("offset", ctypes.c_uint64),
        ("sizelimit", ctypes.c_uint64),
        ("number", ctypes.c_uint32),
        ("encrypt_type", ctypes.c_uint32),
        ("encrypt_key_size", ctypes.c_uint32),
        ("flags", ctypes.c_uint32),
        ("file_name", ctypes.c_char * 64),
        ("crypt_name", ctypes.c_char * 64),
        ("encrypt_key", ctypes.c_char * 32),
        ("init", ctypes.c_uint64 * 2),
    )


class _Config(ctypes.Structure):
    """struct loop_config of linux/loop.h."""

    _fields_ = (
        ("fd", ctypes.c_uint32),
        ("block_size", ctypes.c_uint32),
        ("info", _Info),
        ("reserved", ctypes.c_uint64 * 8),
    )


_attaching = threading.Lock()


def require_plain() -> None:
    """Check that the number of a loop device is its minor, as all of this takes for granted.

    Raises:
        FailedPrecondition: the kernel keeps minors for partitions in between; the message says what to do.
    """
    with suppress(OSError):  # a kernel without the module yet loads it for this
        os.close(_control())
    try:
        most = _MAX_PART.read_text(encoding="ascii").strip()
    except FileNotFoundError:
        return
    if most != "0":
        raise FailedPrecondition(
            f"the kernel of this node keeps partitions for each loop device ({_MAX_PART} is {most}), which this driver"
            " cannot tell from other devices; give the kernel loop.max_part=0 on its command line, or write"
            ' "options loop max_part=0" into a file in /etc/modprobe.d, and restart the node'
        )


def find(image: Path) -> int | None:
    """Return the number of the loop device that has `image`, or None.

    Raises:
        OSError: the image is not there, or the devices cannot be read.
    """
    handle = _find(identity(image))
    if handle is None:
        return None
    try:
        return os.minor(os.fstat(handle).st_rdev)
    finally:
        os.close(handle)


def identity(image: Path) -> tuple[int, int]:
    """Return the (device, inode) of an image.

    Raises:
        OSError: it is not there.
    """
    known = image.stat()
    return known.st_dev, known.st_ino


def backing(number: int) -> tuple[int, int] | None:
    """Return the (device, inode) of the file that the loop device of that number has, or None.

    Raises:
        OSError: the device cannot be read.
    """
    handle = _open(number, os.O_RDONLY)
    try:
        return _backing(handle)
    finally:
        os.close(handle)


def has(number: int, image: Path) -> bool:
    """Say whether the loop device of that number has `image`.

    Raises:
        OSError: the image is not there, or the device cannot be read.
    """
    return backing(number) == identity(image)


@contextmanager
def attached(image: Path) -> Iterator[str]:
    """Yield the path of the loop device of `image`, attached first where none has it.

    The device stays for as long as the block runs or something is mounted from it.

    Raises:
        OSError: no device could be had.
    """
    with _attaching:
        handle = _find(identity(image))
        if handle is None:
            handle = _attach(image)
    try:
        yield _node(os.minor(os.fstat(handle).st_rdev))
    finally:
        os.close(handle)


def refresh(image: Path) -> None:
    """Let the device of `image`, if it has one, take up the file's new length."""
    handle = _find(identity(image))
    if handle is not None:
        try:
            fcntl.ioctl(handle, _SET_CAPACITY)
        finally:
            os.close(handle)


def released(image: Path, seconds: float = 2.0) -> bool:
    """Say whether no device has `image` any more; the kernel may detach a moment after unmounting."""
    deadline = time.monotonic() + seconds
    while find(image) is not None:
        if time.monotonic() > deadline:
            return False
        time.sleep(_PAUSE)
    return True


def _find(wanted: tuple[int, int]) -> int | None:
    """Return an open handle of the device that has the wanted file, or None.

    Opened for reading, for a kernel may refuse to open what is mounted for writing. Any doubt is an error: a second
    device for the same file would destroy what is in it.
    """
    for number in _attached():
        try:
            handle = _open(number, os.O_RDONLY)
        except OSError as error:
            if error.errno in (errno.ENXIO, errno.ENODEV, errno.ENOENT):  # it went away since it was listed
                continue
            raise
        found = False
        try:
            found = _backing(handle) == wanted
        finally:
            if not found:
                os.close(handle)
        if found:
            return handle
    return None


def _attached() -> list[int]:
    """Return the numbers of the devices that have a file."""
    found = Path("/sys/block").glob("loop*/loop/backing_file")
    return [int(path.parts[3].removeprefix("loop")) for path in found]


def _backing(handle: int) -> tuple[int, int] | None:
    info = _Info()
    try:
        fcntl.ioctl(handle, _GET_STATUS64, info)
    except OSError as error:
        if error.errno == errno.ENXIO:  # nothing attached
            return None
        name = f"/dev/loop{os.minor(os.fstat(handle).st_rdev)}"
        raise OSError(error.errno, f"{error.strerror}, asked which file it has", name) from error
    return info.device, info.inode


def _attach(image: Path) -> int:
    """Attach `image` to a free device and return an open handle of it."""
    backing = os.open(image, os.O_RDWR | os.O_CLOEXEC)
    try:
        config = _Config(fd=backing)
        config.info.flags = _AUTOCLEAR | _DIRECT_IO
        config.info.file_name = str(image).encode()[-63:]
        for _attempt in range(_ATTEMPTS):
            number = _free()
            handle = _open(number, os.O_RDWR)
            try:
                fcntl.ioctl(handle, _CONFIGURE, config)
                return _open(number, os.O_RDONLY)
            except OSError as error:
                if error.errno != errno.EBUSY:  # busy: another process was faster
                    raise
            finally:
                os.close(handle)
            time.sleep(_PAUSE)
    finally:
        os.close(backing)
    raise OSError(errno.EBUSY, "no free loop device could be had", str(image))


def _free() -> int:
    """Return the number of a free device, made by the kernel if need be."""
    control = _control()
    try:
        return fcntl.ioctl(control, _GET_FREE)
    finally:
        os.close(control)


def _control() -> int:
    """Return an open handle of the device that hands out the others."""
    with suppress(FileExistsError):
        os.mknod(_CONTROL, stat.S_IFCHR | 0o660, os.makedev(10, 237))
    return os.open(_CONTROL, os.O_RDWR | os.O_CLOEXEC)


def _open(number: int, mode: int) -> int:
    return os.open(_node(number), mode | os.O_CLOEXEC)


def _node(number: int) -> str:
    """Return the path of a device, made where this container was started before the kernel had it."""
    path = f"/dev/loop{number}"
    with suppress(FileExistsError):
        os.mknod(path, stat.S_IFBLK | 0o660, os.makedev(MAJOR, number))
    return path
