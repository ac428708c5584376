"""The disks of a pool: a folder each, holding the image and its record.

A disk is there when its folder is in `volumes`; it gets there, and leaves, by one rename. What a crash leaves behind
lies in `partial` or `trash` and is swept at the next start; nothing in `volumes` is ever swept.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from . import files
from .errors import Damaged, NotFound

_ID = re.compile(r"disk-[0-9a-f]{40}")


@dataclass(frozen=True)
class Volume:
    """What is written down about a disk."""

    id: str
    name: str
    capacity: int
    """Promised size in bytes."""
    grown: int
    """Size in bytes that the file system was last fitted to; below `capacity` while an expansion is unfinished."""
    created: int
    """Nanoseconds since 1970."""
    claim: str = ""
    """namespace/name of the claim it was made for."""

    @property
    def token(self) -> str:
        """Place in the list: disks made later always come later."""
        return f"{self.created:020d}-{self.id}"


def volume_id(name: str) -> str:
    """Return the id of the disk of that name: the same at every retry."""
    return "disk-" + hashlib.sha256(name.encode()).hexdigest()[:40]


class Store:
    """All disks of one pool; one process at a time."""

    def __init__(self, root: Path, make_image: Callable[[Path, int], None]) -> None:
        self._volumes = root / "volumes"
        self._partial = root / "partial"
        self._trash = root / "trash"
        self._make_image = make_image
        self._index: dict[str, Volume] = {}
        self._damaged: dict[str, str] = {}
        self._guard = threading.Lock()
        for folder in (self._volumes, self._partial, self._trash):
            folder.mkdir(mode=0o700, exist_ok=True)
        files.sync(root)
        self._sweep()
        self._load()

    def _sweep(self) -> None:
        for folder in (*self._partial.iterdir(), *self._trash.iterdir()):
            files.remove(folder)

    def _load(self) -> None:
        for folder in self._volumes.iterdir():
            try:
                self._index[folder.name] = _read(folder)
            except (OSError, ValueError, TypeError) as error:
                self._damaged[folder.name] = str(error)

    @property
    def damaged(self) -> dict[str, str]:
        """Disks whose record cannot be read, and why; their images are left alone."""
        return dict(self._damaged)

    def image(self, volume_id: str) -> Path:
        """Return where a disk's image lies."""
        return self._volumes / volume_id / "disk.img"

    def find(self, volume_id: str) -> Volume | None:
        """Return a disk, or None.

        Raises:
            Damaged: its folder is there but its record cannot be read.
        """
        with self._guard:
            if volume_id in self._damaged:
                folder = self._volumes / volume_id
                raise Damaged(f"the record of {volume_id} in {folder} cannot be read: {self._damaged[volume_id]}")
            return self._index.get(volume_id)

    def get(self, volume_id: str) -> Volume:
        """Return a disk.

        Raises:
            NotFound: there is none of that id.
            Damaged: its record cannot be read.
        """
        volume = self.find(volume_id)
        if volume is None:
            raise NotFound(f"this node has no disk {volume_id}")
        return volume

    def list(self) -> list[Volume]:
        """Return all disks, oldest first."""
        with self._guard:
            return sorted(self._index.values(), key=lambda volume: volume.token)

    def promises(self) -> dict[str, int]:
        """Return the promised size of each disk in bytes, counting a damaged one by its image."""
        sizes = {volume.id: volume.capacity for volume in self.list()}
        for name in self._damaged:
            image = self.image(name)
            sizes[name] = image.stat().st_size if image.is_file() else 0
        return sizes

    def taken(self) -> int:
        """Return the bytes that the images really take in the pool."""
        total = 0
        for folder in self._volumes.iterdir():
            try:
                total += (folder / "disk.img").stat().st_blocks * 512
            except FileNotFoundError:
                continue
        return total

    def create(self, name: str, capacity: int, claim: str = "") -> Volume:
        """Make a disk of `capacity` bytes.

        Raises:
            OSError: the pool refuses.
            Damaged: the file system could not be made.
        """
        identity = volume_id(name)
        volume = Volume(identity, name, capacity, capacity, time.time_ns(), claim)
        work = self._partial / identity
        files.remove(work)
        work.mkdir(mode=0o700)
        try:
            self._make_image(work / "disk.img", capacity)
            files.sync(work / "disk.img")
            files.write(work / "volume.json", _dump(volume))
            files.move(work, self._volumes / identity)
        except Exception:
            files.remove(work)
            raise
        with self._guard:
            self._index[identity] = volume
        return volume

    def delete(self, volume_id: str) -> None:
        """Remove a disk and all that is on it; one that is not there is removed already."""
        folder = self._volumes / volume_id
        if not _ID.fullmatch(volume_id) or not folder.exists():
            return
        grave = self._trash / f"{volume_id}-{time.time_ns()}"
        files.move(folder, grave)
        with self._guard:
            self._index.pop(volume_id, None)
            self._damaged.pop(volume_id, None)
        files.remove(grave)

    def enlarge(self, volume_id: str, capacity: int) -> Volume:
        """Write down a larger promise in bytes, then lengthen the image to it; the file system is not touched."""
        volume = self.get(volume_id)
        if capacity > volume.capacity:
            volume = self._write(replace(volume, capacity=capacity))
        files.extend(self.image(volume_id), volume.capacity)
        return volume

    def grown(self, volume_id: str) -> Volume:
        """Write down that the file system has reached the promised size."""
        volume = self.get(volume_id)
        return self._write(replace(volume, grown=volume.capacity))

    def _write(self, volume: Volume) -> Volume:
        files.write(self._volumes / volume.id / "volume.json", _dump(volume))
        with self._guard:
            self._index[volume.id] = volume
        return volume


def _read(folder: Path) -> Volume:
    volume = Volume(**json.loads((folder / "volume.json").read_text(encoding="utf-8")))
    numbers = (volume.capacity, volume.grown, volume.created)
    if volume.id != folder.name or not all(isinstance(number, int) for number in numbers):
        raise ValueError("the record does not fit the folder")
    if not (folder / "disk.img").is_file():
        raise ValueError("the image is missing")
    return volume


def _dump(volume: Volume) -> str:
    return json.dumps(asdict(volume), indent=1) + "\n"
