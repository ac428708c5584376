"""Packs a folder of a snapshot into a ZIP file while it is being sent, through no link."""

from __future__ import annotations

import os
import stat
import time
import zipfile
from datetime import UTC, datetime
from typing import Final, Protocol

from campus_jobs.hashes import kind_of, names_in
from campus_jobs.trees import DEEPEST, FOLDER, READ, shown

CHUNK: Final = 1 << 17
"""Bytes that are sent at once: in a minute even a slow line takes so many, and the server waits no longer."""
LARGE: Final = 1 << 30
"""From so many bytes on a file is written in the form of ZIP that not every old program can read."""
LEFT_OUT: Final = "NOT IN THIS ARCHIVE.txt"
FIRST: Final = datetime(1980, 1, 2, tzinfo=UTC).timestamp()
LAST: Final = datetime(2107, 12, 30, tzinfo=UTC).timestamp()
"""Times that ZIP can write wherever it is; a file system may have later ones than even the calendar."""


class Target(Protocol):
    """What takes the bytes, one after the other."""

    def write(self, data: bytes, /) -> int:
        """Take some."""

    def flush(self) -> None:
        """Send what was taken."""


class Archive:
    """One ZIP file; what cannot be read is left out, and named in a file at its end."""

    def __init__(self, target: Target) -> None:
        """``target`` need not be seekable."""
        self._zip = zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=1)  # type: ignore[call-overload]
        self._left_out: list[str] = []

    def add(self, folder: int, name: bytes, path: tuple[bytes, ...]) -> None:
        """Add an entry of an open folder under a path of its own; raises OSError when the disk fails."""
        try:
            status = os.lstat(name, dir_fd=folder)
            kind = kind_of(status.st_mode)
            if kind == "folder":
                if len(path) > DEEPEST:
                    raise PermissionError
                here = os.open(name, FOLDER, dir_fd=folder)
                try:
                    self.add_folder(here, path)
                finally:
                    os.close(here)
            elif kind == "file":
                self._add_file(os.open(name, READ, dir_fd=folder), path, status)
            elif kind == "link":
                self._zip.writestr(_info(path, status), os.fsencode(os.readlink(name, dir_fd=folder)))
        except PermissionError:
            self._left_out.append("/".join(map(shown, path)))

    def add_folder(self, folder: int, path: tuple[bytes, ...], top: bool = False) -> None:
        """Add an open folder and what is in it; ``top`` leaves out what the file system keeps at a disk's top."""
        self._zip.writestr(_info(path, os.fstat(folder), "/"), b"")
        for name in names_in(folder, top):
            self.add(folder, name, (*path, name))

    def _add_file(self, descriptor: int, path: tuple[bytes, ...], status: os.stat_result) -> None:
        with (
            os.fdopen(descriptor, "rb") as source,
            self._zip.open(_info(path, status), "w", force_zip64=status.st_size >= LARGE) as packed,
        ):
            while data := source.read(CHUNK):
                packed.write(data)

    def close(self) -> None:
        """Write the end, without which it is no whole file."""
        if self._left_out:
            words = "These could not be read and are not in this archive:\n"
            self._zip.writestr(LEFT_OUT, words + "".join(f"{path}\n" for path in self._left_out))
        self._zip.close()


def _info(path: tuple[bytes, ...], status: os.stat_result, ending: str = "") -> zipfile.ZipInfo:
    """Return an entry's name, time and mode as ZIP has them."""
    moment = time.localtime(min(max(status.st_mtime, FIRST), LAST))
    info = zipfile.ZipInfo("/".join(map(shown, path)) + ending, moment[:6])
    info.external_attr = (stat.S_IFMT(status.st_mode) | stat.S_IMODE(status.st_mode)) << 16
    info.compress_type = zipfile.ZIP_DEFLATED
    return info
