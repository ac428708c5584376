"""File changes that a crash at any point leaves either undone or done, and copies of files."""

from __future__ import annotations

import errno
import fcntl
import math
import os
import shutil
import time
from pathlib import Path

_FICLONE = 0x40049409
_CHUNK = 4 * 1024 * 1024


def sync(path: Path) -> None:
    """Bring a file or folder to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write(path: Path, text: str) -> None:
    """Replace a file's content at once."""
    draft = path.with_name(f".{path.name}.new")
    draft.write_text(text, encoding="utf-8")
    sync(draft)
    replace(draft, path)


def replace(source: Path, target: Path) -> None:
    """Rename a file for good to that of another, which is gone then."""
    os.replace(source, target)
    sync(target.parent)


def move(source: Path, target: Path) -> None:
    """Rename a file or folder for good; `target` must not be there."""
    os.rename(source, target)
    sync(target.parent)
    if source.parent != target.parent:
        sync(source.parent)


def extend(path: Path, size: int) -> None:
    """Make a file at least `size` bytes long; the new part is a hole."""
    if path.stat().st_size < size:
        os.truncate(path, size)
        sync(path)


def remove(folder: Path) -> None:
    """Remove a folder with all that is in it, if it is there."""
    if folder.exists():
        shutil.rmtree(folder)


def can_clone(empty: Path) -> bool:
    """Say whether an empty file and those beside it can share blocks.

    It is cloned onto itself: that takes no room, so a full file system answers too.

    Raises:
        OSError: it cannot be opened, or the file system is broken.
    """
    with empty.open("rb") as source, empty.open("r+b") as copy:
        try:
            fcntl.ioctl(copy, _FICLONE, source.fileno())
        except OSError as error:
            if error.errno in (errno.EOPNOTSUPP, errno.ENOTTY, errno.EINVAL, errno.EXDEV):
                return False
            raise
    return True


def clone(source: Path, target: Path) -> None:
    """Make a new file that shares all blocks of another: at one moment, at no cost.

    Raises:
        OSError: the file system cannot, or is full.
    """
    with source.open("rb") as old, target.open("xb") as new:
        fcntl.ioctl(new, _FICLONE, old.fileno())


def copy_sparse(source: Path, target: Path, seconds: float = math.inf) -> None:
    """Make a new file with the data of another, leaving out its holes.

    Raises:
        TimeoutError: it takes longer than `seconds`.
        OSError: the file system is full, or the source became shorter.
    """
    deadline = time.monotonic() + seconds
    with source.open("rb", buffering=0) as old, target.open("xb", buffering=0) as new:
        size = os.fstat(old.fileno()).st_size
        os.ftruncate(new.fileno(), size)
        end = 0
        while (start := _next_data(old.fileno(), end)) is not None:
            end = os.lseek(old.fileno(), start, os.SEEK_HOLE)
            while start < end:
                if time.monotonic() > deadline:
                    raise TimeoutError(errno.ETIMEDOUT, "copying takes too long", str(source))
                chunk = os.pread(old.fileno(), min(_CHUNK, end - start), start)
                if not chunk:
                    raise OSError(errno.EIO, "the file became shorter while it was copied", str(source))
                start += os.pwrite(new.fileno(), chunk, start)


def _next_data(handle: int, offset: int) -> int | None:
    """Return where data begins at or after `offset`, or None."""
    try:
        return os.lseek(handle, offset, os.SEEK_DATA)
    except OSError as error:
        if error.errno == errno.ENXIO:
            return None
        raise
