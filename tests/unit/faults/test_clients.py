"""What a client takes for an answer of the student's own server."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from ansible_collections.campus.jupyterhub.tests.cluster.support import wait_until
from ansible_collections.campus.jupyterhub.tests.faults import records
from ansible_collections.campus.jupyterhub.tests.faults.clients import (
    SENTINEL,
    Clients,
    Desk,
    digest_of,
    examined,
    explained,
    sentinel_of,
)
from ansible_collections.campus.jupyterhub.tests.faults.records import ASKED_TO_LOG_IN, Kind
from ansible_collections.campus.jupyterhub.tests.unit.ports import free_port

OWN = sentinel_of("ann", "once")


def contents(text: str) -> str:
    """What Jupyter answers for a file."""
    return json.dumps({"name": SENTINEL, "content": text})


@pytest.mark.parametrize(
    ("status", "body", "reason"),
    [
        (200, contents(OWN), ""),
        (200, contents(sentinel_of("anna", "once")), "answered with the file of anna"),
        (200, contents(sentinel_of("ann", "twice")), "answered with a changed file"),
        (200, "<html>The hub is away</html>", "answered with something else than the file"),
        (200, "[]", "answered with something else than the file"),
        (302, "", ASKED_TO_LOG_IN),
        (403, "{}", ASKED_TO_LOG_IN),
        (404, contents(OWN), "answered with 404"),
        (503, "", "answered with 503"),
    ],
)
def test_an_answer_is_judged(status: int, body: str, reason: str) -> None:
    record: dict[str, Any] = {"at": 1.0, "student": "ann", "kind": Kind.NEW}
    found = examined(record, status, body, OWN)
    assert (found.status, found.reason) == (status, reason)
    assert found.digest == ("" if found.owner == "" else digest_of(json.loads(body)["content"]))


def test_no_answer_is_explained() -> None:
    assert explained(TimeoutError()) == "no answer within 30 s"
    assert explained(aiohttp.ServerDisconnectedError()) == "the connection broke off: ServerDisconnectedError"


class Site:
    """A server that answers as the site does, and breaks off what is told to it."""

    def __init__(self) -> None:
        self.sockets: list[web.WebSocketResponse] = []
        self.asked_to_count = 0
        self.number = 0

    async def file(self, _request: web.Request) -> web.Response:
        return web.Response(text=contents(OWN))

    async def kernel(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        self.sockets.append(socket)
        counter = asyncio.create_task(self._count(socket))
        async for _message in socket:
            self.asked_to_count += 1
        counter.cancel()
        return socket

    async def start(self) -> web.AppRunner:
        """Answer on a port of its own until the runner is cleaned up."""
        app = web.Application()
        app.router.add_get("/user/{name}/api/contents/{file}", self.file)
        app.router.add_get("/kernel", self.kernel)
        running = web.AppRunner(app)
        await running.setup()
        await web.TCPSite(running, "127.0.0.1", 0).start()
        return running

    async def _count(self, socket: web.WebSocketResponse) -> None:
        while True:
            text = f"{self.number}\n"
            await socket.send_json({"header": {"msg_type": "stream"}, "content": {"text": text}})
            self.number += 1
            await asyncio.sleep(0.05)


def url_of(running: web.AppRunner) -> str:
    """Where a site is."""
    (port,) = [address[1] for address in running.addresses]
    return f"http://127.0.0.1:{port}"


async def test_a_client_asks_listens_and_comes_back(tmp_path: Path) -> None:
    site = Site()
    running = await site.start()
    log = tmp_path / "log"
    log.write_text("")
    desk = Desk(url_of(running), "ann", token="t", home="user/ann", channels="kernel", expected=OWN)
    clients = Clients([desk], log)
    clients.start()

    def kinds() -> list[Kind]:
        return [record.kind for record in records.read(log)]

    try:
        await asyncio.to_thread(wait_until, "it hears", lambda: Kind.HEARD in kinds(), 30)
        assert clients.listening()
        site.number += 3
        await site.sockets[0].close()
        await asyncio.to_thread(wait_until, "it opened again", lambda: kinds().count(Kind.OPENED) == 2, 30)
        await asyncio.to_thread(wait_until, "it hears again", lambda: kinds()[-1] is Kind.HEARD, 30)
        sent = time.time()
        await asyncio.to_thread(wait_until, "all is answered", lambda: clients.answered(sent), 30)
    finally:
        await asyncio.to_thread(clients.stop)
        await running.cleanup()
    found = records.read(log)
    assert clients.broken is None
    assert site.asked_to_count == 1
    assert [record.reason for record in found if record.is_request and record.at < sent] != []
    assert {record.reason for record in found if record.is_request and record.over < sent} == {""}
    assert {record.kind for record in found} == set(Kind)
    assert sum(record.lost for record in found) == 3


async def test_who_goes_home_leaves_no_request_behind_and_the_others_go_on(tmp_path: Path) -> None:
    site = Site()
    running = await site.start()
    log = tmp_path / "log"
    log.write_text("")
    url = url_of(running)
    desks = [
        Desk(url, name, token="t", home=f"user/{name}", channels="kernel", expected=OWN) for name in ("ann", "ben")
    ]
    clients = Clients(desks, log)
    clients.start()

    def asked(name: str) -> int:
        return sum(record.student == name and record.is_request for record in records.read(log))

    try:
        await asyncio.to_thread(wait_until, "both listen", clients.listening, 30)
        assert clients.at_work() == {"ann", "ben"}
        clients.send_home(["ben"])
        await asyncio.to_thread(wait_until, "one is gone", lambda: clients.at_work() == {"ann"}, 30)
        await asyncio.to_thread(wait_until, "all is written", lambda: clients.answered(time.time()), 30)
        before, others = asked("ben"), asked("ann")
        await asyncio.to_thread(wait_until, "the other goes on", lambda: asked("ann") >= others + 4, 30)
        assert asked("ben") == before
        assert not desks[1].sent
        # Only those who are there have to listen.
        assert clients.listening()
        assert clients.broken is None
    finally:
        await asyncio.to_thread(clients.stop)
        await running.cleanup()
    assert all(record.status == 200 for record in records.read(log) if record.is_request and record.student == "ben")


async def test_a_client_without_a_server_says_so(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("")
    url = f"http://127.0.0.1:{free_port()}"
    clients = Clients([Desk(url, "ann", token="t", home="user/ann", channels="kernel", expected=OWN)], log)
    clients.start()
    try:
        await asyncio.to_thread(wait_until, "two failures", lambda: len(records.read(log)) >= 2, 30)
    finally:
        await asyncio.to_thread(clients.stop)
    found = records.read(log)
    assert {record.kind for record in found} == {Kind.NEW, Kind.KEPT}
    assert all(record.reason.startswith("no connection: ") for record in found)
    assert not clients.listening()
