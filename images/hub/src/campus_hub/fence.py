"""Until when this process may change anything in the cluster: the one place that is asked before every change."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

Clock = Callable[[], float]


def now() -> float:
    """Seconds on this machine's own clock, which nobody sets and which also runs while the machine sleeps."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Fence:
    """Open until a moment on one clock. Without an election, as in a hub that is started alone, it is always open."""

    def __init__(self, clock: Clock = now) -> None:
        self._clock = clock
        self._until = math.inf

    def open_until(self, moment: float) -> None:
        """Allow changes before that moment of the clock."""
        self._until = moment

    def close(self) -> None:
        """Allow no change from now on."""
        self._until = -math.inf

    def is_open(self) -> bool:
        """Say whether a change may be made now."""
        return self._clock() < self._until


FENCE = Fence()
