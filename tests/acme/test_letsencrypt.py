"""Real certificates from a real ACME server, through a real HAProxy, three times over."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from ansible_collections.campus.jupyterhub.tests.acme.conftest import StartPebble
from ansible_collections.campus.jupyterhub.tests.unit.certificates import Pair
from ansible_collections.campus.jupyterhub.tests.unit.images.proxy.conftest import MakeHaproxy
from ansible_collections.campus.jupyterhub.tests.unit.images.proxy.fakes import Servers
from ansible_collections.campus.jupyterhub.tests.unit.images.proxy.visitor import HOST, Visitor, any_certificate
from ansible_collections.campus.jupyterhub.tests.unit.ports import free_port
from campus_proxy import letsencrypt
from campus_proxy.certificate import Keeper, fingerprint
from campus_proxy.letsencrypt import ACCOUNT, Order, OrderFailed, Store

SECONDS = 900
"""How long a certificate of the test's ACME server is good."""


class Secret:
    """The Secret at the API server and, as the kubelet would have it, where it is mounted."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.data = {name: (folder / name).read_bytes() for name in ("tls.crt", "tls.key")}

    async def handle(self, request: web.Request) -> web.Response:
        """Answer GET and PATCH."""
        if request.method == "PATCH":
            assert request.content_type == "application/merge-patch+json"
            changes = (await request.json())["data"]
            self.data |= {key: base64.b64decode(value) for key, value in changes.items()}
            self.pair.mount(self.folder)
        return web.json_response({"data": {key: base64.b64encode(value).decode() for key, value in self.data.items()}})

    @property
    def pair(self) -> Pair:
        """The certificate that it holds."""
        return Pair(self.data["tls.crt"].decode(), self.data["tls.key"].decode())

    @asynccontextmanager
    async def stored(self) -> AsyncIterator[Store]:
        """An API server with this Secret alone."""
        app = web.Application()
        app.router.add_route("*", "/secret", self.handle)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield Store(f"http://127.0.0.1:{runner.addresses[0][1]}/secret", self.folder / "token", self.folder / "ca")
        await runner.cleanup()


async def test_three_renewals_without_dropping_a_connection(
    make_haproxy: MakeHaproxy, servers: Servers, secret: Path, start_pebble: StartPebble
) -> None:
    port, hub_port = free_port(), await servers.start("hub")
    more = {"https": "letsencrypt", "tls_dir": secret, "acme_host": "127.0.0.1", "acme_port": port}
    haproxy = make_haproxy(hub_port=hub_port, **more)
    await haproxy.route_map.replace({"/user/ann/": f"127.0.0.1|{await servers.start('ann')}"}, "test")
    keeper = Keeper.build(haproxy.settings)
    await keeper.look()
    pebble = start_pebble(haproxy.settings.http_port, SECONDS)
    order = Order(HOST, "", pebble.url, haproxy.url, port, str(pebble.ca))
    kept = Secret(secret)
    url = f"https://127.0.0.1:{haproxy.settings.https_port}/user/ann/ws"
    async with (
        kept.stored() as store,
        aiohttp.ClientSession() as session,
        session.ws_connect(url, ssl=any_certificate()) as channel,
    ):
        seen, accounts = {fingerprint(kept.pair.certificate)}, set()
        for _unused in range(4):
            now = datetime.now(UTC) + timedelta(seconds=SECONDS)
            assert await asyncio.to_thread(letsencrypt.run, order, store, now), "it is due when it is about to expire"
            assert not await asyncio.to_thread(letsencrypt.run, order, store, datetime.now(UTC)), "a fresh one is not"
            accounts.add(account_of(kept.data[ACCOUNT], secret.parent / f"accounts-{len(seen)}"))
            await keeper.look()
            async with Visitor.at(haproxy) as visitor:
                assert visitor.sees == fingerprint(kept.pair.certificate)
                assert await visitor.get() == 200
                seen.add(visitor.sees)
            await channel.send_str("still here")
            assert await channel.receive_str(timeout=5) == "ann:still here"
    assert (len(seen), len(accounts)) == (5, 1), "each time another certificate, with the account of the first time"
    assert (keeper.refused, keeper.failures) == ("", 0)


def account_of(value: bytes, folder: Path) -> str:
    """The name of the account that certbot keeps."""
    letsencrypt.unpack(value, folder)
    (name,) = {path.parent.name for path in folder.rglob("private_key.json")}
    return name


async def test_what_the_acme_server_says_against_it_is_told(
    make_haproxy: MakeHaproxy, servers: Servers, secret: Path, start_pebble: StartPebble
) -> None:
    port = free_port()
    more = {"https": "letsencrypt", "tls_dir": secret, "acme_host": "127.0.0.1", "acme_port": port}
    haproxy = make_haproxy(hub_port=await servers.start("hub"), **more)
    # The world reaches something else than the proxy.
    pebble = start_pebble(await servers.start("somebody else"), SECONDS)
    order = Order(HOST, "staff@example.org", pebble.url, haproxy.url, port, str(pebble.ca))
    kept = Secret(secret)
    before = dict(kept.data)
    async with kept.stored() as store:
        with pytest.raises(OrderFailed, match=r"certbot: .*hub\.example\.org"):
            await asyncio.to_thread(letsencrypt.run, order, store, datetime.now(UTC))
    assert kept.data == before
