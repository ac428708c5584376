"""The disks and snapshots of a pool."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from . import files
from .accounting import Member
from .errors import Aborted
from .records import Snapshot, Volume, read_snapshot, read_volume, snapshot_id, volume_id
from .shelf import Shelf, sweep

Copy = Callable[[Path], Volume | Snapshot]
"""Makes an image at a path as a copy, and returns the record of what was copied, as it was at that moment."""


class Store:
    """All disks and snapshots of one pool; one process at a time."""

    def __init__(self, root: Path, make_image: Callable[[Path, int], None]) -> None:
        self._make_image = make_image
        sweep(root)
        self.disks = Shelf(root, "volume", "disk", read_volume)
        self.snapshots = Shelf(root, "snapshot", "snap", read_snapshot)
        files.sync(root)
        # A snapshot never changes, so its blocks are counted once.
        known = {snapshot.id: snapshot for snapshot in self.snapshots.list()}
        self._held = {name: _member(known.get(name), name, size) for name, size in self.snapshots.taken().items()}

    @property
    def damaged(self) -> dict[str, str]:
        """Disks and snapshots whose record cannot be read, and why; their images are left alone."""
        return {**self.disks.damaged, **self.snapshots.damaged}

    def promises(self) -> dict[str, int]:
        """Return the promised size of each disk in bytes, counting a damaged one by its image."""
        sizes = {volume.id: volume.capacity for volume in self.disks.list()}
        for name in self.disks.damaged:
            image = self.disks.image(name)
            sizes[name] = image.stat().st_size if image.is_file() else 0
        return sizes

    def members(self) -> list[Member]:
        """Return what disks and snapshots take in the pool."""
        families = {volume.id: volume.family for volume in self.disks.list()}
        disks = [Member(name, families.get(name, name), size) for name, size in self.disks.taken().items()]
        return [*disks, *self._held.copy().values()]

    def taken(self) -> int:
        """Return the bytes that the disks' images really take in the pool."""
        return sum(self.disks.taken().values())

    def create(self, name: str, capacity: int, claim: str = "") -> Volume:
        """Make an empty disk of `capacity` bytes.

        Raises:
            OSError: the pool refuses.
            Damaged: the file system could not be made.
        """
        identity = volume_id(name)

        def make(image: Path) -> Volume:
            self._make_image(image, capacity)
            return Volume(identity, name, capacity, capacity, time.time_ns(), claim, family=identity)

        return self.disks.add(identity, make)

    def create_from(self, copy: Copy, name: str, capacity: int, claim: str, family: str) -> Volume:
        """Make a disk of `capacity` bytes as a copy; its file system is fitted to that size when it is first mounted.

        The copy keeps the file system's UUID: ext4 does not mind mounting two of the same, and a new one would have to
        be written into what has not been checked yet.

        Raises:
            OSError: the pool refuses.
            Aborted: what is copied has grown beyond `capacity`.
        """
        identity = volume_id(name)

        def make(image: Path) -> Volume:
            origin = copy(image)
            if origin.capacity > capacity:
                raise Aborted(f"{origin.id} grew meanwhile; try again")
            files.extend(image, capacity)
            created = time.time_ns()
            return Volume(identity, name, capacity, origin.grown, created, claim, origin.id, family)

        return self.disks.add(identity, make)

    def create_snapshot(self, copy: Copy, name: str, family: str) -> Snapshot:
        """Make a snapshot by copying a disk.

        Raises:
            OSError: the pool refuses.
        """
        identity = snapshot_id(name)

        def make(image: Path) -> Snapshot:
            disk = copy(image)
            sizes = (disk.capacity, disk.grown)
            return Snapshot(identity, name, disk.id, *sizes, time.time_ns(), disk.claim, family)

        snapshot = self.snapshots.add(identity, make)
        taken = self.snapshots.image(identity).stat().st_blocks * 512
        self._held[identity] = _member(snapshot, identity, taken)
        return snapshot

    def delete_snapshot(self, identity: str) -> None:
        """Remove a snapshot; one that is not there is removed already."""
        self.snapshots.delete(identity)
        self._held.pop(identity, None)

    def enlarge(self, identity: str, capacity: int) -> Volume:
        """Write down a larger promise in bytes, then lengthen the image to it; the file system is not touched."""
        volume = self.disks.get(identity)
        if capacity > volume.capacity:
            volume = self.disks.write(replace(volume, capacity=capacity))
        files.extend(self.disks.image(identity), volume.capacity)
        return volume

    def grown(self, identity: str) -> Volume:
        """Write down that the file system has reached the promised size."""
        volume = self.disks.get(identity)
        return self.disks.write(replace(volume, grown=volume.capacity))


def _member(snapshot: Snapshot | None, identity: str, taken: int) -> Member:
    """Return what a snapshot takes; nothing is known of one whose record cannot be read."""
    if snapshot is None:
        return Member(identity, identity, taken, identity)
    return Member(identity, snapshot.family, taken, snapshot.source)
