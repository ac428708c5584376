"""What HAProxy agrees on with those who come by https."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path

import aiohttp
import pytest
from ansible_collections.campus.jupyterhub.tests.unit.images.proxy.conftest import MakeHaproxy
from ansible_collections.campus.jupyterhub.tests.unit.images.proxy.fakes import Haproxy, Servers
from ansible_collections.campus.jupyterhub.tests.unit.images.proxy.visitor import HOST, Visitor, any_certificate


async def start(make_haproxy: MakeHaproxy, servers: Servers, secret: Path, **more: object) -> Haproxy:
    """A HAProxy with https and a hub."""
    haproxy = make_haproxy(hub_port=await servers.start("hub"), tls_dir=secret, **{"https": "secret", **more})
    await haproxy.route_map.replace({}, "test")
    return haproxy


@pytest.mark.parametrize(("https", "strict"), [("secret", "max-age=31536000"), ("self_signed", None)])
async def test_http_is_sent_to_https(
    make_haproxy: MakeHaproxy, servers: Servers, secret: Path, https: str, strict: str | None
) -> None:
    haproxy = await start(make_haproxy, servers, secret, https=https, public_port=8443)
    async with aiohttp.ClientSession() as session:
        async with session.get(haproxy.url + "/hub/home?a=b", allow_redirects=False) as answer:
            assert answer.status == 301
            assert answer.headers["Location"] == "https://127.0.0.1:8443/hub/home?a=b"
            assert "Strict-Transport-Security" not in answer.headers
        async with session.get(f"https://127.0.0.1:{haproxy.settings.https_port}/hub/home", ssl=False) as answer:
            assert (await answer.json())["headers"]["X-Forwarded-Proto"] == "https"
            assert answer.headers.get("Strict-Transport-Security") == strict


def offering(version: ssl.TLSVersion, ciphers: str = "ALL:@SECLEVEL=0") -> ssl.SSLContext:
    """A client that offers these and nothing else."""
    context = any_certificate()
    context.set_ciphers(ciphers)
    context.minimum_version, context.maximum_version = version, version
    return context


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_versions_of_today(
    make_haproxy: MakeHaproxy, servers: Servers, secret: Path, version: ssl.TLSVersion
) -> None:
    haproxy = await start(make_haproxy, servers, secret)
    async with Visitor.at(haproxy, offering(version)) as visitor:
        assert visitor.tls.version() == version.name.replace("_", ".")
        assert await visitor.get() == 200


@pytest.mark.parametrize(
    ("offer", "words"),
    [
        ((ssl.TLSVersion.TLSv1_1, "ALL:@SECLEVEL=0"), "ALERT_PROTOCOL_VERSION"),
        ((ssl.TLSVersion.TLSv1_2, "AES128-GCM-SHA256:ECDHE-ECDSA-AES256-SHA:@SECLEVEL=0"), "ALERT_HANDSHAKE_FAILURE"),
    ],
)
@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1 is deprecated:DeprecationWarning")
async def test_what_is_out_of_date_is_refused(
    make_haproxy: MakeHaproxy, servers: Servers, secret: Path, offer: tuple[ssl.TLSVersion, str], words: str
) -> None:
    haproxy = await start(make_haproxy, servers, secret)
    with pytest.raises(ssl.SSLError, match=words):
        async with Visitor.at(haproxy, offering(*offer)):
            pass


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """A frame of HTTP/2."""
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload


async def test_http_2(make_haproxy: MakeHaproxy, servers: Servers, secret: Path) -> None:
    haproxy = await start(make_haproxy, servers, secret)
    context = any_certificate()
    context.set_alpn_protocols(["h2", "http/1.1"])
    async with Visitor.at(haproxy, context) as visitor:
        assert visitor.tls.selected_alpn_protocol() == "h2"
        # GET, /, https and the host, in the short forms of RFC 7541.
        headers = b"\x82\x84\x87\x41" + bytes([len(HOST)]) + HOST.encode()
        hello = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0, 0)
        visitor.writer.write(hello + frame(1, 5, 1, headers))
        async with asyncio.timeout(10):
            kind, payload = -1, b""
            while kind != 1:
                head = await visitor.reader.readexactly(9)
                kind, payload = head[3], await visitor.reader.readexactly(int.from_bytes(head[:3], "big"))
        assert payload[0] == 0x88, "that is 200"


async def test_who_asked_for_nothing_special_gets_http_1(
    make_haproxy: MakeHaproxy, servers: Servers, secret: Path
) -> None:
    haproxy = await start(make_haproxy, servers, secret)
    url = f"https://127.0.0.1:{haproxy.settings.https_port}/hub/home"
    async with aiohttp.ClientSession() as session, session.get(url, ssl=any_certificate()) as answer:
        assert answer.version == aiohttp.HttpVersion11
        assert (await answer.json())["headers"]["X-Forwarded-For"] == "127.0.0.1"
