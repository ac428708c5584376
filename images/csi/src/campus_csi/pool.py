"""The pool: a folder, best on a file system whose files can share blocks, so that a snapshot costs nothing.

Where the node has none such, the driver makes one: a sparse image with XFS in it, mounted by loop.
"""

from __future__ import annotations

import fcntl
import logging
import os
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from . import files, loop, mounts, pool_id
from .accounting import Usage
from .errors import Damaged, FailedPrecondition
from .quantity import show
from .tools import run

SMALLEST = 320 * 1024 * 1024
"""Bytes below which XFS refuses."""

_LOCK = ".lock"
_OPTIONS = ("noatime", "nodev", "nosuid", "discard")
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Pool:
    """A pool that is ready for use."""

    root: Path
    image: Path | None
    lock: IO[str]
    shares: bool
    """Whether files can share blocks; else a snapshot copies all data."""

    def usage(self, images: int) -> Usage:
        """Return the pool's figures; `images` are the bytes that disks and snapshots take.

        Raises:
            OSError: the pool is broken.
        """
        figures = os.statvfs(self.root)
        total = figures.f_blocks * figures.f_frsize
        used = (figures.f_blocks - figures.f_bfree) * figures.f_frsize
        reachable = None
        if self.image is not None:
            outer = os.statvfs(self.image.parent)
            reachable = self.image.stat().st_blocks * 512 + outer.f_bavail * outer.f_frsize
        return Usage(total, used, images, reachable)


def prepare(base: Path, size: int | None, id_copy: Path, held: Callable[[Path], None] = lambda root: None) -> Pool:
    """Return the pool of this node: `base` itself, or the image of `size` bytes in it, made and mounted as needed.

    The file `id_copy`, outside the pool, remembers which pool it is. `held` is called with the pool's folder as soon as
    no other driver can have it, before anything else may fail.

    Raises:
        CallError: there can be no pool there; the message says why.
        OSError: the kernel refuses.
    """
    image, root = (None, base) if size is None else (base / "pool.img", base / "pool")
    if image is None or not image.exists():
        pool_id.require(root, id_copy)
    base.mkdir(mode=0o700, parents=True, exist_ok=True)
    if image is not None and size is not None:
        _make_image(image, size)
        _mount(image, root)
        _require_mounted(root, id_copy)
    lock = _lock(root)
    held(root)
    pool_id.write(root, id_copy)
    shares = files.can_clone(root / _LOCK)
    if not shares:
        _log.warning(
            "%s is on a file system whose files cannot share blocks: each snapshot takes as much as its disk, and a"
            " disk with much on it has one only while it is not in use; use a folder on XFS with reflink, or give the"
            " pool a size to have one made",
            root,
        )
    return Pool(root, image, lock, shares)


def _make_image(image: Path, size: int) -> None:
    if image.exists():
        present = image.stat().st_size
        if size < present:
            _log.warning("the pool %s stays at %s: it cannot shrink to %s", image, show(present), show(size))
        files.extend(image, size)
        return
    draft = image.with_suffix(".partial")
    draft.unlink(missing_ok=True)
    with draft.open("xb") as handle:
        os.fchmod(handle.fileno(), 0o600)
        handle.truncate(size)
    run("mkfs.xfs", "-q", "-K", "-m", "reflink=1", "-L", "campus-pool", str(draft))
    files.sync(draft)
    files.move(draft, image)
    _log.info("made the pool %s of %s", image, show(size))


def _mount(image: Path, root: Path) -> None:
    root.mkdir(mode=0o700, exist_ok=True)
    present = mounts.at(root)
    if present is None:
        # The same device again is the same file system again; a second device of one image would destroy it.
        with loop.attached(image) as device:
            mounts.mount(device, root, "xfs", _OPTIONS)
    elif present.device[0] != loop.MAJOR or not loop.has(present.device[1], image):
        raise FailedPrecondition(f"something else than {image} is mounted on {root}; unmount it")
    loop.refresh(image)
    run("xfs_growfs", "-d", str(root))


def _require_mounted(root: Path, id_copy: Path) -> None:
    """Check that what is mounted is the right pool; a wrong one is unmounted, for it would stay below the right one."""
    try:
        pool_id.require(root, id_copy)
    except FailedPrecondition:
        with suppress(Damaged):
            mounts.unmount(root)
        raise


def _lock(root: Path, seconds: float = 5.0) -> IO[str]:
    """Keep a second driver off the pool; the one being replaced gets a moment to end."""
    handle = (root / _LOCK).open("w")
    deadline = time.monotonic() + seconds
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return handle
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise FailedPrecondition(f"another driver is using the pool {root}") from None
            time.sleep(0.2)
