"""Which login the smoke test takes, and what it says when something for it is missing."""

from __future__ import annotations

import base64
import ssl
import threading
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.campus.jupyterhub.plugins.module_utils._certificate import self_signed
from ansible_collections.campus.jupyterhub.plugins.module_utils._cluster import ClusterError
from ansible_collections.campus.jupyterhub.plugins.module_utils._smoke_test_client import Client, Deadline, Refused
from ansible_collections.campus.jupyterhub.plugins.module_utils._smoke_test_setup import has_shared_password, smoke_test

OPTIONS = {
    "url": "http://127.0.0.1:8000",
    "namespace": "jupyterhub",
    "user": "canary",
    "login": "auto",
    "secret": "hub-secret",
    "config": "hub-config",
    "timeout": 60,
    "url_validate_certs": True,
    "url_ca_path": None,
    "connect_to": "",
    "proxy_namespace": "",
}
SHARED = "hub_config: {JupyterHub: {authenticator_class: shared-password}}"
OAUTH = "hub_config: {JupyterHub: {authenticator_class: generic-oauth}}"


class Cluster:
    """Answers from memory."""

    def __init__(self, config: str | None, **secret: str) -> None:
        data = {key: base64.b64encode(value.encode()).decode() for key, value in secret.items()}
        self.objects: dict[str, Any] = {"Secret": {"data": data}}
        if config is not None:
            self.objects["ConfigMap"] = {"data": {"config.yaml": config}}

    def get(self, kind: str, name: str, namespace: str | None = None, api_version: str = "v1") -> dict[str, Any] | None:
        found: dict[str, Any] | None = self.objects.get(f"{kind} {name}") or self.objects.get(kind)
        return found

    def mounts(self, name: str, certificate: str) -> None:
        """Let the proxy serve the certificate of a Secret."""
        volumes = [{"name": "run", "emptyDir": {}}, {"name": "certificate", "secret": {"secretName": name}}]
        self.objects["Deployment proxy"] = {"spec": {"template": {"spec": {"volumes": volumes}}}}
        self.objects[f"Secret {name}"] = {"data": {"tls.crt": base64.b64encode(certificate.encode()).decode()}}


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (SHARED, True),
        (
            "hub_config: {JupyterHub: {authenticator_class: hub.SharedPasswordAuthenticator}}",
            True,
        ),
        (OAUTH, False),
        ("hub_config: {JupyterHub: }", False),
        ("", False),
    ],
)
def test_the_shared_password_is_seen_in_the_configuration(config: str, expected: bool) -> None:
    assert has_shared_password(config) is expected


@pytest.mark.parametrize(
    ("config", "login", "password"),
    [(SHARED, "auto", "p"), (OAUTH, "auto", ""), (OAUTH, "form", "p"), (None, "token", "")],
)
def test_the_password_is_used_only_where_the_form_takes_it(config: str | None, login: str, password: str) -> None:
    cluster = Cluster(config, canary_token="t", student_password="p")
    test = smoke_test(cluster, {**OPTIONS, "login": login}, "")
    assert (test.token, test.password, test.seconds) == ("t", password, 60)


@pytest.mark.parametrize(
    ("cluster", "words"),
    [
        (Cluster(None, canary_token="t"), "ConfigMap jupyterhub/hub-config: it is not there"),
        (Cluster(SHARED, canary_token="t"), "Secret jupyterhub/hub-secret: it has no student_password"),
        (Cluster(OAUTH), "Secret jupyterhub/hub-secret: it has no canary_token"),
    ],
)
def test_what_is_missing_is_named(cluster: Cluster, words: str) -> None:
    with pytest.raises(ClusterError, match=words):
        smoke_test(cluster, OPTIONS, "")


@pytest.mark.parametrize(
    ("secret", "ca_path", "used"),
    [
        ("proxy-self-signed", None, "proxy.pem"),
        ("proxy-self-signed", "campus.pem", "campus.pem"),
        ("site-tls", None, None),
    ],
)
def test_a_certificate_that_the_proxy_signed_itself_is_known(
    tmp_path: Path, secret: str, ca_path: str | None, used: str | None
) -> None:
    cluster = Cluster(OAUTH, canary_token="t")
    assert smoke_test(cluster, OPTIONS, str(tmp_path)).ca_path is None
    cluster.mounts(secret, "PEM")
    test = smoke_test(cluster, {**OPTIONS, "url_ca_path": ca_path}, str(tmp_path))
    assert (Path(test.ca_path).name if test.ca_path else None) == used
    assert (tmp_path / "proxy.pem").exists() is (used == "proxy.pem")


class Greeter(BaseHTTPRequestHandler):
    """Answers everything with the same word."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"welcome")

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


def test_a_self_signed_address_is_believed_when_its_certificate_is_known(tmp_path: Path) -> None:
    made = self_signed({}, ["127.0.0.1"], datetime.now(UTC))
    for name, value in made.items():
        (tmp_path / name).write_bytes(base64.b64decode(value))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "tls.crt", tmp_path / "tls.key")
    with HTTPServer(("127.0.0.1", 0), Greeter) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"https://127.0.0.1:{server.server_port}"
        assert Client(url, Deadline(10), ca_path=str(tmp_path / "tls.crt")).ask("GET", "/").body == "welcome"
        with pytest.raises(Refused, match="CERTIFICATE_VERIFY_FAILED"):
            Client(url, Deadline(10)).ask("GET", "/")
        server.shutdown()
