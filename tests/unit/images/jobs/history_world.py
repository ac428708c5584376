"""The page of the students' files in this process: a hub that knows who is who, a cluster in memory, real readers.

Each snapshot is a real folder; the pods that would read it or copy out of it are run here, with the very arguments that
the page gave them.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

import pytest
from aiohttp import ClientSession, CookieJar
from ansible_collections.campus.jupyterhub.plugins.module_utils._disk_snapshots import Snapshot
from ansible_collections.campus.jupyterhub.plugins.module_utils._snapshot_remove import Clock
from ansible_collections.campus.jupyterhub.tests.unit.plugins.module_utils.fake_cluster import (
    NAMESPACE,
    POD,
    FakeCluster,
)
from campus_history.app import History, application, history
from campus_history.cluster import Students
from campus_history.settings import SERVICE, Settings, oauth_environment
from campus_jobs.copy_back import copy_back
from campus_jobs.reader import Server
from campus_jobs.trees import FOLDER, RefusedError
from jupyterhub.httpclient import JupyterHubHTTPClient
from jupyterhub.services.auth import HubOAuth
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.routing import PathMatches, Rule, RuleRouter
from tornado.web import Application, RedirectHandler, RequestHandler, StaticFileHandler

Json = dict[str, Any]

SECRET = "the page's own token"
SCOPE = f"access:services!service={SERVICE}"


class Cluster(FakeCluster):
    """One in which readers go on until they are removed; used from several threads."""

    def __init__(self) -> None:
        super().__init__()
        self.lock = threading.RLock()

    def _run(self, item: Json) -> None:
        super()._run(item)
        if item["status"]["phase"] != "Pending" and program(item) == "campus_jobs.reader":
            item["status"].update(phase="Running", podIP="10.0.0.9")


class Locked:
    """A cluster that does one thing at a time."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    def __getattr__(self, name: str) -> Any:
        function = getattr(self._cluster, name)

        def call(*arguments: Any, **options: Any) -> Any:
            with self._cluster.lock:
                return function(*arguments, **options)

        return call


def words(pod: Json) -> list[str]:
    """What a pod's container runs."""
    return [word.replace("$$", "$") for word in pod["spec"]["containers"][0]["command"]]


def program(pod: Json) -> str:
    """The module that a pod runs."""
    return words(pod)[2]


def option(pod: Json, name: str) -> str:
    """An option of what a pod runs."""
    return next(word.partition("=")[2] for word in words(pod) if word.startswith(f"--{name}="))


class World(Students):
    """What the page asks of its cluster, with real readers."""

    def __init__(self, folder: Path, settings: Settings) -> None:
        self.folder, self.cluster = folder, Cluster()
        self.cluster.answers = self._answer
        clock = Clock(self.cluster.clock, self.cluster.sleep)
        super().__init__(lambda: Locked(self.cluster), settings, clock, lambda _address: True)
        self.gate = threading.Event()
        self.gate.set()
        self.servers: dict[str, Server] = {}

    def student(self, name: str, *taken: str, label: str = "") -> None:
        """A student with a disk and snapshots of it; each snapshot has a folder of its own."""
        labels = {"hub.jupyter.org/username": label} if label else {}
        self.cluster.disk(name, **labels)
        self.home(name).mkdir(parents=True)
        for each in taken:
            item = self.cluster.snapshot(each, student=name)
            item["metadata"]["labels"].update(labels)
            self.of(item["metadata"]["name"]).mkdir(parents=True)

    def home(self, student: str) -> Path:
        """What a student has now."""
        return self.folder / "homes" / student

    def of(self, snapshot: str) -> Path:
        """What a snapshot holds."""
        return self.folder / "snapshots" / snapshot

    def open(self, student: str, snapshot: Snapshot, name: str, token: str) -> str:
        assert self.gate.wait(10)
        assert super().open(student, snapshot, name, token) == "http://10.0.0.9:8080"
        proof = option(self.cluster.found(POD, name), "proof")
        server = self.servers[name] = Server(0, os.open(self.of(snapshot.name), FOLDER), proof)
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        return f"http://127.0.0.1:{server.server_port}"

    def close(self, name: str) -> None:
        self.stop(name)
        super().close(name)

    def stop(self, name: str) -> None:
        """Let a reader be gone."""
        if server := self.servers.pop(name, None):
            server.shutdown()
            server.server_close()

    def put_back(self, student: str, snapshot: Snapshot, path: str, begun: Callable[[str], None]) -> Json:
        assert self.gate.wait(10)
        return super().put_back(student, snapshot, path, begun)

    def _answer(self, pod: Json) -> Json:
        if program(pod) != "campus_jobs.copy_back":
            return {}
        side, home = (volume["persistentVolumeClaim"]["claimName"] for volume in pod["spec"]["volumes"])
        snapshot = self.cluster.found("PersistentVolumeClaim", side)["spec"]["dataSource"]["name"]
        try:
            return copy_back(
                str(self.of(snapshot)),
                str(self.home(home.removeprefix("claim-"))),
                option(pod, "path"),
                option(pod, "into"),
                option(pod, "run"),
            )
        except RefusedError as error:
            return {"error": str(error)}

    @property
    def left(self) -> list[str]:
        """Names of what was made for the page and is still there."""
        mine = [item for item in self.cluster.objects.values() if item["metadata"].get("labels", {}).get("component")]
        return [item["metadata"]["name"] for item in mine if item["metadata"]["labels"]["component"] == "restore"]


class Authorize(RequestHandler):  # type: ignore[misc]
    """Sends who is logged in at the hub back to the page."""

    def get(self) -> None:
        assert self.get_query_argument("client_id") == f"service-{SERVICE}"
        who = self.get_cookie("who")
        if not who:
            self.finish("Log in.")
            return
        back = urlencode({"code": who, "state": self.get_query_argument("state")})
        self.redirect(f"{self.get_query_argument('redirect_uri')}?{back}")


class Token(RequestHandler):  # type: ignore[misc]
    """Changes a code for a token."""

    def check_xsrf_cookie(self) -> None:
        """Programs have none."""

    def post(self) -> None:
        assert self.get_argument("client_secret") == SECRET
        self.write({"access_token": f"token-{self.get_argument('code')}"})


class User(RequestHandler):  # type: ignore[misc]
    """Says whose token it is: ``token-KIND:NAME`` or ``token-NAME``, of a user who may come in unless named mallory."""

    def get(self) -> None:
        word = self.request.headers["Authorization"].partition(" ")[2].removeprefix("token-")
        kind, _colon, name = word.rpartition(":")
        scopes = [] if name == "mallory" else [SCOPE]
        self.write({"name": name, "kind": kind or "user", "scopes": scopes, "admin": False, "groups": []})


def hub(static: str) -> Application:
    """A hub, as far as the page needs one."""
    return Application(
        [
            ("/hub/api/oauth2/authorize", Authorize),
            ("/hub/api/oauth2/token", Token),
            ("/hub/api/user", User),
            ("/hub/logo", RedirectHandler, {"url": "/hub/static/images/jupyterhub-80.png"}),
            ("/hub/static/(.*)", StaticFileHandler, {"path": static}),
        ]
    )


class Site:
    """Hub and page on one address, as the proxy has them."""

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch, static: str, **options: Any) -> None:
        self.settings = Settings(NAMESPACE, ZoneInfo("Europe/Berlin"), **options)
        self.world = World(folder, self.settings)
        self._patch, self._static = patch, static
        self._opened = AsyncExitStack()
        self.parts: History
        self.url = ""

    @property
    def page(self) -> str:
        """Address of the page."""
        return f"{self.url}{self.settings.prefix}"

    async def __aenter__(self) -> Site:
        (socket,) = bind_sockets(0, "127.0.0.1")
        self.url = f"http://127.0.0.1:{socket.getsockname()[1]}"
        for name, value in oauth_environment(self.settings, "").items():
            self._patch.setenv(name, value)
        self._patch.setenv("JUPYTERHUB_API_URL", f"{self.url}/hub/api")
        self._patch.setenv("JUPYTERHUB_API_TOKEN", SECRET)
        HubOAuth.clear_instance()
        session = await self._opened.enter_async_context(ClientSession())
        self.parts = history(self.settings, self.world, session)
        router = RuleRouter(
            [Rule(PathMatches("/hub/.*"), hub(self._static)), Rule(PathMatches("/.*"), application(self.parts))]
        )
        server = HTTPServer(router)
        server.add_socket(socket)
        self._opened.push_async_callback(server.close_all_connections)
        self._opened.callback(server.stop)
        return self

    async def __aexit__(self, *_error: object) -> None:
        self.world.gate.set()
        await self.parts.looks.end_all()
        await self._opened.aclose()
        await JupyterHubHTTPClient.loop_instance().close()
        JupyterHubHTTPClient.clear_instance()
        HubOAuth.clear_instance()

    def browser(self, who: str) -> ClientSession:
        """A browser in which somebody is logged in at the hub."""
        jar = CookieJar(unsafe=True)
        jar.update_cookies({"who": who} if who else {})
        return ClientSession(cookie_jar=jar, headers={"Sec-Fetch-Mode": "navigate"})


async def until(what: Callable[[], bool]) -> None:
    """Wait until something is so."""
    async with asyncio.timeout(10):
        while not what():
            await asyncio.sleep(0.01)
