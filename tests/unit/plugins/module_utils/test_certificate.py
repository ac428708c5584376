"""Certificates that browsers would refuse, and one that is made once."""

from __future__ import annotations

import ssl
from base64 import b64decode, b64encode
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from ansible_collections.campus.jupyterhub.plugins.filter.certificate_problems import FilterModule as Problems
from ansible_collections.campus.jupyterhub.plugins.filter.self_signed_certificate import FilterModule as SelfSigned
from ansible_collections.campus.jupyterhub.plugins.module_utils._certificate import fits, problems, self_signed
from ansible_collections.campus.jupyterhub.tests.unit.certificates import Pair, make_pair
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

HOST = "hub.example.org"
GOOD = make_pair(HOST, "*.lab.example.org", "192.0.2.7", name="other.example.org")


def secret(pair: Pair) -> dict[str, str]:
    """The pair as a Secret has it."""
    return {"tls.crt": encode(pair.certificate), "tls.key": encode(pair.key)}


def encode(text: str) -> str:
    """Base64."""
    return b64encode(text.encode()).decode()


def say(pair: Pair | dict[str, str], *hosts: str, days: float = 0) -> list[str]:
    """The problems, `days` from now; by default for the host."""
    data = secret(pair) if isinstance(pair, Pair) else pair
    return problems(data, "Secret tls", hosts or [HOST], datetime.now(UTC) + timedelta(days=days))


@pytest.mark.parametrize("host", [HOST, "HUB.example.org", "a.lab.example.org", "*.lab.example.org", "192.0.2.7"])
def test_a_good_certificate(host: str) -> None:
    assert say(GOOD, host) == []


def test_without_hosts_none_is_checked() -> None:
    assert problems(secret(GOOD), "Secret tls", [], datetime.now(UTC)) == []


def test_a_certificate_for_the_hub_alone_where_students_have_hosts_of_their_own() -> None:
    assert say(make_pair(HOST), HOST, f"*.{HOST}") == [
        f"The certificate in Secret tls is for {HOST}, not for *.{HOST};"
        " get one for the hosts of students, or correct hub_subdomain_host."
    ]
    assert say(make_pair(f"*.{HOST}"), HOST, f"*.{HOST}") == [
        f"The certificate in Secret tls is for *.{HOST}, not for {HOST};"
        " get one for the host of jupyterhub_url, or correct that."
    ]
    assert say(make_pair(HOST, f"*.{HOST}"), HOST, f"*.{HOST}") == []


def test_only_the_first_of_a_chain_counts() -> None:
    assert say(Pair(GOOD.certificate + make_pair("ca", days=-1).certificate, GOOD.key)) == []


@pytest.mark.parametrize(
    "host", ["example.org", "lab.example.org", "a.b.lab.example.org", "other.example.org", "192.0.2.8"]
)
def test_a_certificate_for_another_host(host: str) -> None:
    assert say(GOOD, host) == [
        f"The certificate in Secret tls is for {HOST}, *.lab.example.org, 192.0.2.7, not for {host};"
        " get one for the host of jupyterhub_url, or correct that."
    ]


def test_the_common_name_counts_for_nothing() -> None:
    (said,) = say(make_pair(name=HOST))
    assert said.startswith(f"The certificate in Secret tls is for no name at all, not for {HOST};")


def test_times() -> None:
    (said,) = say(GOOD, days=40)
    assert said.startswith("The certificate in Secret tls expired at 20")
    assert said.endswith(" UTC; renew it.")
    (said,) = say(GOOD, days=-40)
    assert said.startswith("The certificate in Secret tls is not good before 20")


def test_a_key_of_another() -> None:
    (said,) = say(Pair(GOOD.certificate, make_pair(HOST).key))
    assert said == "The key in Secret tls does not belong to its first certificate; put the pair there that does."


def locked() -> str:
    """The key with a password."""
    key = load_pem_private_key(GOOD.key.encode(), None)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret")).decode()


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({}, "no certificate in its tls.crt that can be read"),
        ({"tls.crt": "?", "tls.key": encode(GOOD.key)}, "no certificate in its tls.crt that can be read"),
        ({"tls.crt": encode("junk"), "tls.key": encode(GOOD.key)}, "no certificate in its tls.crt that can be read"),
        ({"tls.crt": encode(GOOD.certificate)}, "no key in its tls.key that can be read"),
        (secret(Pair(GOOD.certificate, locked())), "put it there as PEM, without a password."),
    ],
)
def test_what_cannot_be_read(data: dict[str, str], words: str) -> None:
    (said,) = say(data)
    assert words in said


@pytest.mark.parametrize(
    ("name", "host", "expected"),
    [
        ("a.b", "a.b", True),
        ("A.b.", "a.B", True),
        ("*.b", "a.b", True),
        ("*.b", "b", False),
        ("*.b", "a.a.b", False),
        ("*", "b", False),
        ("*.b", "*.b", True),
        ("*.b", "*.a.b", False),
        ("b", "*.b", False),
        ("a*.b", "aa.b", False),
        ("::1", "[0:0::1]", True),
        ("*.0.0.1", "127.0.0.1", False),
    ],
)
def test_names(name: str, host: str, expected: bool) -> None:
    assert fits(name, host) is expected


@pytest.mark.parametrize("host", [HOST, "127.0.0.1", "::1", "localhost"])
def test_a_self_signed_certificate_is_made_once_and_kept(host: str) -> None:
    now = datetime.now(UTC)
    made = self_signed({}, [host], now)
    assert problems(made, "", [host], now + timedelta(days=823)) == []
    assert self_signed(made, [host], now + timedelta(days=700)) == made


def test_a_self_signed_certificate_is_made_anew_in_time_and_for_another_host() -> None:
    now = datetime.now(UTC)
    made = self_signed({}, [HOST], now)
    others = [
        self_signed(made, [HOST], now + timedelta(days=740)),
        self_signed(made, ["other.example.org"], now),
        self_signed(made, [HOST, f"*.{HOST}"], now),
    ]
    for other in others:
        assert other["tls.key"] != made["tls.key"]


def test_a_client_that_trusts_it_believes_it(tmp_path: Path) -> None:
    hosts = [HOST, f"*.{HOST}"]
    made = SelfSigned().filters()["self_signed_certificate"]({}, hosts)
    assert Problems().filters()["certificate_problems"](made, "Secret tls", hosts=hosts) == []
    for name in made:
        (tmp_path / name).write_bytes(b64decode(made[name]))
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(tmp_path / "tls.crt", tmp_path / "tls.key")
    client = ssl.create_default_context(cafile=tmp_path / "tls.crt")
    client.verify_flags |= ssl.VERIFY_X509_STRICT
    assert agree(client, server, HOST)
    assert agree(client, server, f"ann.{HOST}")
    with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
        agree(client, server, "other.example.org")
    with pytest.raises(ssl.SSLCertVerificationError, match="self-signed"):
        agree(ssl.create_default_context(), server, HOST)


def agree(client: ssl.SSLContext, server: ssl.SSLContext, host: str) -> bool:
    """Let the two shake hands in memory; raises what the client raises."""
    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    ours = client.wrap_bio(to_client, to_server, server_hostname=host)
    theirs = server.wrap_bio(to_server, to_client, server_side=True)
    for _unused in range(5):
        for side in (ours, theirs):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
    return ours.version() is not None
