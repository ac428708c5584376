"""What students are putting back just now, and how the last one went."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Protocol

from ansible_collections.campus.jupyterhub.plugins.module_utils._cluster import ClusterError
from ansible_collections.campus.jupyterhub.plugins.module_utils._disk_snapshots import Snapshot
from ansible_collections.campus.jupyterhub.plugins.module_utils._side_disk_run import RestoreError
from ansible_collections.campus.jupyterhub.plugins.module_utils._student_disks import SelectionError

from campus_history.looks import NO_ANSWER, BusyError

log = logging.getLogger(__name__)
Json = dict[str, Any]

RUNNING: Final = "running"
DONE: Final = "done"
FAILED: Final = "failed"


class Copies(Protocol):
    """How a path gets back, in a thread."""

    def put_back(self, student: str, snapshot: Snapshot, path: str, begun: Callable[[str], None]) -> Json:
        """Copy a path of a snapshot into the student's home."""


@dataclass
class PutBack:
    """One path that a student wanted back."""

    snapshot: Snapshot
    path: str
    state: str = RUNNING
    target: str = ""
    """Where it is now, from the home on."""
    files: int = 0
    why: str = ""
    """Why it failed, for the student."""
    run: str = ""
    """Name of what was made for it."""


class PutBacks:
    """The last one of each student."""

    def __init__(self, copies: Copies, at_once: int) -> None:
        """``at_once`` students may have something put back at a time."""
        self._copies, self._at_once = copies, at_once
        self._last: dict[str, PutBack] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def names(self) -> set[str]:
        """Names of the disks and pods that there may be."""
        return {each.run for each in [*self._last.values()] if each.state == RUNNING and each.run}

    def last(self, student: str) -> PutBack | None:
        """Return the student's last one, None if there was none since the page started."""
        return self._last.get(student)

    def begin(self, student: str, snapshot: Snapshot, path: str) -> None:
        """Put a path back in the background.

        Raises:
            BusyError: the student's last one goes on, or too many others do.
        """
        running = sum(1 for each in self._last.values() if each.state == RUNNING)
        last = self._last.get(student)
        if last and last.state == RUNNING:
            raise BusyError("What you wanted back before is still being copied. Wait until it is there.")
        if running >= self._at_once:
            raise BusyError("Much is being put back just now. Try again in a few minutes.")
        self._last[student] = begun = PutBack(snapshot, path)
        task = asyncio.create_task(self._run(student, begun))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self, student: str, begun: PutBack) -> None:
        def note(run: str) -> None:
            begun.run = run

        try:
            answer = await asyncio.to_thread(self._copies.put_back, student, begun.snapshot, begun.path, note)
            begun.target, begun.files, begun.state = str(answer["target"]), int(answer["files"]), DONE
        except (RestoreError, SelectionError) as error:
            begun.state, begun.why = FAILED, str(error)
        except ClusterError as error:
            log.warning("A path cannot be put back: %s", error)
        finally:
            if begun.state == RUNNING:
                begun.state, begun.why = FAILED, NO_ANSWER
