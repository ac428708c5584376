"""The file system of a disk: made, checked and grown."""

from __future__ import annotations

import fcntl
import os
import struct
from pathlib import Path

from .errors import Damaged
from .tools import run

BLOCK = 4096
SMALLEST = 16 * 1024 * 1024
"""Bytes below which no disk is made."""

_RESIZE_FS = 0x40086610
_REPAIRED = (0, 1, 2)


def make(image: Path, size: int) -> None:
    """Make an image file of `size` bytes with an empty file system.

    A fresh sparse file reads as zeros, so the inode tables need no zeroing, now or later. Nothing is kept back for
    root: the whole disk is the student's.

    Raises:
        Damaged: mke2fs failed.
        OSError: the pool refuses.
    """
    with image.open("xb") as handle:
        handle.truncate(size)
    options = "lazy_itable_init=1,lazy_journal_init=1,assume_storage_prezeroed=1,nodiscard"
    run(
        *("mke2fs", "-q", "-F", "-t", "ext4", "-b", str(BLOCK), "-m", "0", "-e", "remount-ro"),
        *("-J", f"size={_journal(size)}", "-E", options, str(image)),
    )
    # A student's home begins empty; e2fsck makes the folder anew should it ever need it.
    run("debugfs", "-w", "-R", "rmdir lost+found", str(image))


def _journal(size: int) -> int:
    """Return the journal's MiB: small, for it comes off the disk's size."""
    for limit, journal in ((256, 4), (1024, 8), (10 * 1024, 16)):
        if size < limit * 1024 * 1024:
            return journal
    return 32


def check(image: Path, *, thorough: bool = False) -> None:
    """Replay the journal and repair what can safely be repaired; nothing may have the disk mounted.

    A `thorough` check looks at everything, also where nothing points to damage.

    Raises:
        Damaged: a person has to look at it.
    """
    options = ["-f"] if thorough else []
    try:
        run("e2fsck", *options, "-p", str(image), good=_REPAIRED)
    except Damaged as error:
        raise Damaged(f"the file system in {image} needs repair by hand (e2fsck -f): {error}") from error


def grow_unmounted(image: Path) -> None:
    """Fit the file system, checked thoroughly just now, to its image file; nothing may have the disk mounted.

    Killed half-way, as it is when the driver's container ends, resize2fs leaves what nothing repairs: never give it the
    only copy.

    Raises:
        Damaged: it could not be grown.
    """
    run("resize2fs", str(image))


def grow_mounted(mountpoint: Path, size: int) -> None:
    """Fit a mounted file system to `size` bytes.

    Raises:
        PermissionError: this kernel allows it only to processes with CAP_SYS_RESOURCE.
        OSError: the kernel could not.
    """
    handle = os.open(mountpoint, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.ioctl(handle, _RESIZE_FS, struct.pack("Q", size // BLOCK))
    finally:
        os.close(handle)
