"""A folder of the pool that holds things of one kind: a folder each, with an image and its record.

A thing is there when its folder is; it gets there, and leaves, by one rename. What a crash leaves behind lies in
`partial` or `trash` and is swept at the next start; nothing on a shelf is ever swept.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

from . import files
from .errors import Damaged, NotFound
from .records import IMAGE, Snapshot, Volume, dump

R = TypeVar("R", Volume, Snapshot)


def sweep(root: Path) -> None:
    """Make the two folders for what is unfinished, and empty them of what a crash left."""
    for name in ("partial", "trash"):
        folder = root / name
        folder.mkdir(mode=0o700, exist_ok=True)
        for leftover in folder.iterdir():
            files.remove(leftover)


class Shelf(Generic[R]):
    """All things of one kind; one process at a time."""

    def __init__(self, root: Path, kind: str, prefix: str, read: Callable[[Path], R]) -> None:
        """Read what is in the folder `kind`s of the pool; ids begin with `prefix`."""
        self._kind = kind
        self._id = re.compile(rf"{prefix}-[0-9a-f]{{40}}")
        self._read_record: Callable[[Path], R] = read
        self._folder = root / f"{kind}s"
        self._partial = root / "partial"
        self._trash = root / "trash"
        self._index: dict[str, R] = {}
        self._damaged: dict[str, str] = {}
        self._guard = threading.Lock()
        self._folder.mkdir(mode=0o700, exist_ok=True)
        for folder in self._folder.iterdir():
            try:
                self._index[folder.name] = self._read(folder)
            except (OSError, LookupError, ValueError, TypeError) as error:
                self._damaged[folder.name] = str(error)

    def _read(self, folder: Path) -> R:
        record = self._read_record(folder / f"{self._kind}.json")
        if record.id != folder.name:
            raise ValueError("the record does not fit the folder")
        if not (folder / IMAGE).is_file():
            raise ValueError("the image is missing")
        return record

    @property
    def damaged(self) -> dict[str, str]:
        """Things whose record cannot be read, and why; their images are left alone."""
        with self._guard:
            return dict(self._damaged)

    def is_id(self, text: str) -> bool:
        """Say whether a text has the form of an id of this kind, on whatever node it was made."""
        return self._id.fullmatch(text) is not None

    def image(self, identity: str) -> Path:
        """Return where the image of a thing lies."""
        return self._folder / identity / IMAGE

    def find(self, identity: str) -> R | None:
        """Return a record, or None.

        Raises:
            Damaged: its folder is there but its record cannot be read.
        """
        with self._guard:
            if identity in self._damaged:
                folder = self._folder / identity
                raise Damaged(f"the record of {identity} in {folder} cannot be read: {self._damaged[identity]}")
            return self._index.get(identity)

    def get(self, identity: str) -> R:
        """Return a record.

        Raises:
            NotFound: there is none of that id.
            Damaged: it cannot be read.
        """
        record = self.find(identity)
        if record is None:
            word = "disk" if self._kind == "volume" else self._kind
            raise NotFound(f"this node has no {word} {identity}")
        return record

    def list(self) -> list[R]:
        """Return all records, oldest first."""
        with self._guard:
            return sorted(self._index.values(), key=lambda record: record.token)

    def add(self, identity: str, make: Callable[[Path], R]) -> R:
        """Add a thing whose image `make` creates at the given path, returning its record.

        Raises:
            OSError: the pool refuses.
            Exception: whatever `make` raises; nothing is left then.
        """
        work = self._partial / identity
        files.remove(work)
        work.mkdir(mode=0o700)
        try:
            record = make(work / IMAGE)
            files.sync(work / IMAGE)
            files.write(work / f"{self._kind}.json", dump(record))
            files.move(work, self._folder / identity)
        except Exception:
            files.remove(work)
            raise
        with self._guard:
            self._index[identity] = record
        return record

    def write(self, record: R) -> R:
        """Replace a record."""
        files.write(self._folder / record.id / f"{self._kind}.json", dump(record))
        with self._guard:
            self._index[record.id] = record
        return record

    def renew(self, identity: str, make: Callable[[Path], None]) -> None:
        """Replace the image of a thing, which nothing may be using, by the one that `make` creates at the given path.

        Raises:
            OSError: the pool refuses; then, as ever when this fails, the image is the old one.
            Exception: whatever `make` raises.
        """
        work = self._partial / f"{identity}-renewed"
        files.remove(work)
        work.mkdir(mode=0o700)
        try:
            make(work / IMAGE)
            files.sync(work / IMAGE)
            files.replace(work / IMAGE, self.image(identity))
        finally:
            files.remove(work)

    def delete(self, identity: str) -> None:
        """Remove a thing and all that is in it; one that is not there is removed already."""
        folder = self._folder / identity
        if not self.is_id(identity) or not folder.exists():
            return
        grave = self._trash / f"{identity}-{time.time_ns()}"
        files.move(folder, grave)
        with self._guard:
            self._index.pop(identity, None)
            self._damaged.pop(identity, None)
        files.remove(grave)

    def taken(self) -> dict[str, int]:
        """Return the bytes that each image takes in the pool; what two share counts for both."""
        found = {}
        for folder in self._folder.iterdir():
            try:
                found[folder.name] = (folder / IMAGE).stat().st_blocks * 512
            except FileNotFoundError:
                continue
        return found
