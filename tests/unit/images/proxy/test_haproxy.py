"""A real HAProxy with the image's configuration: where a request goes and what comes back."""

from __future__ import annotations

import asyncio
import json
import re
import signal
from typing import Any

import aiohttp
import pytest
from ansible_collections.campus.jupyterhub.tests.unit.images.proxy.conftest import MakeHaproxy
from ansible_collections.campus.jupyterhub.tests.unit.images.proxy.fakes import Haproxy, Servers
from ansible_collections.campus.jupyterhub.tests.unit.ports import free_port
from campus_proxy.haproxy import HaproxyError, RouteMap
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from yarl import URL

ROUTES = {
    "/user/ann/": "ann",
    "/user/anna/": "anna",
    "/user/ann/a/": "ann-a",
    "/user/ann%2Fb/": "ann-slash-b",
    "/user/a@b/": "at",
    "/user/%C3%A9va/": "eva",
    "/services/x/": "service",
    "ann.example.org/user/ann/": "ann-at-home",
}


async def fill(haproxy: Haproxy, servers: Servers) -> None:
    """One server for each of ROUTES, and the routes to them."""
    values = {key: f"127.0.0.1|{await servers.start(name)}" for key, name in ROUTES.items()}
    await haproxy.route_map.replace(values, "test")


def model(host: str, path: str) -> str:
    """Which server has a URL: said again from the beginning, a character at a time."""
    raw, text, index = path.encode(), "", 0
    while index < len(raw):
        byte, step = raw[index : index + 1], 1
        hex_pair = raw[index + 1 : index + 3]
        if byte == b"%" and len(hex_pair) == 2 and all(c in b"0123456789abcdefABCDEF" for c in hex_pair):
            byte, step = bytes([int(hex_pair, 16)]), 3
        plain = byte.isalnum() or byte in {b"-", b".", b"_", b"~", b"@"} or (byte == b"/" and step == 1)
        text += byte.decode() if plain and byte.isascii() else f"%{byte[0]:02X}"
        index += step
    stack: list[str] = []
    for segment in text.split("/"):
        if segment == ".." and stack:
            stack.pop()
        elif segment not in ("", ".", ".."):
            stack.append(segment)
    whole = "/".join(["", *stack, ""])
    for start in (host.split(":", maxsplit=1)[0].lower() + whole, whole):
        fitting = [key for key in ROUTES if start.startswith(key)]
        if fitting:
            return ROUTES[max(fitting, key=len)]
    return "hub"


class Client:
    """One kept-alive connection that sends paths just as they are."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def get(self, path: str, host: str = "hub.example.org") -> dict[str, Any]:
        """What the server says that the request reaches; {} when HAProxy refuses it."""
        if self.streams is None:
            self.streams = await asyncio.open_connection("127.0.0.1", self.port)
        reader, writer = self.streams
        writer.write(f"GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        head = await reader.readuntil(b"\r\n\r\n")
        status = int(head.split()[1])
        length = next(
            int(line.split(b":")[1]) for line in head.lower().splitlines() if line.startswith(b"content-length")
        )
        body = await reader.readexactly(length)
        if status != 200:
            writer.close()
            self.streams = None
            return {}
        return json.loads(body)  # type: ignore[no-any-return]


WHERE = [
    ("/", "hub"),
    ("/hub/home", "hub"),
    ("/user/ann", "ann"),
    ("/user/ann/lab?token=x", "ann"),
    ("/user/ann?next=/user/anna/", "ann"),
    ("/user/%61nn/", "ann"),
    ("/user/anna/", "anna"),
    ("/user/annab/", "hub"),
    ("/user/Ann/", "hub"),
    ("/user/ann/a", "ann-a"),
    ("/user/ann/ab", "ann"),
    ("/user/ann%2fb/x", "ann-slash-b"),
    ("/user/ann%2Fb/x", "ann-slash-b"),
    ("/user/ann/..%2f", "ann"),
    ("/user/ann/../anna/", "anna"),
    ("/user/ann/%2e%2E/anna/", "anna"),
    ("//user//ann//", "ann"),
    ("/user/a%40b/", "at"),
    ("/user/a@b/", "at"),
    ("/user/%c3%a9va/", "eva"),
    ("/user/bob/", "hub"),
    ("/services/x/y", "service"),
    ("/user/ann/" + "x/" * 7000, "ann"),
    ("/user/ann/" + "%20/" * 5000, "ann"),
    ("/user/" + "'" * 9000 + "/", "hub"),
]


async def test_where_a_url_goes(make_haproxy: MakeHaproxy, servers: Servers) -> None:
    haproxy = make_haproxy(hub_port=await servers.start("hub"))
    await fill(haproxy, servers)
    client = Client(haproxy.settings.http_port)
    for path, server in WHERE:
        answer = await client.get(path)
        assert (answer["server"], path[:40]) == (server, path[:40])
        assert answer["path"] == path, "the request must go on as it came"
        assert model("hub.example.org", path.partition("?")[0]) == server, "the model of the test below agrees"


OWN_HOSTS = [
    ("ann.hub.example.org", "/user/ann/lab", "ann"),
    ("ANN.hub.example.org:8443", "/user/ann/lab?token=x", "ann"),
    ("hub.example.org", "/hub/login", "hub"),
    ("hub.example.org", "/user/ann/lab", "hub"),
    ("127.0.0.1", "/hub/health", "hub"),
    ("ann.hub.example.org", "/hub/login?next=%2F", "https://hub.example.org:8443/hub/login?next=%2F"),
    ("ann.hub.example.org", "/user/ben/lab", "https://hub.example.org:8443/user/ben/lab"),
    ("ben.hub.example.org", "/user/ann/lab", "https://hub.example.org:8443/user/ann/lab"),
    ("Ben.Hub.Example.Org", "//evil.example.com/", "https://hub.example.org:8443//evil.example.com/"),
    ("a.b.hub.example.org", "/", "https://hub.example.org:8443/"),
    ("other.example.org", "/hub/login", "hub"),
    # Left from a time when all were at one host.
    ("ann.hub.example.org", "/user/old/lab", "https://hub.example.org:8443/user/old/lab"),
]


@pytest.mark.parametrize(("host", "path", "where"), OWN_HOSTS)
async def test_where_students_have_hosts_of_their_own_the_hub_is_at_its_own_alone(
    make_haproxy: MakeHaproxy, servers: Servers, host: str, path: str, where: str
) -> None:
    haproxy = make_haproxy(hub_port=await servers.start("hub"), subdomain_host="https://hub.example.org:8443")
    ports = {name: await servers.start(name) for name in ("ann", "old")}
    routes = {"ann.hub.example.org/user/ann/": ports["ann"], "/user/old/": ports["old"]}
    await haproxy.route_map.replace({key: f"127.0.0.1|{port}" for key, port in routes.items()}, "test")
    async with aiohttp.ClientSession() as session:
        url = URL(haproxy.url + path, encoded=True)
        async with session.get(url, headers={"Host": host}, allow_redirects=False) as answer:
            found = answer.headers["Location"] if answer.status == 302 else (await answer.json())["server"]
    assert found == where


async def test_every_url_goes_where_the_model_says(make_haproxy: MakeHaproxy, servers: Servers) -> None:
    haproxy = make_haproxy(hub_port=await servers.start("hub"))
    await fill(haproxy, servers)
    client = Client(haproxy.settings.http_port)
    loop = asyncio.get_running_loop()
    parts = [
        "/",
        "/",
        "%20",
        "%2d",
        "%7E",
        "%5f",
        "%5B",
        ".x",
        "%E9",
        "/user",
        "user/",
        "ann",
        "a",
        "na",
        "%61",
        "%2f",
        "%2F",
        "..",
        ".",
        "%2e",
        "b",
        "@",
        "%40",
        "%",
    ]
    paths = st.lists(st.sampled_from([*parts, "%c3%a9va", "%C3", "'", "services/x/", "%00", "4", "\\"]), max_size=10)
    hosts = st.sampled_from(
        ["hub.example.org", "ann.example.org", "Ann.Example.org:8000", "127.0.0.1:8000", "!applied"]
    )

    @settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))
    @given(paths.map("".join).map("/".__add__), hosts)
    def check(path: str, host: str) -> None:
        answer = asyncio.run_coroutine_threadsafe(client.get(path, host), loop).result(60)
        assert answer["server"] == model(host, path)
        assert answer["path"] == path

    await asyncio.to_thread(check)


async def test_many_students_at_once_never_meet(make_haproxy: MakeHaproxy, servers: Servers) -> None:
    haproxy = make_haproxy(hub_port=await servers.start("hub"))
    values = {f"/user/u{i}/": f"127.0.0.1|{await servers.start(f'u{i}')}" for i in range(20)}
    await haproxy.route_map.replace(values, "test")

    async def browse(start: int) -> None:
        client = Client(haproxy.settings.http_port)
        for step in range(50):
            name = f"u{(start + step * 7) % 20}"
            assert (await client.get(f"/user/{name}/x"))["server"] == name

    await asyncio.gather(*(browse(start) for start in range(20)))


async def test_each_student_s_server_keeps_an_idle_connection(make_haproxy: MakeHaproxy, servers: Servers) -> None:
    haproxy = make_haproxy()
    await fill(haproxy, servers)
    client = Client(haproxy.settings.http_port)
    paths = [key for key in ROUTES if key.startswith("/user/")]
    # HAProxy closes what was idle for some seconds, and a machine may be slow: one round without a new one will do.
    for _unused in range(30):
        before = await reused(haproxy)
        for path in paths:
            await client.get(path)
        if await reused(haproxy) == before + len(paths):
            return
    raise AssertionError("a student's server is connected to anew for each request")


async def reused(haproxy: Haproxy) -> int:
    """How often HAProxy has used an idle connection to a student's server again."""
    async with aiohttp.ClientSession() as session, session.get(f"{haproxy.monitor}/metrics") as answer:
        text = await answer.text()
    found = re.findall(r'haproxy_server_connection_reuses_total\{proxy="student_[^}]*\} (\d+)', text)
    return sum(int(number) for number in found)


async def test_nobody_is_served_before_the_routes_are_known(make_haproxy: MakeHaproxy, servers: Servers) -> None:
    haproxy = make_haproxy(hub_port=await servers.start("hub"))
    async with aiohttp.ClientSession() as session:
        async with session.get(haproxy.url + "/hub/home") as answer:
            assert answer.status == 503
            assert "One moment" in await answer.text()
        async with session.get(haproxy.monitor + "/ready") as answer:
            assert answer.status == 503
        await haproxy.route_map.replace({}, "test")
        async with session.get(haproxy.url + "/hub/home") as answer:
            assert (await answer.json())["server"] == "hub"
        for path, status in {"/ready": 200, "/live": 200, "/metrics": 200, "/x": 404}.items():
            async with session.get(haproxy.monitor + path) as answer:
                assert answer.status == status
                assert path != "/metrics" or "haproxy_frontend_http_requests_total" in await answer.text()


@pytest.mark.parametrize(
    ("trusted", "expected"),
    [
        (
            "",
            {
                "X-Forwarded-For": "127.0.0.1",
                "X-Forwarded-Proto": "http",
                "X-Forwarded-Port": "8000",
                "Forwarded": None,
            },
        ),
        (
            "127.0.0.0/8",
            {"X-Forwarded-For": "6.6.6.6", "X-Forwarded-Proto": "https", "X-Forwarded-Port": "443", "Forwarded": "x"},
        ),
    ],
)
async def test_who_asked_is_told_and_not_believed(
    make_haproxy: MakeHaproxy, servers: Servers, trusted: str, expected: dict[str, str | None]
) -> None:
    haproxy = make_haproxy(hub_port=await servers.start("hub"), trusted_networks=trusted)
    await haproxy.route_map.replace({}, "test")
    claims = {
        "Host": "hub.example.org:8000",
        "X-Forwarded-For": "6.6.6.6",
        "X-Forwarded-Proto": "https",
        "X-Forwarded-Port": "443",
        "Forwarded": "x",
    }
    async with aiohttp.ClientSession() as session, session.get(haproxy.url, headers=claims) as answer:
        seen = {key.title(): value for key, value in (await answer.json())["headers"].items()}
    assert {key: seen.get(key) for key in expected} == expected
    assert seen["Host"] == "hub.example.org:8000"


async def test_a_websocket_goes_through_and_outlives_its_route(make_haproxy: MakeHaproxy, servers: Servers) -> None:
    haproxy = make_haproxy(hub_port=await servers.start("hub"))
    await haproxy.route_map.replace({"/user/ann/": f"127.0.0.1|{await servers.start('ann')}"}, "test")
    async with aiohttp.ClientSession() as session, session.ws_connect(haproxy.url + "/user/ann/ws") as channel:
        await channel.send_str("one")
        assert await channel.receive_str(timeout=30) == "ann:one"
        await haproxy.route_map.replace({}, "test")
        await channel.send_str("two")
        assert await channel.receive_str(timeout=30) == "ann:two"


AWAY = [
    ("/hub/home", "text/html,*/*", "text/html", "The hub is away"),
    ("/hub/home", "*/*", "application/json", "hub does not answer"),
    ("/hub/api/users", "text/html", "application/json", "hub does not answer"),
    ("/user/ann/lab", "text/html", "text/html", "Your server does not answer"),
    ("/user/ann/api/contents", "application/json", "application/json", "server does not answer"),
]


async def test_what_comes_when_nobody_answers(make_haproxy: MakeHaproxy) -> None:
    haproxy = make_haproxy(hub_port=free_port())
    await haproxy.route_map.replace({"/user/ann/": f"127.0.0.1|{free_port()}"}, "test")

    async def ask(path: str, accept: str, kind: str, words: str) -> None:
        headers = {"Accept": accept}
        async with aiohttp.ClientSession(headers=headers) as session, session.get(haproxy.url + path) as answer:
            assert answer.status == 503
            assert answer.content_type == kind
            assert answer.headers["Retry-After"] == "5"
            assert answer.headers["Cache-Control"] == "no-store"
            assert words in await answer.text()

    await asyncio.gather(*(ask(*case) for case in AWAY))


async def test_a_draining_haproxy_takes_nobody_new_and_keeps_who_it_has(
    make_haproxy: MakeHaproxy, servers: Servers
) -> None:
    haproxy = make_haproxy(hub_port=await servers.start("hub"), drain_seconds=8)
    await haproxy.route_map.replace({"/user/ann/": f"127.0.0.1|{await servers.start('ann')}"}, "test")
    assert haproxy.process is not None
    async with aiohttp.ClientSession() as session, session.ws_connect(haproxy.url + "/user/ann/ws") as channel:
        haproxy.process.send_signal(signal.SIGUSR1)
        async with asyncio.timeout(30):
            while await listens(haproxy.settings.monitor_port):
                await asyncio.sleep(0.02)
        assert not await listens(haproxy.settings.http_port)
        await channel.send_str("still here")
        assert await channel.receive_str(timeout=30) == "ann:still here"
        # The channel stays open: only the end of the drain can end the process.
        assert await asyncio.to_thread(haproxy.process.wait, 60) is not None


async def listens(port: int) -> bool:
    """Say whether new connections are taken."""
    try:
        _reader, writer = await asyncio.open_connection("127.0.0.1", port)
    except (ConnectionRefusedError, ConnectionResetError):
        # Reset: it was still in the queue of a port that was closed just then.
        return False
    writer.close()
    return True


async def test_the_map_is_changed_piece_by_piece_and_as_a_whole(make_haproxy: MakeHaproxy) -> None:
    haproxy = make_haproxy(hub_port=free_port())
    routes = haproxy.route_map
    assert await routes.owner() == ""
    many = {f"/user/student-{i}/": f"10.0.{i // 250}.{i % 250}|8888" for i in range(3000)}
    await routes.replace(many, "me")
    assert await routes.owner() == "me"
    assert await routes.show() == many
    change: dict[str, str | None] = {f"/user/student-{i}/": None for i in range(0, 1000)}
    change |= {f"/user/student-{i}/": "10.9.9.9|1" for i in range(1000, 2000)}
    change |= {f"/user/new-{i}/": "10.8.8.8|2" for i in range(1000)} | {"/not/there/": None}
    await routes.change(many, change)
    expected = {key: value for key, value in {**many, **change}.items() if value is not None}
    assert await routes.show() == expected
    await routes.replace({}, "you")
    assert (await routes.show(), await routes.owner()) == ({}, "you")


@pytest.mark.parametrize("key", ["/user/a b/", "/user/a\nb/", "/user/a;b/", "/user/a\\/", "", "/user/\x00/", "/ä/"])
async def test_what_could_be_taken_for_a_command_is_not_sent(key: str) -> None:
    routes = RouteMap("/nowhere", "/map")
    with pytest.raises(HaproxyError, match="cannot be written"):
        await routes.change({}, {key: "10.0.0.1|1"})
    with pytest.raises(HaproxyError, match="cannot be written"):
        await routes.replace({key: "10.0.0.1|1"}, "me")


async def test_a_haproxy_that_is_away_is_one_error() -> None:
    with pytest.raises(HaproxyError, match="FileNotFoundError"):
        await RouteMap("/nowhere", "/map").owner()


async def test_a_command_that_fails_is_an_error(make_haproxy: MakeHaproxy) -> None:
    routes = make_haproxy(hub_port=free_port()).route_map
    with pytest.raises(HaproxyError, match="not found"):
        await routes.change({"/user/ann/": "x"}, {"/user/ann/": None})
