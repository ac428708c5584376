"""Waiting in tests: for what has to come, and for time that passes when the test says so."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest


async def eventually(true: Callable[[], object], bound: float = 30) -> None:
    """Wait until something holds. Raises TimeoutError after bound seconds."""
    async with asyncio.timeout(bound):
        while not true():
            await asyncio.sleep(0.02)


class LoopClock:
    """The running event loop's clock, which a test may put forward.

    Whatever waits for a moment that is over then goes on at once.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        loop = asyncio.get_running_loop()
        self._real = loop.time
        self._ahead = 0.0
        monkeypatch.setattr(loop, "time", self.time)

    def time(self) -> float:
        """Return the time of the loop in seconds."""
        return self._real() + self._ahead

    def forward(self, seconds: float) -> None:
        """Let so many seconds be over."""
        self._ahead += seconds
