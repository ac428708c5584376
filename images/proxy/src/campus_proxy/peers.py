"""The other replicas: whether one of them has a route that this one waits for in vain."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import aiohttp

ANSWER_SECONDS = 2.0

Resolver = Callable[[str], Awaitable[list[str]]]


async def resolve(host: str) -> list[str]:
    """The addresses of a host name, as the pod's resolver gives them. Raises OSError."""
    infos = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return [str(info[4][0]) for info in infos]


@dataclass(frozen=True)
class Peers:
    """The replicas behind the headless Service `service`; `port` is their agents', `own` the address of this one."""

    service: str
    port: int
    own: str
    resolver: Resolver = resolve

    async def have(self, name: str, uid: str, resource_version: str) -> bool:
        """Whether another replica has this very version of a slice; one that does not answer has not."""
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                addresses = await self.resolver(self.service)
        except (OSError, TimeoutError):
            return False
        # Without a time to wait, they do not ask others in their turn.
        query = {"name": name, "uid": uid, "resourceVersion": resource_version, "timeout": "0"}
        timeout = aiohttp.ClientTimeout(total=ANSWER_SECONDS)
        async with aiohttp.ClientSession(timeout=timeout) as session:
            asked = [self._has(session, address, query) for address in set(addresses) - {self.own}]
            return any(await asyncio.gather(*asked))

    async def _has(self, session: aiohttp.ClientSession, address: str, query: dict[str, str]) -> bool:
        host = f"[{address}]" if ":" in address else address
        try:
            async with session.get(f"http://{host}:{self.port}/acknowledge", params=query) as answer:
                return answer.status == 200
        except (aiohttp.ClientError, OSError, TimeoutError):
            return False
