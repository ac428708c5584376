"""The student's server itself, started as in the image, with a hub that comes and goes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.campus.jupyterhub.tests.unit.ports import free_port

pytest.importorskip("jupyter_server")

SOURCES = Path(__file__).parents[4] / "images/singleuser/src"
ANN = {"name": "ann", "kind": "user", "admin": False, "groups": [], "scopes": ["access:servers!server=ann/"]}


class FakeHub(ThreadingHTTPServer):
    """A hub that knows one token and notes the reports of activity."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, port: int) -> None:
        super().__init__(("127.0.0.1", port), Answer)
        self.reports: list[Any] = []
        self.thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05})
        self.thread.start()

    def leave(self) -> None:
        """Stop listening."""
        self.shutdown()
        self.server_close()
        self.thread.join()


class Answer(BaseHTTPRequestHandler):
    """Answers of the hub."""

    server: FakeHub

    def do_GET(self) -> None:
        """Identify the user of a token; anything else is the API's greeting."""
        known = self.headers.get("Authorization") == "token good"
        user = self.path == "/hub/api/user"
        self._send(200 if known or not user else 403, ANN if user else {"version": "6.1.1"})

    def do_POST(self) -> None:
        """Note a report of activity."""
        self.server.reports.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self._send(200, {})

    def _send(self, status: int, body: Any) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("X-JupyterHub-Version", "6.1.1")
        # So that a hub that leaves leaves at once.
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        """Keep quiet."""


class Server:
    """A student's server in a process of its own."""

    def __init__(self, folder: Path, hub_port: int, **environ: str) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}/user/ann/"
        hub = f"http://127.0.0.1:{hub_port}/hub/api"
        self.log = folder / "log"
        environment = os.environ | {
            "HOME": str(folder),
            "JUPYTER_RUNTIME_DIR": str(folder / "runtime"),
            "PYTHONPATH": str(SOURCES),
            "JUPYTERHUB_API_TOKEN": "good",
            "JUPYTERHUB_API_URL": hub,
            "JUPYTERHUB_ACTIVITY_URL": f"{hub}/users/ann/activity",
            "JUPYTERHUB_ACTIVITY_INTERVAL": "1",
            "JUPYTERHUB_CLIENT_ID": "jupyterhub-user-ann",
            "JUPYTERHUB_OAUTH_ACCESS_SCOPES": json.dumps(ANN["scopes"]),
            "JUPYTERHUB_SERVICE_PREFIX": "/user/ann/",
            "JUPYTERHUB_SERVICE_URL": self.url,
            "JUPYTERHUB_USER": "ann",
            **environ,
        }
        command = [sys.executable, "-c", "from campus_singleuser.app import main; main()"]
        command += ["--HubOAuth.cache_max_age=1", "--allow-root"]
        with self.log.open("w") as log:
            self.process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, cwd=folder)

    def get(self, path: str) -> Any:
        """Return what the server says to its student."""
        request = urllib.request.Request(f"{self.url}{path}", headers={"Authorization": "token good"})
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)

    def status(self, token: str = "good", path: str = "api/status") -> int:
        """Return the HTTP status of a page that wants a user, 0 if nothing listens."""
        request = urllib.request.Request(f"{self.url}{path}", headers={"Authorization": f"token {token}"})
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                status: int = answer.status
                return status
        except urllib.error.HTTPError as error:
            return error.code
        except OSError:
            return 0

    def wait(self, wanted: int, bound: float = 120) -> None:
        """Wait for a status."""
        deadline = time.monotonic() + bound
        while (found := self.status()) != wanted:
            assert time.monotonic() < deadline, f"{found}, not {wanted}:\n{self.log.read_text()}"
            assert self.process.poll() is None, self.log.read_text()
            time.sleep(0.1)


@pytest.fixture
def hub_port() -> int:
    """The port on which the hub comes and goes."""
    return free_port()


@contextmanager
def serving(folder: Path, hub_port: int, **environ: str) -> Iterator[Server]:
    """A student's server."""
    started = Server(folder, hub_port, **environ)
    try:
        yield started
    finally:
        started.process.terminate()
        try:
            started.process.wait(60)
        except subprocess.TimeoutExpired:
            started.process.kill()
            started.process.wait()
            raise


@pytest.fixture
def server(tmp_path: Path, hub_port: int) -> Iterator[Server]:
    """A student's server, started while no hub is there."""
    with serving(tmp_path, hub_port) as started:
        yield started


@pytest.fixture
def hub(hub_port: int) -> Iterator[FakeHub]:
    """A hub that stays."""
    started = FakeHub(hub_port)
    yield started
    started.leave()


def test_it_starts_works_and_reports_through_the_hub_s_comings_and_goings(server: Server, hub_port: int) -> None:
    # Started without a hub: it is up, and cannot know anybody.
    server.wait(503)

    hub = FakeHub(hub_port)
    server.wait(200)
    deadline = time.monotonic() + 60
    while not hub.reports:
        assert time.monotonic() < deadline, server.log.read_text()
        time.sleep(0.1)
    assert server.status("bad") == 403
    hub.leave()

    # Longer than HubAuth's cache, which is all that JupyterHub's own class has.
    time.sleep(1.5)
    assert server.status() == 200
    assert server.status("other") == 503
    time.sleep(2)
    assert server.status() == 200
    assert server.process.poll() is None
    assert "going on with what it last said about ann" in server.log.read_text()


@pytest.mark.usefixtures("hub")
def test_it_says_how_full_the_disk_is_and_does_not_call_that_activity(server: Server) -> None:
    server.wait(200)
    server.get("api/contents")
    before = server.get("api/status")["last_activity"]

    told = server.get("campus/disk")

    assert set(told) == {"used", "free", "kind", "label", "message"}
    assert told["used"] > 0
    assert server.get("api/status")["last_activity"] == before
    assert server.status("bad", "campus/disk") == 403


@pytest.mark.usefixtures("hub")
def test_it_says_nothing_of_the_disk_when_that_is_switched_off(tmp_path: Path, hub_port: int) -> None:
    with serving(tmp_path, hub_port, CAMPUS_SHOW_DISK="false") as server:
        server.wait(200)

        assert server.status(path="campus/disk") == 404
