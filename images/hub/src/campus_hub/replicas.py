"""The replicas of the proxy, and waiting until each of them has a route."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import aiohttp
from prometheus_client import Counter

from campus_hub.reflectors import SliceReflector
from campus_hub.routes import Manifest

WITHDRAWAL_SECONDS = 10.0
"""Longest wait for a replica that is behind to be no longer Ready."""

SILENT = Counter(
    "campus_hub_silent_replicas_total", "Times a proxy replica did not acknowledge a route in time", ["replica"]
)


def serving(slices: list[Manifest], port_name: str, *, with_draining: bool = True) -> dict[str, str]:
    """Return name → base URL of each replica that may receive requests: Ready, or terminating and serving.

    with_draining: whether to count those that nobody new is sent to.
    """
    found: dict[str, str] = {}
    for item in slices:
        port = next((port["port"] for port in item.get("ports") or [] if port.get("name") == port_name), None)
        if port is None:
            continue
        for endpoint in item.get("endpoints") or []:
            conditions = endpoint.get("conditions") or {}
            # An absent condition means true for ready and serving, false for terminating.
            ready = conditions.get("ready") is not False
            draining = (
                with_draining and conditions.get("terminating") is True and conditions.get("serving") is not False
            )
            if not (ready or draining) or not endpoint.get("addresses"):
                continue
            address = endpoint["addresses"][0]
            host = f"[{address}]" if ":" in address else address
            name = (endpoint.get("targetRef") or {}).get("name") or address
            found.setdefault(name, f"http://{host}:{port}")
    return found


class Replicas:
    """Knows the replicas from a watch of their Service's EndpointSlices."""

    def __init__(self, reflector: SliceReflector, port_name: str, log: logging.Logger) -> None:
        self.reflector = reflector
        self.port_name = port_name
        self.log = log
        self._session: aiohttp.ClientSession | None = None
        self._closer: asyncio.Task[None] | None = None

    def known(self) -> dict[str, str]:
        """Return name → base URL of the replicas that may receive requests now."""
        return serving(list(self.reflector.resources.values()), self.port_name)

    def taking_new(self) -> dict[str, str]:
        """Return name → base URL of the replicas that new connections are sent to."""
        return serving(list(self.reflector.resources.values()), self.port_name, with_draining=False)

    async def wait_until_applied(self, name: str, uid: str, resource_version: str, bound: float) -> list[str]:
        """Wait until every replica has exactly this version of a slice, at most bound seconds; return the silent ones.

        Never raises for a replica. One that goes away is no longer waited for, one that comes is. Where others have it,
        waits up to WITHDRAWAL_SECONDS more until nobody new is sent to the silent ones.
        """
        deadline = asyncio.get_running_loop().time() + bound
        try:
            await asyncio.wait_for(self.reflector.current(), bound)
        except TimeoutError:
            self.log.error("Cannot list the proxy's replicas; not waiting for them to learn %s", name)
            return []
        query = {"name": name, "uid": uid, "resourceVersion": resource_version}
        answered: dict[str, bool] = {}
        while todo := {replica: url for replica, url in self.known().items() if replica not in answered}:
            done = await asyncio.gather(*(self._ask(replica, query, deadline) for replica in todo))
            answered.update(zip(todo, done, strict=True))
        if not answered:
            self.log.warning("No replica of the proxy is ready; %s will be read when one comes up", name)
        silent = sorted(replica for replica, applied in answered.items() if not applied)
        if len(silent) < len(answered):
            await self._withdrawn(silent)
        for replica in silent:
            SILENT.labels(replica=replica).inc()
            self.log.error("Replica %s did not acknowledge %s within %.1f s; going on without it", replica, name, bound)
        return silent

    async def _withdrawn(self, silent: list[str]) -> None:
        """Wait, for a bounded time, until nobody new is sent to the replicas that are behind the others.

        They find that out among themselves; until then they would send the student of a new server to the hub.
        """
        deadline = asyncio.get_running_loop().time() + WITHDRAWAL_SECONDS
        while self.taking_new().keys() & set(silent) and asyncio.get_running_loop().time() < deadline:
            await asyncio.sleep(0.1)

    async def _ask(self, replica: str, query: dict[str, str], deadline: float) -> bool:
        """Ask one replica until it has the slice (true), it is gone (true), or the deadline has passed (false)."""
        loop = asyncio.get_running_loop()
        while (url := self.known().get(replica)) is not None:
            left = deadline - loop.time()
            if left <= 0:
                return False
            try:
                # A little longer than the replica is told to wait, so that its answer still arrives.
                timeout = aiohttp.ClientTimeout(total=left + 0.5)
                params = {**query, "timeout": f"{left:.3f}"}
                async with self._client().get(f"{url}/acknowledge", params=params, timeout=timeout) as response:
                    body: Any = await response.json(content_type=None)
                    if response.status == 200 and isinstance(body, dict) and body.get("applied") is True:
                        return True
            except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
                self.log.debug("Replica %s: %s", replica, error)
            await asyncio.sleep(min(0.1, max(deadline - loop.time(), 0)))
        return True

    def _client(self) -> aiohttp.ClientSession:
        """Return the session for the replicas: without a limit, since every start of a server waits on each replica."""
        if self._session is None or self._session.closed:
            self._session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))
            self._closer = asyncio.create_task(self._close_at_exit(self._session))
        return self._session

    @staticmethod
    async def _close_at_exit(session: aiohttp.ClientSession) -> None:
        """Close the session when the hub cancels its tasks at exit."""
        async with session:
            await asyncio.get_running_loop().create_future()
