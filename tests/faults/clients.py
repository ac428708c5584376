"""The always-on clients: each student asks for one file twice a second and listens to one kernel, whatever happens.

All of them live in one thread of their own. Every second a student sends two requests: one over a new connection, so
that refused ones are seen, and one over a connection that is kept. A request on a kept connection that was closed
meanwhile is sent again once, as browsers do. A websocket that ends is opened again with the same session, so that the
student's server sends what was missed.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import aiohttp
from ansible_collections.campus.jupyterhub.plugins.module_utils._smoke_test_client import execute_request
from ansible_collections.campus.jupyterhub.tests.faults import records
from ansible_collections.campus.jupyterhub.tests.faults.records import ASKED_TO_LOG_IN, Kind, Record

EVERY_SECONDS = 1.0
REQUEST_SECONDS = 30.0
OPEN_SECONDS = 5.0
RETRY_SECONDS = 0.2
SILENT_SECONDS = 90.0
"""A websocket that brings nothing for so long is given up."""

SENTINEL = "sentinel.txt"
COUNT = """
import itertools, time
for n in itertools.count():
    print(n, flush=True)
    time.sleep(0.2)
"""
NUMBERS = re.compile(r"\d+")


def sentinel_of(student: str, nonce: str) -> str:
    """What a student's file holds: whose it is, and something that no other run wrote."""
    return f"the file of {student}\n{nonce}\n"


def digest_of(text: str) -> str:
    """SHA-256 of a file, in hex."""
    return hashlib.sha256(text.encode()).hexdigest()


def examined(record: dict[str, Any], status: int, body: str, expected: str) -> Record:
    """Judge one answer by itself: the student's own file, another's, or something else."""
    record["status"] = status
    if status in (302, 401, 403):
        return Record(**record, reason=ASKED_TO_LOG_IN)
    if status != 200:
        return Record(**record, reason=f"answered with {status}")
    try:
        content = str(json.loads(body)["content"])
    except (ValueError, KeyError, TypeError):
        return Record(**record, reason="answered with something else than the file")
    owner = content.partition("\n")[0].removeprefix("the file of ")
    record |= {"owner": owner, "digest": digest_of(content)}
    if owner != record["student"]:
        return Record(**record, reason=f"answered with the file of {owner}")
    return Record(**record, reason="" if content == expected else "answered with a changed file")


def explained(error: BaseException) -> str:
    """Why there was no answer, in few words."""
    if isinstance(error, TimeoutError):
        return f"no answer within {REQUEST_SECONDS:g} s"
    if isinstance(error, aiohttp.ClientConnectorError):
        return f"no connection: {error.os_error.strerror or error.os_error}"
    return f"the connection broke off: {type(error).__name__}"


class Desk:
    """One student's requests and websocket.

    Attributes:
        name: the student.
        token: what the student shows; may be replaced at any time.
        expected: content of the student's file.
        listening: whether the websocket is open.
        gone: whether the student is to go home, which may be said at any time.
        working: whether the student has not gone home.
        sent: when the requests that are not answered yet were sent.
    """

    def __init__(self, url: str, name: str, *, token: str, home: str, channels: str, expected: str) -> None:
        self.name = name
        self.token = token
        self.expected = expected
        self.listening = False
        self.gone = False
        self.working = True
        self.sent: set[float] = set()
        self.records: list[Record] = []
        self._file = f"{url}/{home}/api/contents/{SENTINEL}?type=file&format=text"
        session = f"{name}-{time.time():.0f}"
        self._channels = f"ws{url.removeprefix('http')}/{channels}?session_id={session}"
        self._request = json.dumps(execute_request(session, session, COUNT))
        self._number = -1

    @property
    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"token {self.token}"}

    async def work(self) -> None:
        """Ask and listen until cancelled, or until the student goes home."""
        async with asyncio.TaskGroup() as group, aiohttp.ClientSession() as kept:
            listening = group.create_task(self._listen())
            pending: asyncio.Task[None] | None = None
            due = time.monotonic()
            while not self.gone:
                group.create_task(self._ask_anew())
                if pending is None or pending.done():
                    pending = group.create_task(self._ask(kept, Kind.KEPT))
                due = max(due + EVERY_SECONDS, time.monotonic())
                await asyncio.sleep(due - time.monotonic())
            if pending:
                await pending
            listening.cancel()
        self.working = False

    async def _ask_anew(self) -> None:
        connector = aiohttp.TCPConnector(force_close=True)
        async with aiohttp.ClientSession(connector=connector) as session:
            await self._ask(session, Kind.NEW)

    async def _ask(self, session: aiohttp.ClientSession, kind: Kind) -> None:
        at, began = time.time(), time.monotonic()
        self.sent.add(at)
        record: dict[str, Any] = {"at": at, "student": self.name, "kind": kind}
        timeout = aiohttp.ClientTimeout(total=REQUEST_SECONDS)
        try:
            async with session.get(
                self._file, headers=self._headers, timeout=timeout, allow_redirects=False
            ) as response:
                body = await response.text(errors="replace")
            record["latency"] = round(time.monotonic() - began, 4)
            self.records.append(examined(record, response.status, body, self.expected))
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            record["latency"] = round(time.monotonic() - began, 4)
            self.records.append(Record(**record, reason=explained(error)))
        finally:
            self.sent.discard(at)

    async def _listen(self) -> None:
        dropped = 0.0
        while True:
            reason = await self._listen_once(dropped)
            if self.listening:
                self.listening = False
                dropped = time.time()
                self.records.append(Record(dropped, self.name, Kind.DROPPED, reason=reason))
            await asyncio.sleep(RETRY_SECONDS)

    async def _listen_once(self, dropped: float) -> str:
        """Open the websocket and hear it to its end; returns why it ended or could not be opened."""
        try:
            async with (
                aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True)) as session,
                asyncio.timeout(OPEN_SECONDS) as opening,
                session.ws_connect(self._channels, headers=self._headers, max_msg_size=0) as socket,
            ):
                opening.reschedule(None)
                self.listening = True
                now = time.time()
                self.records.append(Record(now, self.name, Kind.OPENED, latency=now - dropped if dropped else 0.0))
                if self._number < 0:
                    await socket.send_str(self._request)
                return await self._hear(socket)
        except TimeoutError:
            return f"nothing heard for {SILENT_SECONDS:g} s" if self.listening else "no answer"
        except (aiohttp.ClientError, OSError) as error:
            return f"{type(error).__name__}"

    async def _hear(self, socket: aiohttp.ClientWebSocketResponse) -> str:
        last = noted = time.monotonic()
        silence, lost = 0.0, 0
        while True:
            message = await socket.receive(timeout=SILENT_SECONDS)
            if message.type is not aiohttp.WSMsgType.TEXT:
                self._note(max(silence, time.monotonic() - last), lost)
                return f"closed with {socket.close_code}"
            found = json.loads(message.data)
            if found["header"]["msg_type"] != "stream":
                continue
            now = time.monotonic()
            silence, last = max(silence, now - last), now
            for number in map(int, NUMBERS.findall(found["content"]["text"])):
                lost += max(0, number - self._number - 1)
                self._number = max(self._number, number)
            if now - noted >= EVERY_SECONDS:
                self._note(silence, lost)
                noted, silence, lost = now, 0.0, 0

    def _note(self, silence: float, lost: int) -> None:
        """Write down what was heard since the last note: the longest silence, in seconds, and the missing numbers."""
        heard = Record(time.time(), self.name, Kind.HEARD, latency=round(silence, 3), number=self._number, lost=lost)
        self.records.append(heard)


class Clients(threading.Thread):
    """All students' desks, and the log that they write.

    Attributes:
        log: the file with a record a line.
        broken: why the clients ended too early; None while they have not.
    """

    def __init__(self, desks: Iterable[Desk], log: Path) -> None:
        super().__init__(daemon=True, name="clients")
        self.desks = {desk.name: desk for desk in desks}
        self.log = log
        self.broken: BaseException | None = None
        self._ended = threading.Event()

    def run(self) -> None:
        """Work until stopped."""
        try:
            asyncio.run(self._work())
        except BaseException as error:
            self.broken = error

    async def _work(self) -> None:
        tasks = {asyncio.create_task(desk.work()) for desk in self.desks.values()}
        try:
            while not self._ended.is_set():
                self._write()
                done, tasks = await asyncio.wait(tasks, timeout=0.2, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self._write()

    def _write(self) -> None:
        for desk in self.desks.values():
            fresh, desk.records = desk.records, []
            records.write(fresh, self.log)

    def stop(self) -> None:
        """End, and have everything in the log."""
        self._ended.set()
        self.join(REQUEST_SECONDS)

    def send_home(self, students: Iterable[str]) -> None:
        """Tell students to end their work for good."""
        for student in students:
            self.desks[student].gone = True

    def at_work(self) -> set[str]:
        """Who has not ended; those who were sent home have, once their last request is answered."""
        return {name for name, desk in self.desks.items() if desk.working}

    def answered(self, before: float) -> bool:
        """Whether every request that was sent before a time is answered or given up, and is in the log."""
        return all(not desk.records and min(desk.sent, default=before) >= before for desk in self.desks.values())

    def listening(self) -> bool:
        """Whether every websocket is open, of those who are still there."""
        return all(desk.listening for desk in self.desks.values() if not desk.gone)
