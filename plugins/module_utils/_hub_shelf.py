# Copyright: campus.jupyterhub contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The folder of archives: who may work in it, how a new archive gets there whole, and which old ones go.

Private to the collection: it may change in any release.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from ansible_collections.campus.jupyterhub.plugins.module_utils._hub_archive import (
    ArchiveError,
    archive_name,
    is_archive,
    made_of,
    pack,
    reason_of,
    verify,
)
from ansible_collections.campus.jupyterhub.plugins.module_utils._retention import Point, Policy, decide
from ansible_collections.campus.jupyterhub.plugins.module_utils._snapshot_remove import Clock

LOCK: Final = ".hub-backup.lock"
PARTIAL: Final = ".hub-backup.partial"
"""Folder of the members of an archive that is being made; what a killed run left there goes with the next one."""
_WHOLE: Final = "whole.tar.gz"
# Less than the deadline of the job that waits, which could not say why it failed.
_PATIENCE: Final = 120.0
SPARED: Final = timedelta(days=30)
"""Age below which an archive stays that was made before an upgrade or a restore: nothing else has what the hub knew."""
_BEFORE_A_CHANGE: Final = frozenset({"upgrade", "restore"})


@contextmanager
def locked(folder: Path, clock: Clock, seconds: float = _PATIENCE) -> Iterator[None]:
    """Be the only one who works in the folder; the lock of a process that was killed is free.

    Raises:
        ArchiveError: another one works there for longer than ``seconds``, or the folder cannot be written to.
    """
    with _explained(folder), (folder / LOCK).open("w") as file:
        end = clock.now() + seconds
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if clock.now() >= end:
                    raise ArchiveError(
                        f"Another backup has been at work in {folder} for {seconds:.0f} s; look at its log, "
                        "or run again later."
                    ) from None
                clock.sleep(1)
        yield


@contextmanager
def workplace(folder: Path) -> Iterator[Path]:
    """Have an empty folder for the members, on the same disk; it is gone afterwards, whatever happens."""
    place = folder / PARTIAL
    with _explained(folder):
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(mode=0o700)
        try:
            yield place
        finally:
            shutil.rmtree(place, ignore_errors=True)


def free_name(folder: Path, now: datetime, reason: str) -> tuple[str, datetime]:
    """Return a name that no archive has, and the time that it says: one of the same second is made a second later."""
    while (folder / archive_name(now, reason)).exists():
        now += timedelta(seconds=1)
    return archive_name(now, reason), now


def finish(place: Path, info: dict[str, object], target: Path) -> int:
    """Make the archive of what lies in the workplace, read it back, give it its name, and return its size in bytes.

    Raises:
        ArchiveError: it cannot be written, or does not read as it was written; nothing has its name.
    """
    whole = place / _WHOLE
    with _explained(target.parent):
        pack(place, info, whole)
        verify(whole)
        whole.rename(target)
        _settle(target.parent)
        return target.stat().st_size


def archives(folder: Path) -> list[str]:
    """Return the names of the archives in a folder, oldest first; whatever else lies there is not looked at twice."""
    with _explained(folder):
        return sorted(
            (path.name for path in folder.iterdir() if is_archive(path)), key=lambda name: (_made(name), name)
        )


def outdated(names: list[str], policy: Policy | None, now: datetime) -> list[str]:
    """Return which archives no rule keeps and none spares, oldest first; none of them without a policy.

    The newest always stays.
    """
    if policy is None:
        return []
    going = decide([Point(name, _made(name), good=True) for name in names], policy, now, 1).remove
    return [name for name in going if reason_of(name) not in _BEFORE_A_CHANGE or now - _made(name) >= SPARED]


def remove(folder: Path, names: list[str]) -> None:
    """Remove archives."""
    with _explained(folder):
        for name in names:
            (folder / name).unlink(missing_ok=True)


def _made(name: str) -> datetime:
    made = made_of(name)
    if made is None:
        raise ValueError(f"{name} is not the name of an archive.")
    return made


def _settle(folder: Path) -> None:
    """Let the new name outlast a crash of the machine."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def _explained(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ArchiveError(f"Could not write the backup to {folder}: {_reason(error)}") from error


def _reason(error: OSError) -> str:
    hints: dict[type[OSError] | int, str] = {28: "no room is left. Make its disk larger, or keep fewer archives."}
    return hints.get(error.errno or 0, f"{(error.strerror or str(error)).lower()}. Check the folder and who owns it.")
