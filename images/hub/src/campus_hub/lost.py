"""A replica of the proxy that is lost without a word, as when its node is.

Kubernetes takes the better part of a minute to notice, and sends people there all the while. Deleting the replica's pod
takes it out of every Service at once; the Deployment makes another one elsewhere.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter as Counts
from collections.abc import Awaitable, Callable, Mapping

import aiohttp
from prometheus_client import Counter

from campus_hub.replicas import Replicas
from campus_hub.store import StoreError

EVERY = 1.0
"""Seconds between two looks."""
ANSWER = 2.0
"""Seconds that a replica has for an answer."""
LOOKS = 3
"""How many looks in a row a replica has to miss."""
PAUSE = 60.0
"""Seconds from one deletion to the next: what takes one replica along after the other is not cured by that."""

DELETED = Counter("campus_hub_lost_replicas_total", "Pods of proxy replicas that were deleted since nothing came back")

Delete = Callable[[str], Awaitable[None]]


class LostReplicas:
    """Looks at the replicas every second, and deletes the pod of one that is lost while another one answers.

    delete: deletes the pod of that name; may raise StoreError.
    """

    def __init__(self, replicas: Replicas, delete: Delete, log: logging.Logger) -> None:
        self._replicas = replicas
        self._delete = delete
        self._log = log
        self._missed: Counts[str] = Counts()
        self._not_before = 0.0

    async def watch(self) -> None:
        """Look for ever."""
        await self._replicas.reflector.loaded()
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=ANSWER)) as session:
            while True:
                await self._look(session)
                await asyncio.sleep(EVERY)

    async def _look(self, session: aiohttp.ClientSession) -> None:
        urls = self._replicas.taking_new()
        answers = await asyncio.gather(*(answers_at_all(session, url) for url in urls.values()))
        # Meanwhile one may have been taken out by somebody else.
        still = self._replicas.taking_new().keys()
        lost = self._take_note({name: answer for name, answer in zip(urls, answers, strict=True) if name in still})
        now = asyncio.get_running_loop().time()
        if lost and now >= self._not_before:
            self._not_before = now + PAUSE
            self._log.error(
                "Replica %s does not answer, others do: deleting its pod, so that nobody is sent there", lost
            )
            try:
                await self._delete(lost)
                DELETED.inc()
            except StoreError as error:
                self._log.error("Pod %s could not be deleted: %s", lost, error)

    def _take_note(self, answered: Mapping[str, bool]) -> str:
        """Return the name of a replica that is lost; empty when none is, or all are: then this hub may be."""
        if not any(answered.values()):
            self._missed.clear()
            return ""
        self._missed = Counts({name: self._missed[name] + 1 for name, answer in answered.items() if not answer})
        return min((name for name, count in self._missed.items() if count >= LOOKS), default="")


async def answers_at_all(session: aiohttp.ClientSession, url: str) -> bool:
    """Say whether anything comes back. A refusal does: its node is there, and the kubelet looks after the rest."""
    try:
        async with session.get(f"{url}/live"):
            return True
    except TimeoutError:
        return False
    except aiohttp.ClientConnectorError as error:
        return isinstance(error.os_error, ConnectionRefusedError)
    except (aiohttp.ClientError, OSError):
        return True
