"""Walks through folders that belong to somebody who may not be trusted: by open descriptors, and through no link.

A name is only ever resolved against the folder that is open already, so a link that somebody puts in the way leads
nowhere, also while it happens. Names are bytes, as the file system has them.
"""

from __future__ import annotations

import difflib
import os
import stat
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Final

FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
READ: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC

DEEPEST: Final = 256
"""Folders in folders: each keeps a descriptor open, and a process has about a thousand."""


class RefusedError(Exception):
    """It cannot be done; the message is one sentence for the one who asked, and nothing was changed."""


def shown(name: bytes) -> str:
    """Return a name for people; what is no UTF-8 is replaced."""
    return name.decode("utf-8", "replace")


def parts_of(path: str) -> list[bytes]:
    """Return the names of a path below a disk's top folder.

    Raises:
        RefusedError: the path is absolute, empty, or leads out.
    """
    names = [os.fsencode(name) for name in path.split("/") if name not in ("", ".")]
    if path.startswith("/") or not names or b".." in names or "\0" in path:
        raise RefusedError(f"'{path}' is no path inside the home folder.")
    return names


def below(top: int, names: Sequence[bytes], where: str, make: bool = False) -> int:
    """Open the folder that the names lead to from the open folder ``top``; the caller closes it.

    Args:
        top: descriptor of a folder.
        names: one folder after the other.
        where: what a message calls the disk, such as ``the snapshot``.
        make: create the folders that are missing.

    Raises:
        RefusedError: a name is missing, a link, or no folder.
    """
    with ExitStack() as opened:
        # Opened anew: a copy of the descriptor would share its place in the list of names with whoever lists it too.
        here = os.open(".", FOLDER, dir_fd=top)
        for index, name in enumerate(names):
            opened.callback(os.close, here)
            if make:
                _make(here, name)
            try:
                here = os.open(name, FOLDER, dir_fd=here)
            except OSError as error:
                raise RefusedError(_why_not(here, names[: index + 1], where)) from error
        return here


def _make(folder: int, name: bytes) -> None:
    try:
        os.mkdir(name, 0o755, dir_fd=folder)
    except FileExistsError:
        return


def _why_not(folder: int, names: Sequence[bytes], where: str) -> str:
    """Return the sentence that says why the last name is no folder to go into."""
    path = shown(b"/".join(names))
    try:
        mode = os.lstat(names[-1], dir_fd=folder).st_mode
    except OSError:
        return missing(folder, names, where)
    if stat.S_ISLNK(mode):
        return f"'{path}' is a link in {where}; name the place that it leads to, or remove it."
    if stat.S_ISDIR(mode):
        return f"The folder '{path}' of {where} cannot be opened."
    return f"'{path}' is no folder in {where}."


def missing(folder: int, names: Sequence[bytes], where: str) -> str:
    """Return the sentence that says that the last name is not in the open folder, with names near it."""
    path = shown(b"/".join(names))
    try:
        known = sorted(shown(name) for name in map(os.fsencode, os.listdir(folder)))
    except OSError:
        known = []
    near = difflib.get_close_matches(shown(names[-1]), known, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(near)}?" if near else "look at its folder's names in a side disk."
    return f"'{path}' is not in {where}; {hint}"
