"""List and watch of the Kubernetes API, for reading only.

The service account's token and the API server's certificate authority are read again for every request, since both are
renewed on disk. An API server that cannot be reached changes nothing: the last state stays until a list succeeds.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import random
import socket
import ssl
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import aiohttp

from campus_proxy.routes import version_of
from campus_proxy.settings import SERVICE_ACCOUNT

log = logging.getLogger(__name__)

PAGE_SIZE = 500
MAX_LINE = 8 * 1024 * 1024
"""Longest watch event, in bytes; the API server itself stores nothing longer than about 1.5 MB."""

Object = Mapping[str, Any]


class ApiError(Exception):
    """The API server answered something else than was asked for."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(f"{status} {reason}")
        self.status = status


class Expired(ApiError):
    """The resource version is too old; only a new list helps."""

    def __init__(self) -> None:
        super().__init__(410, "the watch is too far behind")


@dataclass(frozen=True)
class Page:
    """A part of a list, and the list's resource version."""

    items: list[Object]
    version: str


def _socket(info: Any) -> socket.socket:
    """A socket that notices within half a minute that its peer is gone without a word."""
    sock = socket.socket(info[0], info[1], info[2])
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 10)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 5)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 25_000)
    return sock


@dataclass
class Api:
    """One API server. `ca` and `token` are files; a missing token sends none."""

    url: str
    token: Path = SERVICE_ACCOUNT / "token"
    ca: Path = SERVICE_ACCOUNT / "ca.crt"
    watch_seconds: float = 240.0
    silence_seconds: float = 100.0
    answer_seconds: float = 20.0
    _session: aiohttp.ClientSession | None = None
    _context: tuple[float, ssl.SSLContext] | None = None

    @classmethod
    def in_cluster(cls) -> Api:
        """The API server of the pod's own cluster, by address: no name needs to be resolved."""
        host, port = os.environ["KUBERNETES_SERVICE_HOST"], os.environ.get("KUBERNETES_SERVICE_PORT", "443")
        return cls(f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}")

    async def close(self) -> None:
        """Close the connections."""
        if self._session:
            await self._session.close()

    def _tls(self) -> ssl.SSLContext | bool:
        if not self.url.startswith("https:"):
            return True
        changed = self.ca.stat().st_mtime
        if not self._context or self._context[0] != changed:
            self._context = (changed, ssl.create_default_context(cafile=str(self.ca)))
        return self._context[1]

    def _headers(self) -> dict[str, str]:
        try:
            return {"Authorization": f"Bearer {self.token.read_text().strip()}"}
        except FileNotFoundError:
            return {}

    def _get(self, path: str, query: Mapping[str, str], timeout: aiohttp.ClientTimeout) -> Any:
        if self._session is None:
            self._session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(socket_factory=_socket))
        return self._session.get(
            self.url + path,
            params=query,
            headers=self._headers(),
            ssl=self._tls(),
            timeout=timeout,
            allow_redirects=False,
        )

    async def pages(self, path: str, selector: str) -> AsyncIterator[Page]:
        """The objects of a collection, page by page."""
        query = {"labelSelector": selector, "limit": str(PAGE_SIZE)}
        timeout = aiohttp.ClientTimeout(total=self.answer_seconds)
        while True:
            async with self._get(path, query, timeout) as response:
                if response.status == 410:
                    raise Expired
                if response.status != 200:
                    raise ApiError(response.status, (await response.text())[:300])
                body = await response.json(content_type=None)
            if not isinstance(body, dict) or not isinstance(body.get("metadata"), dict):
                raise ApiError(200, "the answer is not a list")
            items: list[Object] = [item for item in body.get("items") or [] if isinstance(item, dict)]
            yield Page(items, str(body["metadata"].get("resourceVersion") or ""))
            query["continue"] = str(body["metadata"].get("continue") or "")
            if not query["continue"]:
                return

    async def events(self, path: str, selector: str, version: str) -> AsyncIterator[tuple[str, Object]]:
        """Watch events after `version`, until the API server ends the watch."""
        seconds = self.watch_seconds * random.uniform(0.8, 1.2)
        query = {
            "labelSelector": selector,
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": version,
            "timeoutSeconds": str(max(1, int(seconds))),
        }
        timeout = aiohttp.ClientTimeout(
            total=seconds + 30, sock_connect=self.answer_seconds, sock_read=self.silence_seconds
        )
        # The headers of a watch come at once; only its events may be long in coming.
        async with asyncio.timeout(self.answer_seconds):
            response = await self._get(path, query, timeout)
        async with response:
            if response.status == 410:
                raise Expired
            if response.status != 200:
                raise ApiError(response.status, (await response.text())[:300])
            async for line in lines(response.content.iter_any()):
                event = json.loads(line)
                kind, obj = event.get("type"), event.get("object")
                if kind == "ERROR":
                    code = obj.get("code") if isinstance(obj, dict) else None
                    raise Expired if code == 410 else ApiError(int(code or 0), str(obj)[:300])
                if isinstance(obj, dict):
                    yield str(kind), obj


async def lines(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Whole lines of a stream; one longer than MAX_LINE raises ApiError."""
    rest = bytearray()
    async for chunk in chunks:
        rest += chunk
        *whole, last = rest.split(b"\n") if b"\n" in chunk else [rest]
        rest = bytearray(last)
        if len(rest) > MAX_LINE:
            raise ApiError(200, "an event is too long")
        for line in whole:
            if line.strip():
                yield bytes(line)


class Sink(Protocol):
    """Where the objects of one collection go."""

    def replace(self, items: Iterable[Object]) -> None:
        """Take a whole list."""

    def put(self, obj: Object) -> None:
        """Take an object that is new or has changed."""

    def drop(self, obj: Object) -> None:
        """Take note that an object is gone."""


@dataclass
class Reflector:
    """Keeps a sink equal to a collection of the API, for ever; `changed` is called after each change."""

    api: Api
    path: str
    selector: str
    sink: Sink
    changed: Callable[[], None]
    trim: Callable[[Object], Object] = lambda obj: obj
    longest_pause: float = 3.0
    synced: asyncio.Event = field(default_factory=asyncio.Event)
    errors: int = 0
    events: int = 0
    lists: int = 0
    version: str = ""
    last_contact: float = 0.0
    """Monotonic time, in seconds, at which the API server was last heard."""

    async def run(self) -> None:
        """List, watch, and begin again after every failure, with a pause that grows and is capped."""
        pause = 0.1
        while True:
            began = time.monotonic()
            try:
                if not self.version:
                    await self._list()
                await self._watch()
            except Expired:
                self.version = ""
                log.info("%s: the watch fell behind, listing again", self.path)
            except (aiohttp.ClientError, OSError, TimeoutError, ApiError, ValueError) as error:
                log.warning("%s: %s: %s; what is known stays", self.path, type(error).__name__, error)
                self.errors += 1
                # An API server that answers, but not with events, may have been set back to another state.
                if isinstance(error, ApiError | ValueError):
                    self.version = ""
            if time.monotonic() - began > self.longest_pause:
                pause = 0.1
            await asyncio.sleep(pause * random.uniform(0.8, 1.2))
            pause = min(pause * 2, self.longest_pause)

    async def _list(self) -> None:
        items: list[Object] = []
        version = ""
        async for page in self.api.pages(self.path, self.selector):
            items.extend(self.trim(item) for item in page.items)
            version = page.version
        self.sink.replace(items)
        self.lists += 1
        self.version = version
        self.last_contact = time.monotonic()
        self.synced.set()
        self.changed()

    async def _watch(self) -> None:
        async for kind, obj in self.api.events(self.path, self.selector, self.version):
            self.last_contact = time.monotonic()
            self.events += 1
            self.version = version_of(obj).resource_version or self.version
            if kind in {"ADDED", "MODIFIED"}:
                self.sink.put(obj)
            elif kind == "DELETED":
                self.sink.drop(obj)
            else:
                continue
            self.changed()
