# Copyright: campus.jupyterhub contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Registries are asked as container runtimes do; what they had once is remembered."""

from __future__ import annotations

import http.server
import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.campus.jupyterhub.plugins.module_utils import _build_origin as origin
from ansible_collections.campus.jupyterhub.plugins.module_utils import _build_probe as probe
from ansible_collections.campus.jupyterhub.plugins.module_utils._images import ImagesError


class Handler(http.server.BaseHTTPRequestHandler):
    """A registry: open/ needs no login, token/ a token that anybody gets, closed/ a password, sick/ is out of order."""

    def do_HEAD(self) -> None:
        self.server.asked.append(self.path)  # type: ignore[attr-defined]
        host = self.headers["Host"]
        folder = self.path.split("/")[2]
        if folder == "token" and self.headers["Authorization"] != "Bearer for-anybody":
            self.answer(401, f'Bearer realm="http://{host}/token",service="me",scope="repository:token/hub:pull"')
        elif folder == "closed":
            self.answer(401, 'Basic realm="closed"')
        elif folder == "sick":
            self.answer(503)
        else:
            self.answer(200 if self.path.endswith("/manifests/1") else 404)

    def do_GET(self) -> None:
        good = self.path == "/token?service=me&scope=repository%3Atoken%2Fhub%3Apull"
        body = json.dumps({"token": "for-anybody"} if good else {}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def answer(self, status: int, challenge: str = "") -> None:
        self.send_response(status)
        if challenge:
            self.send_header("WWW-Authenticate", challenge)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def registry() -> Iterator[http.server.ThreadingHTTPServer]:
    """A registry on this machine; ``asked`` lists the paths that it was asked for."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.asked = []  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("open/hub:1", "there"),
        ("open/hub:2", "missing"),
        ("token/hub:1", "there"),
        ("token/hub:2", "missing"),
        ("closed/hub:1", "refused"),
        ("sick/hub:1", "silent"),
    ],
)
def test_what_a_registry_answers(registry: http.server.ThreadingHTTPServer, name: str, answer: str) -> None:
    assert probe.Probe().ask(f"127.0.0.1:{registry.server_port}/{name}") == answer


def test_nobody_there(monkeypatch: pytest.MonkeyPatch) -> None:
    resolve = socket.getaddrinfo

    def unknown(host: str, *args: Any, **kwargs: Any) -> Any:
        # The machine's name server may take its time to say so.
        if host == "registry.invalid":
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return resolve(host, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    assert probe.Probe().ask_all(["127.0.0.1:1/hub:1", "registry.invalid/hub:1"]) == {
        "127.0.0.1:1/hub:1": "silent",
        "registry.invalid/hub:1": "silent",
    }


@pytest.mark.parametrize(
    ("challenge", "url"),
    [
        ('Bearer realm="https://auth.docker.io/token",service="r"', "https://auth.docker.io/token?service=r"),
        ('Basic realm="registry"', None),
        ("Bearer", None),
        ("", None),
    ],
)
def test_where_a_token_comes_from(challenge: str, url: str | None) -> None:
    assert probe.token_url(challenge) == url


def test_what_was_there_once_is_not_asked_again(registry: http.server.ThreadingHTTPServer, tmp_path: Path) -> None:
    there, missing = (f"127.0.0.1:{registry.server_port}/open/hub:{tag}" for tag in (1, 2))
    for _run in range(2):
        origins = origin.Origins("auto", tmp_path / "published.json", probe.Probe(), [])
        assert origins.choose({"hub": [there], "proxy": [missing]}, set()) == {"hub": there, "proxy": ""}
    asked = registry.asked  # type: ignore[attr-defined]
    assert (asked.count("/v2/open/hub/manifests/1"), asked.count("/v2/open/hub/manifests/2")) == (1, 2)


def test_what_is_built_already_is_not_asked_for(registry: http.server.ThreadingHTTPServer, tmp_path: Path) -> None:
    reference = f"127.0.0.1:{registry.server_port}/open/hub:1"
    origins = origin.Origins("auto", tmp_path / "published.json", probe.Probe(), [])
    assert origins.choose({"hub": [reference]}, {"hub"}) == {"hub": ""}
    builds = origin.Origins("build", tmp_path / "other", probe.Probe(), [])
    assert builds.choose({"hub": [reference]}, set()) == {"hub": ""}
    assert not builds.has(reference)
    assert registry.asked == []  # type: ignore[attr-defined]
    # Whoever wants a registry gets its image, whatever was built before.
    origins = origin.Origins("registry", tmp_path / "published.json", probe.Probe(), [])
    assert origins.choose({"hub": [reference]}, {"hub"}) == {"hub": reference}


def test_a_login_is_refused_only_where_the_user_named_the_registry(
    registry: http.server.ThreadingHTTPServer, tmp_path: Path
) -> None:
    host = f"127.0.0.1:{registry.server_port}"
    anybody = origin.Origins("auto", tmp_path / "published.json", probe.Probe(), [])
    assert anybody.choose({"hub": [f"{host}/closed/hub:1"]}, set()) == {"hub": ""}
    named = origin.Origins("auto", tmp_path / "published.json", probe.Probe(), [host])
    with pytest.raises(ImagesError, match="answers 401"):
        named.choose({"hub": [f"{host}/closed/hub:1"]}, set())
