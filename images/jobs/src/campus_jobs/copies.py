"""Copies of files, folders and links as ``cp -a`` makes them, from one open folder into another, through no link.

Content, holes, modes, times, extended attributes and hard links are kept; sockets and devices are left out.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from typing import Final

from campus_jobs.hashes import kind_of, names_in
from campus_jobs.trees import FOLDER, READ, below

NEW: Final = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
CHUNK: Final = 1 << 26


class Copy:
    """One copy of one entry; ``make`` may be called once."""

    def __init__(self, target: int, name: bytes) -> None:
        """``target`` is the open folder that gets the copy, ``name`` what the copy is called there."""
        self._target = target
        self._name = name
        # Inode of a file with several names to where its first copy is, from the target's folder.
        self._first: dict[tuple[int, int], tuple[bytes, ...]] = {}

    def make(self, source: int, name: bytes) -> None:
        """Copy the entry of the open folder ``source``.

        Raises:
            OSError: a file cannot be read or written, or the disk is full; what was copied so far stays.
        """
        self._copy(source, name, self._target, (self._name,))

    def _copy(self, source: int, name: bytes, target: int, path: tuple[bytes, ...]) -> None:
        status = os.lstat(name, dir_fd=source)
        kind, new = kind_of(status.st_mode), path[-1]
        if kind == "folder":
            self._folder(source, name, target, path)
        elif kind == "link":
            os.symlink(os.readlink(name, dir_fd=source), new, dir_fd=target)
            os.utime(new, ns=(status.st_atime_ns, status.st_mtime_ns), dir_fd=target, follow_symlinks=False)
        elif kind == "fifo":
            os.mkfifo(new, stat.S_IMODE(status.st_mode), dir_fd=target)
        elif kind == "file" and not self._linked(status, target, path):
            self._file(source, name, target, new)

    def _linked(self, status: os.stat_result, target: int, path: tuple[bytes, ...]) -> bool:
        """Say whether the file was copied under another name already, and link it to that."""
        if status.st_nlink < 2:
            return False
        first = self._first.setdefault((status.st_dev, status.st_ino), path)
        if first == path:
            return False
        folder = below(self._target, first[:-1], "the home folder")
        try:
            os.link(first[-1], path[-1], src_dir_fd=folder, dst_dir_fd=target, follow_symlinks=False)
        finally:
            os.close(folder)
        return True

    def _folder(self, source: int, name: bytes, target: int, path: tuple[bytes, ...]) -> None:
        # Its own mode comes last: it may forbid what is still to be done in it.
        os.mkdir(path[-1], 0o700, dir_fd=target)
        with contextlib.ExitStack() as opened:
            here = os.open(name, FOLDER, dir_fd=source)
            opened.callback(os.close, here)
            there = os.open(path[-1], FOLDER, dir_fd=target)
            opened.callback(os.close, there)
            for each in names_in(here, top=False):
                self._copy(here, each, there, (*path, each))
            copy_attributes(here, there)

    def _file(self, source: int, name: bytes, target: int, new: bytes) -> None:
        with contextlib.ExitStack() as opened:
            here = os.open(name, READ, dir_fd=source)
            opened.callback(os.close, here)
            there = os.open(new, NEW, 0o600, dir_fd=target)
            opened.callback(os.close, there)
            copy_content(here, there)
            copy_attributes(here, there)


def copy_content(here: int, there: int) -> None:
    """Copy an open file's content into a new one, and leave holes where it has them."""
    size = os.fstat(here).st_size
    os.ftruncate(there, size)
    place = 0
    while place < size:
        try:
            begin = os.lseek(here, place, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:
                return
            raise
        place = min(os.lseek(here, begin, os.SEEK_HOLE), size)
        os.lseek(there, begin, os.SEEK_SET)
        while begin < place:
            sent = os.sendfile(there, here, begin, min(place - begin, CHUNK))
            if not sent:
                return
            begin += sent


def copy_attributes(here: int, there: int) -> None:
    """Give an open copy the extended attributes, group, mode and times of the original, as far as this user may."""
    with contextlib.suppress(OSError):
        for name in os.listxattr(here):
            with contextlib.suppress(OSError):
                os.setxattr(there, name, os.getxattr(here, name))
    status = os.fstat(here)
    with contextlib.suppress(PermissionError):
        os.fchown(there, -1, status.st_gid)
    os.fchmod(there, stat.S_IMODE(status.st_mode))
    os.utime(there, ns=(status.st_atime_ns, status.st_mtime_ns))


def remove(folder: int, name: bytes) -> None:
    """Remove an entry of an open folder and all below it, if it is there; a link goes itself, never what it names."""
    try:
        mode = os.lstat(name, dir_fd=folder).st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISDIR(mode):
        os.unlink(name, dir_fd=folder)
        return
    here = os.open(name, FOLDER, dir_fd=folder)
    try:
        os.fchmod(here, 0o700)
        for each in names_in(here, top=False):
            remove(here, each)
    finally:
        os.close(here)
    os.rmdir(name, dir_fd=folder)
