"""Students who work: their requests go through the proxy all the time, whatever happens to the hub."""

from __future__ import annotations

import asyncio
import random
import time

from ansible_collections.campus.jupyterhub.benchmarks.scale.students import Hub

PAUSE = 0.02
"""Seconds between two requests, so 50 a second."""


class Working:
    """An asynchronous context: requests of random students while it is open; their count and what went wrong after."""

    def __init__(self, hub: Hub, students: list[str], seed: int) -> None:
        self._hub = hub
        self._students = students
        self._random = random.Random(seed)
        self._asked: list[asyncio.Task[str]] = []
        self._task: asyncio.Task[None] | None = None
        self.requests = 0
        self.refusals: list[str] = []

    async def __aenter__(self) -> Working:
        self._task = asyncio.create_task(self._work())
        return self

    async def __aexit__(self, *_unused: object) -> None:
        if self._task is not None:
            self._task.cancel()
        answers = await asyncio.gather(*self._asked)
        self.requests, self.refusals = len(answers), [answer for answer in answers if answer]

    async def _work(self) -> None:
        due = time.monotonic()
        while True:
            self._asked.append(asyncio.create_task(self._hub.refusal(self._random.choice(self._students))))
            due += PAUSE
            await asyncio.sleep(max(0.0, due - time.monotonic()))
