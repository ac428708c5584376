"""When a certificate is ordered, and what is said when that does not work; tests/acme has the orders themselves."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from ansible_collections.campus.jupyterhub.tests.unit.certificates import make_pair
from ansible_collections.campus.jupyterhub.tests.unit.images.proxy.conftest import MakeHaproxy
from ansible_collections.campus.jupyterhub.tests.unit.images.proxy.fakes import Servers
from ansible_collections.campus.jupyterhub.tests.unit.images.proxy.visitor import HOST
from ansible_collections.campus.jupyterhub.tests.unit.ports import free_port
from campus_proxy import letsencrypt
from campus_proxy.letsencrypt import Order, OrderFailed, Store

# It was good from yesterday on, so for 90 days altogether.
ISSUED = make_pair(HOST, "www.example.org", days=89, issuer="An issuer")


@pytest.mark.parametrize(
    ("pem", "days", "words"),
    [
        (ISSUED.certificate, 0, ""),
        (ISSUED.certificate, 58, ""),
        (ISSUED.certificate, 60, "expires at"),
        (ISSUED.certificate, 200, "expires at"),
        (make_pair(HOST).certificate, 0, "signed itself"),
        (make_pair("other.example.org", issuer="An issuer").certificate, 0, "for another host"),
        (make_pair(issuer="An issuer").certificate, 0, "for another host"),
        ("", 0, "there is none"),
    ],
)
def test_when_a_certificate_is_due(pem: str, days: int, words: str) -> None:
    said = letsencrypt.due(pem.encode(), HOST, datetime.now(UTC) + timedelta(days=days))
    assert words in said
    assert bool(said) is bool(words)


def order(**more: Any) -> Order:
    """An order that goes nowhere."""
    values = {"host": HOST, "email": "", "server": "https://127.0.0.1:1/", "public": "", "port": free_port(), "ca": ""}
    return Order(**{**values, **more})


@pytest.mark.parametrize("routes", [True, False])
@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_a_question_of_the_issuer_reaches_the_job(
    make_haproxy: MakeHaproxy, servers: Servers, secret: Path, scheme: str, routes: bool
) -> None:
    more = {"https": "letsencrypt", "tls_dir": secret, "acme_host": "127.0.0.1"}
    haproxy = make_haproxy(hub_port=await servers.start("hub"), acme_port=await servers.start("job"), **more)
    if routes:
        await haproxy.route_map.replace({}, "test")
    port = haproxy.settings.http_port if scheme == "http" else haproxy.settings.https_port
    url = f"{scheme}://127.0.0.1:{port}/.well-known/acme-challenge/x"
    async with aiohttp.ClientSession() as session, session.get(url, ssl=False, allow_redirects=False) as answer:
        assert (await answer.json())["server"] == "job"


async def test_without_letsencrypt_the_path_is_the_hubs(make_haproxy: MakeHaproxy, servers: Servers) -> None:
    haproxy = make_haproxy(hub_port=await servers.start("hub"), acme_port=await servers.start("job"))
    await haproxy.route_map.replace({}, "test")
    url = haproxy.url + "/.well-known/acme-challenge/x"
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        assert (await answer.json())["server"] == "hub"


def test_a_proxy_that_leads_elsewhere_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(letsencrypt, "REACH_SECONDS", 0.0)
    nobody = order(public=f"http://127.0.0.1:{free_port()}")
    with pytest.raises(OrderFailed, match=r"does not lead to this pod: .*refused"):
        letsencrypt.wait_until_reached(nobody, tmp_path / "one")
    (tmp_path / "other").mkdir()
    elsewhere = order(public=f"http://127.0.0.1:{nobody.port}")
    with letsencrypt.answering(tmp_path / "other", nobody.port), pytest.raises(OrderFailed, match="404"):
        letsencrypt.wait_until_reached(elsewhere, tmp_path / "two")


def test_certbot_that_fails_or_hangs_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bin_ = tmp_path / "bin"
    bin_.mkdir()
    monkeypatch.setattr(sys, "executable", str(bin_ / "python"))
    program = bin_ / "certbot"
    program.write_text("#!/bin/sh\necho too many certificates >&2\nexit 1\n")
    program.chmod(0o755)
    with pytest.raises(OrderFailed, match="certbot: too many certificates"):
        letsencrypt.certbot(order(email="staff@example.org"), tmp_path, tmp_path)
    program.write_text("#!/bin/sh\nexec sleep 60\n")
    monkeypatch.setattr(letsencrypt, "CERTBOT_SECONDS", 0.1)
    with pytest.raises(OrderFailed, match="did not end within"):
        letsencrypt.certbot(order(), tmp_path, tmp_path)


def test_the_account_is_packed_and_unpacked(tmp_path: Path) -> None:
    (tmp_path / "a" / "server").mkdir(parents=True)
    (tmp_path / "a" / "server" / "key.json").write_text(json.dumps({"n": 1}))
    letsencrypt.unpack(letsencrypt.pack(tmp_path / "a"), tmp_path / "b")
    assert json.loads((tmp_path / "b" / "server" / "key.json").read_text()) == {"n": 1}


def test_the_secret_is_found_by_the_environment() -> None:
    env = {"KUBERNETES_SERVICE_HOST": "fd00::1", "CAMPUS_NAMESPACE": "campus", "CAMPUS_ORDER_SECRET": "tls"}
    assert Store.in_cluster(env).url == "https://[fd00::1]:443/api/v1/namespaces/campus/secrets/tls"


@pytest.mark.parametrize(
    ("env", "words"),
    [
        ({}, "CAMPUS_ORDER_HOST and CAMPUS_ORDER_SERVER are needed"),
        ({"CAMPUS_ORDER_HOST": HOST, "CAMPUS_ORDER_SERVER": "https://127.0.0.1:1/"}, "refused"),
    ],
)
def test_no_certificate_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], env: dict[str, str], words: str
) -> None:
    api = {"KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": str(free_port())}
    for key, value in {**api, "CAMPUS_NAMESPACE": "campus", "CAMPUS_ORDER_SECRET": "tls", **env}.items():
        monkeypatch.setenv(key, value)
    with pytest.raises(SystemExit) as ended:
        letsencrypt.main()
    assert ended.value.code == 1
    said = capsys.readouterr().err
    assert said.startswith("campus-proxy: no new certificate: ")
    assert words in said
