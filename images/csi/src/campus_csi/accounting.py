"""What the pool may promise: every disk can be filled to its size, whatever snapshots hold.

A snapshot takes nothing when it is taken, but from then on each block the disk overwrites takes a new one. The rule:
what is free must be at least what all disks may still need, which is for each its promised size less the blocks that
are surely its own. A block it shares, or may share, is not its own: it may be written anew, while the snapshot keeps
the old one. Writing, discarding and deleting keep the rule; only a new disk, a larger one, a snapshot and a copy can
break it, and these are refused when they would.
"""

from __future__ import annotations

import math
import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace

from .errors import ResourceExhausted
from .quantity import show

MIB = 1024 * 1024


@dataclass(frozen=True)
class Usage:
    """A pool's figures, in bytes."""

    total: int
    used: int
    images: int
    """Bytes that the images of disks and snapshots take; what two share counts for both."""
    reachable: int | None = None
    """What a sparse pool image could grow to on its own disk; None where the pool is no image."""

    @property
    def usable(self) -> int:
        """What the pool can really hold."""
        return self.total if self.reachable is None else min(self.total, self.reachable)

    @property
    def overhead(self) -> int:
        """What the file system needs for itself: at least a hundredth."""
        return max(self.used - self.images, self.total // 100)


@dataclass(frozen=True)
class Member:
    """A disk or a snapshot, and the bytes its image takes, shared ones included."""

    id: str
    family: str
    """Blocks are shared within a family only."""
    taken: int
    of: str = ""
    """Id of the disk that this is a snapshot of; empty: it is a disk itself."""


@dataclass(frozen=True)
class Copying:
    """A copy that is being made, as it will be, and how many of its bytes will be new ones."""

    member: Member
    fresh: int
    """Bytes that the pool does not yet count as used."""


def promisable(usage: Usage, overcommit: float, snapshot_reserve: float) -> int:
    """Return the bytes that may be promised to all disks together.

    The file system's own needs come off first, then the share kept for snapshots.
    """
    free = max(0, usage.usable - usage.overhead) * (1 - snapshot_reserve) * overcommit
    return int(free) // MIB * MIB


def needed(promises: Mapping[str, int], members: Iterable[Member], overcommit: float) -> int:
    """Return the bytes that disks with these promises may yet need; a promise counts divided by `overcommit`."""
    families = defaultdict(list)
    for member in members:
        families[member.family].append(member)
    own = {disk: size for family in families.values() for disk, size in _own(family).items()}
    return sum(max(0, math.ceil(size / overcommit) - own.get(name, 0)) for name, size in promises.items())


def _own(family: list[Member]) -> dict[str, int]:
    """Return how many bytes of each disk of a family surely belong to no one else.

    What a disk shares with its snapshots, it had when the last of them was taken: no more than the largest takes. Where
    there are further disks, or snapshots of a disk that is gone, it shares at most what all others take.
    """
    disks = [member for member in family if not member.of]
    snapshots = [member for member in family if member.of]
    if len(disks) == 1 and all(snapshot.of == disks[0].id for snapshot in snapshots):
        shared = max((snapshot.taken for snapshot in snapshots), default=0)
        return {disks[0].id: max(0, disks[0].taken - shared)}
    total = sum(member.taken for member in family)
    return {disk.id: max(0, 2 * disk.taken - total) for disk in disks}


def spare(
    usage: Usage,
    members: Iterable[Member],
    promises: Mapping[str, int],
    copies: Iterable[Copying] = (),
    overcommit: float = 1.0,
) -> int:
    """Return the free bytes that no disk may need, once these copies are made; below 0: there are too few."""
    copies = list(copies)
    present = {member.id: member for member in members}
    planned = [copying for copying in copies if copying.member.id not in present]
    # Also one that is there already: its record, which names its family, may not have been read yet.
    present.update((copying.member.id, copying.member) for copying in copies)
    # What shares its blocks, or has them already, counts among the images as it will when it is there.
    usage = replace(usage, images=usage.images + sum(copying.member.taken - copying.fresh for copying in planned))
    kept_back = usage.overhead - max(0, usage.used - usage.images)
    free = usage.usable - usage.used - kept_back - sum(copying.fresh for copying in planned)
    return free - needed(promises, present.values(), overcommit)


@dataclass(frozen=True)
class Room:
    """What a pool has left, asked anew each time."""

    limit: Callable[[], int]
    """Bytes that may be promised to all disks together."""
    spare: Callable[[Mapping[str, int], Iterable[Copying]], int]
    """Free bytes that no disk may need, with these promises and copies."""


class Ledger:
    """The promised size of each disk, in bytes, and the copies being made, checked against what the pool has left."""

    def __init__(self, room: Room, promises: Mapping[str, int], overcommit: float = 1.0) -> None:
        self._room = room
        self._overcommit = overcommit
        self._promises = dict(promises)
        self._copies: dict[str, Copying] = {}
        self._guard = threading.Lock()

    def promise(self, identity: str, size: int) -> None:
        """Promise `size` bytes to a disk; a smaller promise than it already has changes nothing.

        Raises:
            ResourceExhausted: the pool cannot promise that much.
        """
        with self._guard:
            if size > self._promises.get(identity, 0):
                self._check_limit(identity, size)
                self._check_spare({**self._promises, identity: size}, self._copies, "a disk")
                self._promises[identity] = size

    @contextmanager
    def copying(self, copying: Copying, size: int | None = None) -> Iterator[Callable[[int], None]]:
        """Reserve what a copy needs while the block makes it; with `size`, the copy is a disk promised that much.

        The block gets what must be told the bytes that the image takes, once it is made and before it is kept: a disk
        in use is written back first, so these may be more than were planned.

        Raises:
            ResourceExhausted: the pool has no room for it; so, too, what the block gets.
        """
        identity, what = copying.member.id, "a snapshot" if size is None else "a copy"
        with self._guard:
            promises, copies = self._promises, {**self._copies, identity: copying}
            if size is not None:
                self._check_limit(identity, size)
                promises = {**promises, identity: size}
            self._check_spare(promises, copies, what)
            self._promises, self._copies = dict(promises), copies

        def made(taken: int) -> None:
            member = replace(copying.member, taken=taken)
            with self._guard:
                copies = {**self._copies, identity: Copying(member, 0)}
                if taken > copying.member.taken:
                    self._check_spare(self._promises, copies, what)
                self._copies = copies

        done = False
        try:
            yield made
            done = True
        finally:
            with self._guard:
                del self._copies[identity]
                if size is not None and not done:
                    del self._promises[identity]

    def _check_limit(self, identity: str, size: int) -> None:
        current = self._promises.get(identity, 0)
        limit = self._room.limit()
        promised = sum(self._promises.values())
        if promised - current + size > limit:
            raise ResourceExhausted(
                f"the pool of this node cannot promise {show(size - current)} more: {show(promised)} of"
                f" {show(limit)} are promised already; delete disks, enlarge the pool or use another node"
            )

    def _check_spare(self, promises: Mapping[str, int], copies: Mapping[str, Copying], what: str) -> None:
        missing = -self._room.spare(promises, copies.values())
        if missing > 0:
            raise ResourceExhausted(
                f"the pool of this node has no room for {what}: with it, {show(missing)} of what is promised to disks"
                " could be held by snapshots; delete snapshots or disks, or enlarge the pool"
            )

    def restore(self, identity: str, size: int | None) -> None:
        """Set a promise back to what is true on disk: `size` bytes, or none at all."""
        with self._guard:
            if size is None:
                self._promises.pop(identity, None)
            else:
                self._promises[identity] = size

    @property
    def promised(self) -> int:
        """Bytes promised to all disks."""
        with self._guard:
            return sum(self._promises.values())

    def spare(self) -> int:
        """Free bytes that no disk may need; below 0 where snapshots hold some of what is promised."""
        with self._guard:
            return self._room.spare(self._promises, self._copies.values())

    def available(self) -> int:
        """Bytes that may still be promised."""
        with self._guard:
            unpromised = self._room.limit() - sum(self._promises.values())
            left = self._room.spare(self._promises, self._copies.values()) * self._overcommit
            return max(0, min(unpromised, int(left) // MIB * MIB))
