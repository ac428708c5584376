"""Simulated students: they start and stop servers over the hub's REST API, and ask them through the proxy."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import aiohttp
from ansible_collections.campus.jupyterhub.benchmarks.scale.farm import STUDENT

READY_SECONDS = 300.0
"""A student who waited so long has failed."""
TRIES = 20
BUSY = frozenset({429, 502, 503, 504})
RETRY_SECONDS = 3.0
"""A browser opens a broken stream of events again after about that time."""
CREATE_AT_ONCE = 250
STOPS_AT_ONCE = 100

T = TypeVar("T")


def names(first: int, count: int) -> list[str]:
    """Names of students by number."""
    return [f"student-{number}" for number in range(first, first + count)]


@dataclass
class Started:
    """What came of a wave of starts.

    Attributes:
        seconds: until the hub said ready, from the student's first click, for each student whose server started.
        told_to_wait: answers that the hub has too much to do or is not to be reached; the student tried again.
        not_served: servers that the hub called ready but that did not answer through the proxy at once.
        failures: why the others did not start.
        wall: seconds of the whole wave.
    """

    seconds: dict[str, float] = field(default_factory=dict)
    told_to_wait: int = 0
    not_served: int = 0
    failures: list[str] = field(default_factory=list)
    wall: float = 0.0


class Hub:
    """The hub's REST API behind the proxy, with one connection pool. token: of a service that may do all of it."""

    def __init__(self, url: str, token: str) -> None:
        self.url = url
        connector = aiohttp.TCPConnector(limit=0)
        timeout = aiohttp.ClientTimeout(total=READY_SECONDS)
        self._session = aiohttp.ClientSession(connector=connector, timeout=timeout)
        self._token = {"Authorization": f"token {token}"}

    async def __aenter__(self) -> Hub:
        return self

    async def __aexit__(self, *_unused: object) -> None:
        await self._session.close()

    def _ask(self, method: str, path: str, **options: Any) -> Any:
        return self._session.request(method, f"{self.url}/hub/{path}", headers=self._token, **options)

    async def create(self, students: list[str]) -> None:
        """Make accounts, as far as they are not there. Raises aiohttp.ClientError."""
        for first in range(0, len(students), CREATE_AT_ONCE):
            some = students[first : first + CREATE_AT_ONCE]
            async with self._ask("POST", "api/users", json={"usernames": some}) as answer:
                if answer.status != 409:
                    answer.raise_for_status()

    async def start_all(self, students: list[str]) -> Started:
        """All click at the same moment and wait until their servers are ready."""
        wave, begun = Started(), time.monotonic()
        await asyncio.gather(*(self._start(student, wave) for student in students))
        wave.wall = time.monotonic() - begun
        return wave

    async def _start(self, student: str, wave: Started) -> None:
        begun = time.monotonic()
        try:
            async with asyncio.timeout(READY_SECONDS):
                await self._request(student, wave)
                await self._wait_until_ready(student)
            wave.seconds[student] = time.monotonic() - begun
            wave.not_served += not await self.served(student)
        except (aiohttp.ClientError, OSError, TimeoutError, RuntimeError) as error:
            wave.failures.append(f"{type(error).__name__}: {error}"[:200])

    async def _request(self, student: str, wave: Started) -> None:
        """Ask for a server, again when the hub says that it is busy or is not to be reached. Raises RuntimeError."""
        for _unused in range(TRIES):
            async with self._ask("POST", f"api/users/{student}/server", json={}) as answer:
                if answer.status in (201, 202):
                    return
                if answer.status not in BUSY:
                    raise RuntimeError(f"{answer.status} {(await answer.text())[:150]}")
                wave.told_to_wait += 1
                pause = float(answer.headers.get("Retry-After", RETRY_SECONDS))
            await asyncio.sleep(pause)
        raise RuntimeError("told to wait too often")

    async def _wait_until_ready(self, student: str) -> None:
        """Follow the progress, as the page does that a student sees meanwhile. Raises RuntimeError."""
        while not await self._progress(student):
            await asyncio.sleep(RETRY_SECONDS)

    async def _progress(self, student: str) -> bool:
        """Follow the progress until the server is ready; false when the hub cannot be reached. Raises RuntimeError."""
        async with self._ask("GET", f"api/users/{student}/server/progress") as answer:
            if answer.status in BUSY:
                return False
            answer.raise_for_status()
            async for line in answer.content:
                if not line.startswith(b"data:"):
                    continue
                event = json.loads(line.partition(b":")[2])
                if event.get("ready"):
                    return True
                if event.get("failed"):
                    raise RuntimeError(event.get("message", "failed"))
        return False

    async def served(self, student: str) -> bool:
        """Say whether the student's own server answers through the proxy. Never raises."""
        return not await self.refusal(student)

    async def refusal(self, student: str) -> str:
        """Ask the student's own server through the proxy; return what came instead of its answer, empty if it came."""
        try:
            async with self._session.get(f"{self.url}/user/{student}/api", allow_redirects=False) as answer:
                right = answer.status == 200 and answer.headers.get(STUDENT) == student
                return "" if right else f"{answer.status} from {answer.headers.get(STUDENT, 'somebody else')}"
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            return f"{type(error).__name__}: {error}"

    async def answers(self, student: str) -> bool:
        """Say whether the hub answers a question about a student. Never raises."""
        return bool(await self._about(student))

    async def knows(self, student: str) -> bool:
        """Say whether the hub answers and has the student's server as ready. Never raises."""
        return bool((await self._about(student)).get("servers", {}).get("", {}).get("ready"))

    async def _about(self, student: str) -> dict[str, Any]:
        """What the hub says about a student, nothing when it does not answer within two seconds."""
        try:
            async with self._ask("GET", f"api/users/{student}", timeout=aiohttp.ClientTimeout(total=2)) as answer:
                return dict(await answer.json()) if answer.status == 200 else {}
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError):
            return {}

    async def ready_servers(self) -> int:
        """Count the servers that the hub has as ready. Raises aiohttp.ClientError."""
        count, offset = 0, 0
        while True:
            query = {"state": "ready", "limit": "200", "offset": str(offset)}
            page_type = {"Accept": "application/jupyterhub-pagination+json"}
            async with self._session.get(
                f"{self.url}/hub/api/users", params=query, headers={**self._token, **page_type}
            ) as answer:
                answer.raise_for_status()
                page = await answer.json()
            count += len(page["items"])
            if not page["_pagination"]["next"]:
                return count
            offset = page["_pagination"]["next"]["offset"]

    async def metrics(self) -> str:
        """The hub's metrics, in Prometheus' text format. Raises aiohttp.ClientError."""
        async with self._ask("GET", "metrics") as answer:
            answer.raise_for_status()
            return str(await answer.text())

    async def stop_all(self, students: Iterable[str]) -> list[str]:
        """Ask for the end of every server, some at a time; return what went wrong."""
        return [wrong for wrong in await some_at_a_time(STOPS_AT_ONCE, self._stop, students) if wrong]

    async def _stop(self, student: str) -> str:
        try:
            async with self._ask("DELETE", f"api/users/{student}/server") as answer:
                return "" if answer.status in (202, 204) else f"{answer.status} {(await answer.text())[:150]}"
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            return f"{type(error).__name__}: {error}"


async def some_at_a_time(most: int, act: Callable[[str], Awaitable[T]], students: Iterable[str]) -> list[T]:
    """Do something for each student, for at most so many at the same time."""
    places = asyncio.Semaphore(most)

    async def one(student: str) -> T:
        async with places:
            return await act(student)

    return list(await asyncio.gather(*(one(student) for student in students)))
