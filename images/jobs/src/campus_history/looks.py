"""Which student looks into which snapshot just now: one at a time each, and none for longer than it is used."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final, Protocol, TypeVar

from ansible_collections.campus.jupyterhub.plugins.module_utils._cluster import ClusterError
from ansible_collections.campus.jupyterhub.plugins.module_utils._disk_snapshots import Snapshot
from ansible_collections.campus.jupyterhub.plugins.module_utils._side_disk_run import RestoreError

log = logging.getLogger(__name__)
T = TypeVar("T")

PREPARING: Final = "preparing"
READY: Final = "ready"
FAILED: Final = "failed"
NO_ANSWER: Final = "The cluster did not answer. Try again in a minute; if it stays so, tell the staff of this hub."


MOST_EACH: Final = 3
"""How many looks of one student there may be, with those that are still being opened or removed."""


class BusyError(Exception):
    """It cannot be done just now; the message is for the student."""


class Disks(Protocol):
    """How a snapshot is made readable, in a thread."""

    def open(self, student: str, snapshot: Snapshot, name: str, token: str) -> str:
        """Make what is needed under this name and return the address of the reader."""

    def close(self, name: str) -> None:
        """Remove what was made under this name."""


@dataclass
class Look:
    """A student's look into a snapshot."""

    student: str
    snapshot: Snapshot
    name: str = field(default_factory=lambda: f"history-{secrets.token_hex(8)}")
    """Of the disk and the pod."""
    token: str = field(default_factory=lambda: secrets.token_urlsafe(32))
    state: str = PREPARING
    address: str = ""
    why: str = ""
    """Why it failed, for the student."""
    used: float = 0.0
    readers: int = 0
    """How many requests are being answered from it."""
    unwanted: bool = False
    task: asyncio.Task[None] | None = None


class Looks:
    """All looks, by student."""

    def __init__(self, disks: Disks, at_once: int, idle: float, now: Callable[[], float] = time.monotonic) -> None:
        """``at_once`` students may look at a time, each until ``idle`` seconds after the last request."""
        self._disks, self._at_once, self._idle, self.now = disks, at_once, idle, now
        self._looks: dict[str, Look] = {}
        self._all: dict[str, Look] = {}
        """By name, with those that are still being removed."""
        self._ending: set[asyncio.Task[None]] = set()

    @property
    def names(self) -> set[str]:
        """Names of the disks and pods that there may be."""
        return set(self._all)

    def look(self, student: str, snapshot: Snapshot) -> Look:
        """Return the student's look into this snapshot, begun if need be; one into another snapshot ends.

        A look that failed is returned once, and begun anew when it is asked for again.

        Raises:
            BusyError: too many look just now, or this student begins one after the other.
        """
        found = self._looks.get(student)
        if found and found.snapshot.name == snapshot.name:
            found.used = self.now()
            if found.state == FAILED:
                del self._looks[student]
            return found
        if sum(each.student == student for each in self._all.values()) >= MOST_EACH:
            raise BusyError("The snapshots that you looked into before are still being closed. Try again in a minute.")
        if found:
            self.end(found)
        if len(self._all) >= self._at_once:
            raise BusyError("Many students are looking into their snapshots just now. Try again in a few minutes.")
        begun = Look(student, snapshot, used=self.now())
        self._looks[student] = self._all[begun.name] = begun
        begun.task = asyncio.create_task(self._prepare(begun))
        return begun

    @contextlib.contextmanager
    def reading(self, look: Look) -> Iterator[None]:
        """Keep a look as long as the block lasts."""
        look.readers += 1
        try:
            yield
        finally:
            look.readers -= 1
            look.used = self.now()

    async def _prepare(self, look: Look) -> None:
        try:
            look.address = await asyncio.to_thread(self._disks.open, look.student, look.snapshot, look.name, look.token)
            look.state = READY
        except RestoreError as error:
            look.state, look.why = FAILED, str(error)
        except ClusterError as error:
            log.warning("A snapshot cannot be shown: %s", error)
        finally:
            if look.state == PREPARING:
                look.state, look.why = FAILED, NO_ANSWER
            if look.unwanted or look.state == FAILED:
                await self._remove(look)

    async def _remove(self, look: Look) -> None:
        try:
            await asyncio.to_thread(self._disks.close, look.name)
        except (RestoreError, ClusterError) as error:
            # The next sweep does it.
            log.warning("%s", error)
        finally:
            self._all.pop(look.name, None)

    def end(self, look: Look) -> None:
        """End a look; what was made for it is removed in the background."""
        look.unwanted = True
        if self._looks.get(look.student) is look:
            del self._looks[look.student]
        if look.state == READY:
            task = asyncio.create_task(self._remove(look))
            self._ending.add(task)
            task.add_done_callback(self._ending.discard)

    def end_idle(self) -> None:
        """End the looks that nobody used for a while."""
        for look in list(self._looks.values()):
            if not look.readers and self.now() - look.used > self._idle:
                self.end(look)

    async def end_all(self) -> None:
        """End all looks and wait until what was made for them is gone."""
        preparing = [look.task for look in self._all.values() if look.task and not look.task.done()]
        for look in list(self._looks.values()):
            self.end(look)
        await asyncio.gather(*preparing, *self._ending)
