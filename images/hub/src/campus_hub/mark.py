"""Keep the Service's label on the hub that serves, and on no other."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Protocol

from campus_hub.fence import Fence
from campus_hub.kube import KubeError

log = logging.getLogger(__name__)

# Seconds between two looks while all is well, and after a failure.
CALM = 10.0
AGAIN = 1.0


class Pods(Protocol):
    """The hub's pods at the API server."""

    async def marked(self) -> set[str]:
        """Return the names of the pods that carry the label. Raises KubeError."""

    async def mark(self, pod: str, active: bool) -> None:
        """Set the label on a pod or take it away. Raises KubeError."""


async def clear(pods: Pods, me: str) -> None:
    """Take the label from this pod, however long it takes: an earlier run may have left it there."""
    while True:
        try:
            return await pods.mark(me, False)
        except KubeError as error:
            log.warning("Cannot take the label from this pod: %s", error)
        await asyncio.sleep(AGAIN)


async def keep(pods: Pods, me: str, fence: Fence, serving: Callable[[], Awaitable[None]]) -> None:
    """Take the label from all others, wait until this hub serves, set it here, and look again for ever.

    A holder that was cut off could not take the label away itself, and its pod still carries it.
    """
    while True:
        pause = CALM
        try:
            await _settle(pods, me, fence, serving)
        except KubeError as error:
            log.warning("Cannot set the label of the hub that serves: %s", error)
            pause = AGAIN
        await asyncio.sleep(pause)


async def _settle(pods: Pods, me: str, fence: Fence, serving: Callable[[], Awaitable[None]]) -> None:
    marked = await pods.marked()
    for other in sorted(marked - {me}):
        log.warning("Taking the label from %s, which holds the Lease no more", other)
        await _mark(pods, other, False, fence)
    await serving()
    if me not in marked:
        await _mark(pods, me, True, fence)
        log.info("This hub serves")


async def _mark(pods: Pods, pod: str, active: bool, fence: Fence) -> None:
    if not fence.is_open():
        raise KubeError(0, "the Lease is not held")
    await pods.mark(pod, active)
