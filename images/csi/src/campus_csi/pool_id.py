"""Whether a pool is the one that has this node's disks.

The file system that a pool lies on may not be mounted when the node has started anew. Were its empty folder taken for
the pool, all disks would appear deleted, and new ones vanish when the file system is mounted. So a pool has an id, at
random, and a copy of it lies outside the pool.
"""

from __future__ import annotations

import errno
import logging
import uuid
from pathlib import Path

from . import files
from .errors import FailedPrecondition

NAME = "pool-id"
_log = logging.getLogger(__name__)


def require(root: Path, copy: Path) -> None:
    """Check that the pool with that folder has the id in the file `copy`, if there is one; nothing is changed.

    Raises:
        FailedPrecondition: it has none, or another.
        OSError: an id cannot be read.
    """
    wanted, found = _read(copy), _read(root / NAME)
    if wanted and found != wanted:
        what = "its id is another than the one" if found else "it has not the id"
        raise FailedPrecondition(
            f"the pool {root} is not the one that has this node's disks: {what} in {copy}; mount the file system that"
            f" the pool lies on, or remove {copy} if the pool is new on purpose"
        )


def write(root: Path, copy: Path) -> None:
    """Give a pool an id if it has none, and write down its copy; where there is no room, the next start tries again.

    Raises:
        OSError: an id cannot be read or written.
    """
    try:
        identity = _read(root / NAME)
        if not identity:
            identity = uuid.uuid4().hex
            files.write(root / NAME, f"{identity}\n")
        # The copy comes last: a crash in between must not leave it with a pool that has no id.
        if _read(copy) != identity:
            copy.parent.mkdir(parents=True, exist_ok=True)
            files.write(copy, f"{identity}\n")
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        _log.warning(
            "no room to write down the id of the pool %s, by which it is told from an empty folder: %s", root, error
        )


def _read(path: Path) -> str:
    """Return the id in a file; empty: there is none."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except FileNotFoundError:
        return ""
