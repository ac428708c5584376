"""Take the Lease, renew it, and know at once when it is lost."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Protocol

from campus_hub.fence import Clock, Fence
from campus_hub.kube import KubeError
from campus_hub.lease import Candidate, Record, Step

log = logging.getLogger(__name__)

CONFLICT = 409
MISSING = 404


class Leases(Protocol):
    """The one Lease of the hub at the API server."""

    async def read(self) -> Record | None:
        """Return it, None if there is none. Raises KubeError."""

    async def write(self, seen: Record | None, holder: str, duration: int) -> Record:
        """Write it if it is still as seen. Raises KubeError, with status 404 or 409 when it is not."""


class Election:
    """One candidate at one Lease. attempt: seconds after which a call of the API server is given up."""

    def __init__(self, candidate: Candidate, leases: Leases, fence: Fence, clock: Clock, attempt: float = 2) -> None:
        self.candidate = candidate
        self._leases = leases
        self._fence = fence
        self._clock = clock
        self._attempt = attempt
        self._certain = False
        fence.close()

    async def run(self, won: Callable[[], None]) -> None:
        """Try to take the Lease, call won at each success, renew it, and return when it is lost."""
        while self.candidate.plan(self._clock()) is not Step.GIVE_UP:
            try:
                async with asyncio.timeout(self._bound()):
                    await self._turn()
            except (KubeError, TimeoutError) as error:
                log.warning("The Lease could not be %s: %s", self._doing(), str(error) or "no answer in time")
            else:
                if self.candidate.holding:
                    won()
            if self.candidate.plan(self._clock()) is not Step.GIVE_UP:
                await asyncio.sleep(self.candidate.pause(self._clock()))
        self._fence.close()

    async def release(self) -> None:
        """Give the Lease back, if it is ours, so that another takes it at once. Raises KubeError, TimeoutError."""
        self._fence.close()
        if not self.candidate.holding:
            return
        async with asyncio.timeout(self._attempt):
            if not self._certain:
                self.candidate.saw(await self._leases.read(), self._clock())
            seen = self.candidate.record
            if seen is not None and seen.holder == self.candidate.me:
                await self._leases.write(seen, "", 1)

    async def _turn(self) -> None:
        """Look at the Lease, unless it is known, and write it if that is the plan."""
        if not self._certain:
            self.candidate.saw(await self._leases.read(), self._clock())
        if self.candidate.plan(self._clock()) is not Step.WRITE:
            return
        self._certain = False
        asked = self._clock()
        try:
            record = await self._leases.write(self.candidate.record, self.candidate.me, self.candidate.times.duration)
        except KubeError as error:
            if error.status not in (MISSING, CONFLICT):
                raise
            self.candidate.saw(await self._leases.read(), self._clock())
            return
        self.candidate.wrote(record, asked)
        self._fence.open_until(self.candidate.until)
        self._certain = True

    def _bound(self) -> float:
        """Return the seconds for one turn: a strict holder does not wait beyond its deadline."""
        if self.candidate.holding and self.candidate.strict:
            return min(self._attempt, max(self.candidate.until - self._clock(), 0))
        return self._attempt

    def _doing(self) -> str:
        return "renewed" if self.candidate.holding else "taken"
