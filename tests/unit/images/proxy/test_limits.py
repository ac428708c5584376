"""How much a visitor may send, and how slowly."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from ansible_collections.campus.jupyterhub.tests.unit.images.proxy.conftest import MakeHaproxy
from ansible_collections.campus.jupyterhub.tests.unit.images.proxy.fakes import Haproxy, Servers

MIB = 1024 * 1024


async def start(make_haproxy: MakeHaproxy, servers: Servers, *hurry: tuple[str, str]) -> Haproxy:
    """A HAProxy with a hub and a student."""
    haproxy = make_haproxy(hurry=hurry, hub_port=await servers.start("hub"))
    await haproxy.route_map.replace({"/user/ann/": f"127.0.0.1|{await servers.start('ann')}"}, "test")
    return haproxy


def most_memory(haproxy: Haproxy) -> int:
    """The most memory that it ever had, in bytes."""
    assert haproxy.process is not None
    lines = Path(f"/proc/{haproxy.process.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) * 1024


async def mebibytes(count: int) -> AsyncIterator[bytes]:
    """A body that is nowhere as a whole."""
    for _unused in range(16 * count):
        yield b"x" * 65536


async def test_a_large_upload_streams_through(make_haproxy: MakeHaproxy, servers: Servers) -> None:
    haproxy = await start(make_haproxy, servers)
    before = most_memory(haproxy)
    async with (
        aiohttp.ClientSession() as session,
        session.put(haproxy.url + "/user/ann/f", data=mebibytes(64)) as answer,
    ):
        assert (await answer.json())["size"] == 64 * MIB
    assert most_memory(haproxy) - before < 4 * MIB


async def test_the_hub_gets_nothing_large(make_haproxy: MakeHaproxy, servers: Servers) -> None:
    haproxy = await start(make_haproxy, servers)
    url, most = haproxy.url + "/hub/api", {"Content-Length": str(10 * MIB)}
    async with aiohttp.ClientSession() as session, session.post(url, data=mebibytes(10), headers=most) as answer:
        assert (await answer.json())["size"] == 10 * MIB
    reader, writer = await asyncio.open_connection("127.0.0.1", haproxy.settings.http_port)
    writer.write(f"POST /hub/api HTTP/1.1\r\nHost: hub\r\nContent-Length: {10 * MIB + 1}\r\n\r\n".encode())
    answer_ = await asyncio.wait_for(reader.readuntil(b"}"), 20)
    assert answer_.startswith(b"HTTP/1.1 413")
    assert b"more than the hub takes" in answer_
    writer.transport.abort()


@pytest.mark.parametrize(("cookies", "status"), [(24_000, 200), (40_000, 400)])
async def test_long_headers(make_haproxy: MakeHaproxy, servers: Servers, cookies: int, status: int) -> None:
    haproxy = await start(make_haproxy, servers)
    reader, writer = await asyncio.open_connection("127.0.0.1", haproxy.settings.http_port)
    lines = "".join(f"Cookie: {name}={'x' * 3990}\r\n" for name in range(cookies // 4000))
    writer.write(f"GET /user/ann/ HTTP/1.1\r\nHost: hub\r\n{lines}\r\n".encode())
    assert int((await reader.readuntil(b"\r\n")).split()[1]) == status
    writer.transport.abort()


@pytest.mark.parametrize(
    ("hurry", "request_"),
    [
        (("timeout http-request 30s", "timeout http-request 300ms"), "GET /user/ann/ HTTP/1.1\r\nHost: hub\r\n"),
        (
            ("wait-for-body time 30s", "wait-for-body time 300ms"),
            "POST /hub/login HTTP/1.1\r\nHost: hub\r\nContent-Length: 100\r\n\r\nusername=",
        ),
    ],
)
async def test_who_never_ends_a_request_is_sent_away(
    make_haproxy: MakeHaproxy, servers: Servers, hurry: tuple[str, str], request_: str
) -> None:
    haproxy = await start(make_haproxy, servers, hurry)
    reader, writer = await asyncio.open_connection("127.0.0.1", haproxy.settings.http_port)
    writer.write(request_.encode())
    answer = await asyncio.wait_for(reader.read(), 20)
    assert answer.startswith(b"HTTP/1.1 408")
    writer.transport.abort()


async def test_a_student_may_upload_as_slowly_as_they_must(make_haproxy: MakeHaproxy, servers: Servers) -> None:
    hurry = [(f"{what} 30s", f"{what} 2s") for what in ("timeout http-request", "wait-for-body time")]
    haproxy = await start(make_haproxy, servers, *hurry)

    async def body() -> AsyncIterator[bytes]:
        for _unused in range(4):
            yield b"x"
            await asyncio.sleep(1)

    async with aiohttp.ClientSession() as session, session.put(haproxy.url + "/user/ann/f", data=body()) as answer:
        assert (await answer.json())["size"] == 4


HURRIED = [("timeout http-request", "30s"), ("wait-for-body time", "30s")]
