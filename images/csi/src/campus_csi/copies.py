"""Copies of disks and snapshots, each a whole file system as it was at one moment."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from . import files, loop, mounts
from .accounting import Copying, Member
from .errors import Aborted, FailedPrecondition, NotFound
from .freezing import Freezer
from .locks import Locks
from .quantity import show
from .records import Snapshot, Volume
from .store import Copy, Store

LONGEST = 256 * 1024 * 1024
"""Bytes that are copied while a disk is frozen, where blocks cannot be shared: about a second's work."""
BRIEF = 2.0
"""Seconds that such a copy may take: less than the watchdog allows, for a copy given up is tried again."""
AT_ONCE = 4
"""Disks that are made by copying data at the same time."""


class Copies:
    """Makes copies by sharing blocks where the pool can, else by copying the data and leaving out the holes.

    A disk's lock is held while blocks are shared or the disk is frozen, never while data of a disk at rest is copied:
    its student may start meanwhile, and the copy is given up.
    """

    def __init__(self, store: Store, locks: Locks, freezer: Freezer, *, shares: bool) -> None:
        self._store = store
        self._locks = locks
        self._freezer = freezer
        self._shares = shares
        self._turns = threading.BoundedSemaphore(AT_ONCE)

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Have a turn for the block, which makes a disk: where data is copied, only a few are made so at once.

        Copies take long, and many at once would leave no thread to make a new student's disk.

        Raises:
            Aborted: others have all turns.
        """
        if self._shares:
            yield
            return
        if not self._turns.acquire(blocking=False):
            raise Aborted(f"{AT_ONCE} disks are being copied on this node already; try again")
        try:
            yield
        finally:
            self._turns.release()

    def plan_snapshot(self, identity: str, disk: Volume) -> Copying:
        """Return what a snapshot of a disk will take, for the ledger."""
        taken = self._store.disks.image(disk.id).stat().st_blocks * 512
        family = disk.family if self._shares else identity
        return Copying(Member(identity, family, taken, disk.id), 0 if self._shares else taken)

    def plan_disk(self, identity: str, origin: Volume | Snapshot) -> Copying:
        """Return what a disk made from another or from a snapshot will take, for the ledger."""
        shelf = self._store.disks if isinstance(origin, Volume) else self._store.snapshots
        taken = shelf.image(origin.id).stat().st_blocks * 512
        family = origin.family if self._shares else identity
        return Copying(Member(identity, family, taken), 0 if self._shares else taken)

    def of_snapshot(self, identity: str, target: Path) -> Snapshot:
        """Copy a snapshot to a new file.

        Raises:
            NotFound: there is none, or it was deleted just now.
            OSError: the pool refuses.
        """
        snapshot = self._store.snapshots.get(identity)
        try:
            self._copy(self._store.snapshots.image(identity), target)
        except FileNotFoundError as error:
            raise NotFound(f"{identity} was deleted meanwhile") from error
        return snapshot

    def of_disk(self, identity: str, target: Path) -> Volume:
        """Copy a disk to a new file, frozen for that moment when it is mounted, and return its record of that moment.

        Raises:
            NotFound: there is none.
            Aborted: another call has the disk, or the copy would be of no single moment.
            FailedPrecondition: it is in use and cannot be copied quickly enough.
            OSError: the pool refuses.
        """
        image = self._store.disks.image(identity)
        with self._locks.hold(identity):
            volume = self._store.disks.get(identity)
            mount = self._mounted(image)
            if mount is not None:
                self._copy_in_use(volume, mount, target)
                return volume
            if self._shares:
                files.clone(image, target)
                return volume
            before = _state(image)
        files.copy_sparse(image, target)
        with self._locks.hold(identity):
            self._store.disks.get(identity)
            if loop.find(image) is not None or _state(image) != before:
                raise Aborted(f"{identity} was used while it was copied; try again")
        return volume

    def _mounted(self, image: Path) -> mounts.Mount | None:
        """Return a mount of a disk, or None; a device that is about to detach is waited for."""
        number = loop.find(image)
        if number is None:
            return None
        for mount in mounts.mounts():
            if mount.device == (loop.MAJOR, number):
                return mount
        if not loop.released(image):
            raise Aborted(f"{image} has a device, loop{number}, that is mounted nowhere; try again")
        return None

    def _copy_in_use(self, volume: Volume, mount: mounts.Mount, target: Path) -> None:
        image = self._store.disks.image(volume.id)
        taken = image.stat().st_blocks * 512
        if not self._shares and taken > LONGEST:
            raise FailedPrecondition(
                f"{volume.id} is in use, and copying its {show(taken)} would stop it for too long, for the pool's files"
                " cannot share blocks; stop its server first, or use a pool on XFS with reflink"
            )
        with self._freezer.frozen(mount):
            try:
                self._copy(image, target, BRIEF)
            except TimeoutError as error:
                raise FailedPrecondition(
                    f"{volume.id} is in use and was not copied within {BRIEF:g} s; stop its server first, or"
                    " use a pool on XFS with reflink"
                ) from error

    def _copy(self, image: Path, target: Path, seconds: float | None = None) -> None:
        if self._shares:
            files.clone(image, target)
        elif seconds is None:
            files.copy_sparse(image, target)
        else:
            files.copy_sparse(image, target, seconds)


def counted(copy: Copy, made: Callable[[int], None]) -> Copy:
    """Return a copy that says how many bytes its image takes, which may be refused."""

    def make(target: Path) -> Volume | Snapshot:
        record = copy(target)
        made(target.stat().st_blocks * 512)
        return record

    return make


def _state(image: Path) -> tuple[int, int, int]:
    """Return what changes when an image is written to."""
    known = image.stat()
    return known.st_mtime_ns, known.st_size, known.st_blocks
