"""Brings one file or folder of a snapshot back into a student's home, beside what is there.

    python -m campus_jobs.copy_back --snapshot=FOLDER --home=FOLDER --path=hw/lab3.ipynb --into=restored --run=ID

The copy is made under a hidden name, compared with the snapshot by hash, and only then given its own name; nothing that
is there is ever overwritten. Told to end, it takes the hidden copy away first. Prints one line of JSON.
"""

from __future__ import annotations

import argparse
import contextlib
import errno
import itertools
import json
import os
import signal
import stat
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from campus_jobs.copies import Copy, remove
from campus_jobs.hashes import Totals, digest, kind_of, names_in
from campus_jobs.trees import DEEPEST, FOLDER, RefusedError, below, missing, parts_of, shown

SNAPSHOT: Final = "the snapshot"
HOME: Final = "the home folder"
BLOCK: Final = 4096
SPARE: Final = 1 << 20
"""Bytes that stay free, so that the student's server can still save."""


@dataclass
class Needs:
    """What a copy takes on the disk."""

    size: int = 0
    entries: int = 0


@contextlib.contextmanager
def _opened(name: bytes, above: int) -> Iterator[int]:
    here = os.open(name, FOLDER, dir_fd=above)
    try:
        yield here
    finally:
        os.close(here)


def measure(folder: int, name: bytes, needs: Needs, seen: set[tuple[int, int]], depth: int = 0) -> None:
    """Add what the entry of an open folder takes, a file with several names once.

    Raises:
        RefusedError: folders are too deep in each other.
    """
    if depth > DEEPEST:
        raise RefusedError(f"Folders are more than {DEEPEST} deep below '{shown(name)}'; restore a part of it.")
    status = os.lstat(name, dir_fd=folder)
    if (status.st_dev, status.st_ino) in seen:
        return
    if status.st_nlink > 1 and not stat.S_ISDIR(status.st_mode):
        seen.add((status.st_dev, status.st_ino))
    needs.entries += 1
    needs.size += max(status.st_blocks * 512, BLOCK)
    if kind_of(status.st_mode) == "folder":
        # Whoever reads it for its hash says what of it cannot be read.
        with contextlib.suppress(PermissionError), _opened(name, folder) as here:
            for each in names_in(here, top=False):
                measure(here, each, needs, seen, depth + 1)


def require_room(home: int, needs: Needs) -> None:
    """Raise RefusedError when the disk has no room for the copy."""
    space = os.fstatvfs(home)
    free = space.f_bavail * space.f_frsize
    if needs.size + SPARE > free:
        raise RefusedError(
            f"There is no room for the restore: it takes {needs.size} bytes and {SPARE} to spare, and {free} are free; "
            "make room, or resize the disk."
        )
    # A file system that makes inodes as it goes has none to count.
    if space.f_files and needs.entries > space.f_favail:
        raise RefusedError(
            f"There is no room for the restore: it has {needs.entries} files and the disk takes {space.f_favail} more."
        )


def names_for(name: bytes, is_folder: bool) -> Iterator[bytes]:
    """Yield the names that a copy may get: its own, then with a number, before a file's ending."""
    stem, dot, ending = name.rpartition(b".")
    if is_folder or not stem:
        stem, dot, ending = name, b"", b""
    return itertools.chain([name], (b"%s (%d)%s%s" % (stem, number, dot, ending) for number in itertools.count(2)))


def publish(folder: int, hidden: bytes, name: bytes) -> bytes:
    """Give the hidden copy the first free name and return it; nothing that is there is replaced."""
    is_folder = stat.S_ISDIR(os.lstat(hidden, dir_fd=folder).st_mode)
    for free in names_for(name, is_folder):
        try:
            if is_folder:
                os.mkdir(free, 0o700, dir_fd=folder)
                # Replaces nothing but the empty folder made just now.
                os.rename(hidden, free, src_dir_fd=folder, dst_dir_fd=folder)
            else:
                os.link(hidden, free, src_dir_fd=folder, dst_dir_fd=folder, follow_symlinks=False)
                os.unlink(hidden, dir_fd=folder)
        except OSError as error:
            if error.errno in (errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR):
                continue
            raise
        return free
    raise AssertionError("names never end")


def copy_back(snapshot: str, home: str, path: str, into: str, run: str) -> dict[str, Any]:
    """Copy ``path`` of the folder ``snapshot`` into the folder ``into`` of ``home`` and return what was done.

    Args:
        snapshot: the top folder of the disk made from the snapshot.
        home: the top folder of the student's own disk.
        path: what to bring back, from the top folder.
        into: folder in the home that gets it, with the folders that ``path`` names.
        run: names the hidden copy; the same run finds what it left behind when it was killed.

    Raises:
        RefusedError: it cannot be done; nothing was changed.
        OSError: the disk failed or became full; the hidden copy is gone again.
    """
    names, folders = parts_of(path), parts_of(into)
    with contextlib.ExitStack() as opened:

        def keep(descriptor: int) -> int:
            opened.callback(os.close, descriptor)
            return descriptor

        top, own = keep(os.open(snapshot, FOLDER)), keep(os.open(home, FOLDER))
        source = keep(below(top, names[:-1], SNAPSHOT))
        needs = Needs()
        try:
            measure(source, names[-1], needs, set())
        except FileNotFoundError as error:
            raise RefusedError(missing(source, names, SNAPSHOT)) from error
        require_room(own, needs)
        expected, totals = _read(source, names)
        target = keep(below(own, [*folders, *names[:-1]], HOME, make=True))
        hidden = b".restoring-" + os.fsencode(run)
        remove(target, hidden)
        try:
            Copy(target, hidden).make(source, names[-1])
            found = digest(target, hidden, Totals())
            if found != expected:
                raise RefusedError(f"The copy of '{path}' is not what the snapshot holds; nothing was kept, run again.")
            name = publish(target, hidden, names[-1])
        except BaseException:
            remove(target, hidden)
            raise
    return {
        "target": "/".join(map(shown, [*folders, *names[:-1], name])),
        "hash": found,
        "files": totals.files,
        "folders": totals.folders,
        "links": totals.links,
        "bytes": totals.size,
    }


def _read(source: int, names: list[bytes]) -> tuple[str, Totals]:
    """Return hash and totals of what is to be copied; raises RefusedError when it is not readable."""
    totals = Totals()
    expected = digest(source, names[-1], totals)
    if totals.unreadable:
        count, first = len(totals.unreadable), totals.unreadable[0]
        raise RefusedError(f"The student may not read {count} of the files, such as '{first}'; restore to a side disk.")
    if not expected:
        raise RefusedError(f"'{shown(b'/'.join(names))}' is no file or folder.")
    return expected, totals


def main(arguments: list[str] | None = None) -> int:
    """Do what the arguments say and print what was done, or why not; returns the exit code."""
    parser = argparse.ArgumentParser(description="Bring a file or folder of a snapshot back into a home folder.")
    for option in ("snapshot", "home", "path", "into", "run"):
        parser.add_argument(f"--{option}", required=True)
    options = parser.parse_args(arguments)
    try:
        answer = copy_back(**vars(options))
    except RefusedError as error:
        print(json.dumps({"error": str(error)}))
        return 1
    except OSError as error:
        why = "there is no room for the restore" if error.errno in (errno.ENOSPC, errno.EDQUOT) else error.strerror
        print(json.dumps({"error": f"Could not copy '{options.path}': {why}; nothing was kept."}))
        return 1
    print(json.dumps(answer))
    return 0


def told_to_end(*_unused: object) -> None:
    """End the copy where it is; once, so that nothing ends what takes it away."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise RefusedError("The copy was ended before it was complete; run again, or with a higher timeout.")


if __name__ == "__main__":
    # The first process of a container has to say itself what ends it.
    signal.signal(signal.SIGTERM, told_to_end)
    sys.exit(main())
