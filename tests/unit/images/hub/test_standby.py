"""What a waiting hub answers."""

from __future__ import annotations

import asyncio
import socket
import threading
from concurrent.futures import Future

import aiohttp
import pytest
from ansible_collections.campus.jupyterhub.tests.unit.ports import free_port
from campus_hub import standby
from tornado.httpserver import HTTPServer
from tornado.testing import bind_unused_port


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/hub/health", 200),
        ("/jupyter/hub/health", 200),
        ("/a/b/hub/health", 200),
        ("/hub/health/x", 503),
        ("/xhub/health", 503),
        ("/hub/login", 503),
        ("/", 503),
    ],
)
async def test_the_probes_are_answered_under_any_base_url(path: str, status: int) -> None:
    listener, port = bind_unused_port()
    server = HTTPServer(standby.application())
    server.add_socket(listener)
    async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{port}{path}") as answer:
        assert answer.status == status
        assert ("Retry-After" in answer.headers) is (status == 503)
    server.stop()
    await server.close_all_connections()


def test_the_port_is_free_once_the_wait_is_over() -> None:
    port = free_port()
    won: Future[None] = Future()

    async def look_and_win() -> None:
        async with asyncio.timeout(60), aiohttp.ClientSession() as session:
            while True:
                try:
                    async with session.get(f"http://127.0.0.1:{port}/hub/health") as answer:
                        assert answer.status == 200
                        return
                except aiohttp.ClientConnectionError:
                    await asyncio.sleep(0.01)

    def other_thread() -> None:
        try:
            asyncio.run(look_and_win())
            won.set_result(None)
        except BaseException as error:
            won.set_exception(error)

    threading.Thread(target=other_thread).start()
    standby.wait(won, port)
    with socket.socket() as next_one:
        next_one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        next_one.bind(("127.0.0.1", port))
        next_one.listen()


def test_a_wait_without_a_port_ends_as_well() -> None:
    won: Future[None] = Future()
    threading.Timer(0.01, won.set_result, [None]).start()
    standby.wait(won, None)
    assert won.done()
