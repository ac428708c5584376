"""The keeper of the certificate, with a real HAProxy."""

from __future__ import annotations

import asyncio
import stat
from pathlib import Path

import aiohttp
import pytest
from aiohttp.test_utils import TestClient, TestServer
from ansible_collections.campus.jupyterhub.tests.unit.certificates import Pair, make_pair
from ansible_collections.campus.jupyterhub.tests.unit.images.proxy.conftest import MakeHaproxy
from ansible_collections.campus.jupyterhub.tests.unit.images.proxy.fakes import Haproxy, Servers, make_settings
from ansible_collections.campus.jupyterhub.tests.unit.images.proxy.visitor import HOST, Visitor, any_certificate
from campus_proxy import certificate, launch
from campus_proxy.agent import Agent
from campus_proxy.certificate import Keeper
from campus_proxy.haproxy import HaproxyError
from campus_proxy.kube import Api
from campus_proxy.server import build_app


def start(make_haproxy: MakeHaproxy, secret: Path, hub_port: int, **more: object) -> tuple[Haproxy, Keeper]:
    """A HAProxy with https, and its keeper."""
    haproxy = make_haproxy(hub_port=hub_port, tls_dir=secret, **{"https": "secret", **more})
    return haproxy, Keeper.build(haproxy.settings)


def fingerprint(pair: Pair) -> str:
    """How HAProxy and a client name a certificate."""
    return certificate.fingerprint(pair.certificate)


async def test_a_new_certificate_comes_without_dropping_a_connection(
    make_haproxy: MakeHaproxy, servers: Servers, secret: Path
) -> None:
    haproxy, keeper = start(make_haproxy, secret, await servers.start("hub"))
    await haproxy.route_map.replace({"/user/ann/": f"127.0.0.1|{await servers.start('ann')}"}, "test")
    url = f"https://127.0.0.1:{haproxy.settings.https_port}/user/ann/ws"
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(url, ssl=any_certificate()) as channel,
        Visitor.at(haproxy) as early,
    ):
        assert await early.get() == 200
        await keeper.look()
        for _unused in range(3):
            new = make_pair(HOST)
            new.mount(secret)
            await keeper.look()
            async with Visitor.at(haproxy) as late:
                assert late.sees == fingerprint(new)
                assert await late.get() == 200
            assert await early.get() == 200
            await channel.send_str("still here")
            assert await channel.receive_str(timeout=5) == "ann:still here"
        assert early.sees != fingerprint(new)
        assert (keeper.loads, keeper.failures, keeper.refused) == (4, 0, "")
        await keeper.look()
        assert keeper.loads == 4, "what is served already is not loaded again"


BAD = {
    "the key does not belong to the certificate": lambda: Pair(make_pair(HOST).certificate, make_pair(HOST).key),
    "it expired at": lambda: make_pair(HOST, days=-1),
    "it is not good before": lambda: make_pair(HOST, begins=5),
    "tls.crt holds no certificate": lambda: Pair("nothing", make_pair(HOST).key),
    "tls.key does not hold one private key": lambda: Pair(make_pair(HOST).certificate, ""),
    "it cannot be read": lambda: Pair(make_pair(HOST).certificate.replace("M", "*"), make_pair(HOST).key),
    "more than the 30000 that HAProxy takes": lambda: Pair(make_pair(HOST).certificate * 100, make_pair(HOST).key),
}


@pytest.mark.parametrize("why", BAD)
async def test_a_bad_certificate_is_refused_and_the_old_one_stays(
    make_haproxy: MakeHaproxy, servers: Servers, secret: Path, why: str
) -> None:
    haproxy, keeper = start(make_haproxy, secret, await servers.start("hub"))
    await haproxy.route_map.replace({}, "test")
    good = make_pair(HOST)
    good.mount(secret)
    await keeper.look()
    BAD[why]().mount(secret)
    for _unused in range(2):
        await keeper.look()
        assert why in keeper.refused
        assert keeper.failures == 1, "each bad certificate counts once"
        async with Visitor.at(haproxy) as visitor:
            assert (visitor.sees, await visitor.get()) == (fingerprint(good), 200)
    assert keeper.loads == 1
    haproxy.kill()
    assert certificate.make_usable(secret, haproxy.settings.tls_file), "HAProxy begins anew with the last good one"
    haproxy.start()
    await haproxy.route_map.replace({}, "test")
    async with Visitor.at(haproxy) as visitor:
        assert visitor.sees == fingerprint(good)
    new = make_pair(HOST)
    new.mount(secret)
    await keeper.look()
    assert (keeper.refused, keeper.loads) == ("", 2)


async def test_a_haproxy_that_began_anew_gets_the_certificate_again(
    make_haproxy: MakeHaproxy, servers: Servers, secret: Path
) -> None:
    haproxy, keeper = start(make_haproxy, secret, await servers.start("hub"))
    older = haproxy.settings.tls_file.read_text()
    new = make_pair(HOST)
    new.mount(secret)
    await keeper.look()
    haproxy.kill()
    with pytest.raises(HaproxyError):
        await keeper.look()
    haproxy.settings.tls_file.write_text(older)
    haproxy.start()
    await keeper.look()
    async with Visitor.at(haproxy) as visitor:
        assert visitor.sees == fingerprint(new)


async def test_the_longest_chain_fits(make_haproxy: MakeHaproxy, servers: Servers, secret: Path) -> None:
    haproxy, keeper = start(make_haproxy, secret, await servers.start("hub"))
    pair = make_pair(HOST)
    copies = (certificate.LONGEST - len(pair.key)) // len(pair.certificate)
    Pair(pair.certificate * copies, pair.key).mount(secret)
    await keeper.look()
    assert (keeper.refused, keeper.loads) == ("", 1)
    async with Visitor.at(haproxy) as visitor:
        assert visitor.sees == fingerprint(pair)


async def test_the_keeper_goes_on_whatever_happens(
    make_haproxy: MakeHaproxy, servers: Servers, secret: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(certificate, "WATCH_SECONDS", 0.01)
    haproxy, keeper = start(make_haproxy, secret, await servers.start("hub"))
    strict = certificate.parse
    monkeypatch.setattr(certificate, "parse", lambda answer: 1 / 0)
    work = asyncio.create_task(keeper.run())
    async with asyncio.timeout(20):
        while keeper.failures < 2:
            await asyncio.sleep(0.01)
        monkeypatch.setattr(certificate, "parse", strict)
        while not keeper.loads:
            await asyncio.sleep(0.01)
        haproxy.kill()
        haproxy.start()
        new = make_pair(HOST)
        new.mount(secret)
        while keeper.loads < 2:
            await asyncio.sleep(0.01)
    work.cancel()


async def test_the_metrics_say_what_is_served(make_haproxy: MakeHaproxy, servers: Servers, secret: Path) -> None:
    haproxy, keeper = start(make_haproxy, secret, await servers.start("hub"))
    await keeper.look()
    make_pair(HOST, days=-3).mount(secret)
    await keeper.look()
    assert keeper.served is not None
    agent = Agent.build(haproxy.settings, Api("http://127.0.0.1:1"))
    async with TestClient(TestServer(build_app(agent, keeper))) as client:
        text = await (await client.get("/metrics")).text()
    said = dict(line.rsplit(" ", 1) for line in text.splitlines() if line.startswith("campus_proxy_certificate"))
    assert float(said["campus_proxy_certificate_expiry_timestamp_seconds"]) == keeper.served.not_after
    assert float(said["campus_proxy_certificate_loaded_timestamp_seconds"]) == pytest.approx(keeper.loaded_at)
    assert said["campus_proxy_certificate_refused"] == "1"
    assert said["campus_proxy_certificate_loads_total"] == "1"
    assert said["campus_proxy_certificate_failures_total"] == "1"


def test_the_private_key_is_for_this_user_alone(secret: Path, tmp_path: Path) -> None:
    path = tmp_path / "site.pem"
    assert not certificate.make_usable(secret, path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert sorted(path.parent.glob("site*")) == [path]


def test_what_stands_around_a_certificate_is_left_out(tmp_path: Path) -> None:
    pair = make_pair(HOST)
    noisy = Pair(f"Bag Attributes: Übung\n\n{pair.certificate}\n\n\n{pair.certificate}\n", f"# the key\r\n{pair.key}")
    text = certificate.read(noisy.mount(tmp_path / "tls"))
    assert text == (pair.certificate * 2 + pair.key)
    assert "\n\n" not in text, "an empty line would end the payload"


def test_a_replica_without_any_certificate_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "tls").mkdir()
    monkeypatch.setenv("CAMPUS_RUN_DIR", str(tmp_path))
    monkeypatch.setenv("CAMPUS_TLS_DIR", str(tmp_path / "tls"))
    monkeypatch.setenv("CAMPUS_HTTPS", "self_signed")
    with pytest.raises(SystemExit) as ended:
        launch.main()
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert said == "campus-proxy: the Secret's certificate cannot be served: the Secret has no tls.crt\n"


def test_an_expired_certificate_is_better_than_none(tmp_path: Path) -> None:
    settings = make_settings(tmp_path, https="secret", tls_dir=make_pair(HOST, days=-1).mount(tmp_path / "tls"))
    assert launch.prepare(settings)["CAMPUS_TLS_FILE"] == str(settings.tls_file)
    make_pair(HOST).mount(settings.tls_dir)
    assert certificate.make_usable(settings.tls_dir, settings.tls_file), "the agent brings the new one"


@pytest.mark.parametrize("text", ["", "Can't display the certificate: Not found\n", "notAfter: soon\nnotBefore: x\n"])
def test_an_answer_without_a_certificate_is_an_error(text: str) -> None:
    with pytest.raises(HaproxyError):
        certificate.parse(text)


@pytest.mark.parametrize("refusing", ["set", "commit"])
async def test_a_haproxy_that_takes_no_certificate_is_a_refusal(
    secret: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refusing: str
) -> None:
    keeper = Keeper("socket", secret, tmp_path / "site.pem")
    shown = "notBefore: Nov  5 10:00:00 2025 GMT\nnotAfter: Nov  5 10:00:00 2099 GMT\nSHA1 FingerPrint: AB\n"
    answers = {"show": shown, "set": "Transaction created", "commit": "Success!", "abort": ""}
    asked: list[str] = []

    async def command(path: str, text: str) -> str:
        asked.append(text.split(maxsplit=1)[0])
        return answers[asked[-1]]

    monkeypatch.setattr(certificate, "command", command)
    monkeypatch.setitem(answers, refusing, "no")
    await keeper.look()
    assert keeper.refused == "HAProxy does not take it (no)"
    assert asked[-1] == "abort"
    assert not list(tmp_path.glob("site*"))
