"""What is on a disk, as hashes: two trees with the same root hash hold the same names, files and links.

    python -m campus_jobs.hashes FOLDER

prints one line of JSON. A file's hash is the SHA-256 of its content, a link's that of its target, and a folder's that
of its entries' kinds, names and hashes in order of name. Owners, modes and times are left out: a mount may change them.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from campus_jobs.trees import DEEPEST, FOLDER, READ, shown

LOST_AND_FOUND: Final = b"lost+found"
MOST_PARTS: Final = 100
LONGEST_PART: Final = 60

UNREADABLE: Final = "unreadable"


@dataclass
class Totals:
    """What a walk has counted so far."""

    files: int = 0
    folders: int = 0
    links: int = 0
    size: int = 0
    """Bytes of the files, holes included."""
    unreadable: list[str] = field(default_factory=list)
    """Paths of files and folders that this user may not read, or that are too deep in each other."""


def kind_of(mode: int) -> str:
    """Return ``file``, ``folder``, ``link`` or ``fifo``; empty for sockets and devices, which hold nothing."""
    kinds = ((stat.S_ISREG, "file"), (stat.S_ISDIR, "folder"), (stat.S_ISLNK, "link"), (stat.S_ISFIFO, "fifo"))
    return next((kind for test, kind in kinds if test(mode)), "")


def names_in(folder: int, top: bool) -> list[bytes]:
    """Return the names in an open folder, in order; at the top of a disk without what the file system keeps there."""
    names = sorted(os.fsencode(name) for name in os.listdir(folder))
    return [name for name in names if not (top and name == LOST_AND_FOUND)]


def digest(folder: int, name: bytes, totals: Totals, above: tuple[bytes, ...] = ()) -> str:
    """Return the hash of one entry of an open folder and add it to the totals; ``above`` is the way there."""
    status = os.lstat(name, dir_fd=folder)
    kind = kind_of(status.st_mode)
    try:
        if kind == "file":
            totals.files += 1
            totals.size += status.st_size
            return file_digest(folder, name)
        if kind == "folder":
            totals.folders += 1
            if len(above) >= DEEPEST:
                raise PermissionError
            opened = os.open(name, FOLDER, dir_fd=folder)
            try:
                return folder_digest(entries(opened, totals, (*above, name)))
            finally:
                os.close(opened)
    except PermissionError:
        totals.unreadable.append(shown(b"/".join((*above, name))))
        return UNREADABLE
    if kind == "link":
        totals.links += 1
        return hashlib.sha256(os.fsencode(os.readlink(name, dir_fd=folder))).hexdigest()
    return kind


def file_digest(folder: int, name: bytes) -> str:
    """Return the SHA-256 of a file's content."""
    with open(os.open(name, READ, dir_fd=folder), "rb", buffering=0) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def entries(
    folder: int, totals: Totals, above: tuple[bytes, ...] = (), top: bool = False
) -> Iterator[tuple[str, bytes, str]]:
    """Yield kind, name and hash of each entry of an open folder."""
    for name in names_in(folder, top):
        kind = kind_of(os.lstat(name, dir_fd=folder).st_mode)
        if kind:
            yield kind, name, digest(folder, name, totals, above)


def folder_digest(found: Iterator[tuple[str, bytes, str]]) -> str:
    """Return the hash of a folder from its entries."""
    whole = hashlib.sha256()
    for kind, name, value in found:
        # No name holds a zero byte, so two different folders never give the same text.
        whole.update(b"\0".join((kind.encode(), name, value.encode())) + b"\n")
    return whole.hexdigest()


def report(top: int) -> dict[str, Any]:
    """Return the root hash of an open folder, its counts, and the short hashes of what lies at the top.

    ``parts`` is empty when there is too much at the top to be kept beside a snapshot.
    """
    totals = Totals()
    found = list(entries(top, totals, top=True))
    parts = {shown(name): f"{kind} {value[:16]}" for kind, name, value in found}
    small = len(parts) <= MOST_PARTS and all(len(name) <= LONGEST_PART for name in parts)
    return {
        "root": folder_digest(iter(found)),
        "files": totals.files,
        "folders": totals.folders,
        "links": totals.links,
        "bytes": totals.size,
        "unreadable": len(totals.unreadable),
        "parts": parts if small else {},
    }


def main(arguments: list[str] | None = None) -> int:
    """Print the report of the folder that is named, or the refusal; returns the exit code."""
    (folder,) = arguments if arguments is not None else sys.argv[1:]
    try:
        top = os.open(folder, FOLDER)
        try:
            answer = report(top)
        finally:
            os.close(top)
    except OSError as error:
        print(json.dumps({"error": str(error)}))
        return 1
    print(json.dumps(answer))
    return 0


if __name__ == "__main__":
    sys.exit(main())
