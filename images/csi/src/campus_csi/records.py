"""What is written down about disks and snapshots."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path

IMAGE = "disk.img"
"""Name of the image file beside a record."""


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
    source: str = ""
    """Id of the disk or snapshot it was copied from; empty: it began empty."""
    family: str = ""
    """Id of the first disk it descends from, itself for one that began empty: blocks are shared in a family only.

    A copy that shares no blocks founds a family of its own.
    """

    @property
    def token(self) -> str:
        """Place in the list: disks made later always come later."""
        return f"{self.created:020d}-{self.id}"


@dataclass(frozen=True)
class Snapshot:
    """What is written down about a snapshot; its fields mean what those of a disk mean."""

    id: str
    name: str
    source: str
    """Id of the disk it was taken of, which may be gone."""
    capacity: int
    grown: int
    created: int
    claim: str = ""
    family: str = ""

    @property
    def token(self) -> str:
        """Place in the list: snapshots taken later always come later."""
        return f"{self.created:020d}-{self.id}"


def volume_id(name: str) -> str:
    """Return the id of the disk of that name: the same at every retry."""
    return "disk-" + _digest(name)


def snapshot_id(name: str) -> str:
    """Return the id of the snapshot of that name: the same at every retry."""
    return "snap-" + _digest(name)


def _digest(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()[:40]


def read_volume(path: Path) -> Volume:
    """Read the record of a disk.

    Raises:
        OSError: it cannot be read.
        ValueError, TypeError: it is not the record of a disk.
    """
    fields = json.loads(path.read_text(encoding="utf-8"))
    volume = Volume(**{"family": fields["id"], **fields})
    _require_numbers(volume)
    return volume


def read_snapshot(path: Path) -> Snapshot:
    """Read the record of a snapshot.

    Raises:
        OSError: it cannot be read.
        ValueError, TypeError: it is not the record of a snapshot.
    """
    snapshot = Snapshot(**json.loads(path.read_text(encoding="utf-8")))
    _require_numbers(snapshot)
    return snapshot


def _require_numbers(record: Volume | Snapshot) -> None:
    numbers = (record.capacity, record.grown, record.created)
    if not all(isinstance(number, int) for number in numbers):
        raise ValueError("a number in the record is none")


def dump(record: Volume | Snapshot) -> str:
    """Return the text of a record."""
    return json.dumps(asdict(record), indent=1) + "\n"
