"""Who may be the hub: what a candidate does about the Lease, from what it has seen of it. No input, no output.

The rules are those of Kubernetes' own leader election. Clocks of two machines are never compared: a candidate measures
on its own clock for how long the Lease has not changed. The holder counts from before it asks, the others from after
they have heard, so that the holder gives up first, however long a message takes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum, auto


@dataclass(frozen=True)
class Times:
    """Seconds.

    duration: a Lease that has not changed for so long is anybody's.
    deadline: a holder that could not renew for so long holds no more; well below duration, for clocks that differ.
    retry: pause between two looks or renewals.
    """

    duration: int = 6
    deadline: float = 4
    retry: float = 1

    @classmethod
    def of(cls, duration: int) -> Times:
        """Return the times that go with a duration, in proportion."""
        return cls(duration, duration * 2 / 3, duration / 6)


@dataclass(frozen=True)
class Record:
    """A Lease as the API server has it. version: another one after each change; holder: empty if it was released."""

    version: str
    holder: str
    duration: float


class Step(Enum):
    """What to do next."""

    WAIT = auto()
    """Another one holds it: look again later."""
    WRITE = auto()
    """Take or renew it, on the condition that it is still as seen."""
    GIVE_UP = auto()
    """It was ours and is not any more."""


class Candidate:
    """What one process knows about the Lease.

    me: the pod. A pod runs one hub at a time, so a Lease that names it was left by a process that has ended.
    strict: give up when the deadline is missed; else stay, without being allowed anything, until the Lease can be
    renewed or turns out to be another's.
    """

    def __init__(self, me: str, times: Times, strict: bool) -> None:
        self.me = me
        self.times = times
        self.strict = strict
        self.record: Record | None = None
        self.holding = False
        self.until = -math.inf
        self._since = -math.inf

    def saw(self, record: Record | None, moment: float) -> None:
        """Note what the API server answered (None: no Lease) and when the answer was there."""
        if record != self.record:
            self.record, self._since = record, moment

    def wrote(self, record: Record, asked: float) -> None:
        """Note that the Lease was written, and when that was asked for."""
        self.saw(record, asked)
        self.holding = True
        self.until = asked + self.times.deadline

    def plan(self, moment: float) -> Step:
        """Return what to do now."""
        if not self.holding:
            return Step.WAIT if moment < self._free_at() else Step.WRITE
        taken = self.record is not None and self.record.holder != self.me
        if taken or (self.strict and moment >= self.until):
            return Step.GIVE_UP
        return Step.WRITE

    def pause(self, moment: float) -> float:
        """Return the seconds until the next look: at most retry, less when something is to happen earlier."""
        end = self._free_at()
        if self.holding:
            end = self.until if self.strict else math.inf
        left = end - moment
        return min(self.times.retry, left) if left > 0 else self.times.retry

    def _free_at(self) -> float:
        if self.record is None or self.record.holder in ("", self.me):
            return -math.inf
        return self._since + self.record.duration
