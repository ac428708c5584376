"""A real JupyterHub on the fake Kubernetes API: its database, its web server, its students."""

from __future__ import annotations

import logging
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

import pytest
from aiohttp import ClientResponse, ClientSession, CookieJar, web
from ansible_collections.campus.jupyterhub.tests.unit.ports import free_port
from campus_hub import adoption
from campus_hub.adoption import adopting, welcoming
from campus_hub.database import honest, noticing
from campus_hub.patience import patient
from campus_hub.proxy import EndpointSliceProxy
from campus_hub.spawner import CampusSpawner
from jupyterhub import orm
from jupyterhub.app import JupyterHub
from jupyterhub.handlers.base import BaseHandler
from jupyterhub.user import User
from traitlets.config import Config

from .conftest import NAMESPACE, FakeApi, Manifest, serve

PASSWORD = "only-for-tests"
DATABASE = "hub.sqlite"


class QuietHub(JupyterHub):  # type: ignore[misc]
    """JupyterHub without what belongs to the process that it is alone in."""

    def load_config_file(self, *args: Any, **kwargs: Any) -> None:
        """The configuration is given."""

    def init_signal(self) -> None:
        """Signals are pytest's."""


class Ear(logging.Handler):
    """Keeps what is said. Migrations of the database configure logging anew, so pytest's own would go deaf."""

    def __init__(self, said: list[str]) -> None:
        super().__init__(logging.WARNING)
        self.said = said

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a message."""
        self.said.append(record.getMessage())


class Campus:
    """A folder with a hub's database, and hubs that start from it one after the other.

    said: what they have warned of.
    """

    def __init__(self, api: FakeApi, folder: Path, port: int) -> None:
        self.api, self.folder, self.port = api, folder, port
        self.hub_port = free_port()
        self.said: list[str] = []

    @property
    def database(self) -> Path:
        """The hub's database."""
        return self.folder / DATABASE

    @asynccontextmanager
    async def hub(self, **classes: dict[str, Any]) -> AsyncIterator[Any]:
        """A hub that runs; classes: configuration on top."""
        config = Config(
            {
                "JupyterHub": {
                    "db_url": f"sqlite:///{self.database}",
                    "hub_bind_url": f"http://127.0.0.1:{self.hub_port}",
                    "cookie_secret": b"x" * 32,
                    "cleanup_servers": False,
                    "init_spawners_timeout": 60,
                    "authenticator_class": "shared-password",
                    "spawner_class": CampusSpawner,
                    "proxy_class": EndpointSliceProxy,
                },
                "Authenticator": {"allow_all": True},
                "SharedPasswordAuthenticator": {"user_password": PASSWORD},
                "KubeSpawner": {
                    "namespace": NAMESPACE,
                    "port": self.port,
                    "events_enabled": False,
                    "storage_pvc_ensure": True,
                    "volumes": {"home": {"name": "home", "persistentVolumeClaim": {"claimName": "{pvc_name}"}}},
                },
                "EndpointSliceProxy": {"namespace": NAMESPACE, "silent_replica_timeout": 0.2},
            }
        )
        config.merge(Config(classes))
        app = QuietHub(config=config)
        ear = Ear(self.said)
        app.log.addHandler(ear)
        try:
            await app.initialize([])
            await app.start()
            yield app
        finally:
            app.log.removeHandler(ear)
            await end(app)

    async def spawn(self, app: Any, name: str, server: str = "") -> Any:
        """Let a student who has logged in before start a server; returns the spawner."""
        orm_user = await app._get_or_create_user(name, hint="test")
        user = app.users[orm_user]
        await user.spawn(server)
        return user.spawners[server]


async def end(app: Any) -> None:
    """End a hub as its process's death would."""
    if app.http_server:
        app.http_server.stop()
    for callback in app._periodic_callbacks.values():
        callback.stop()
    app.metrics_collector.stop()
    for user in app.users.values():
        for spawner in user.spawners.values():
            spawner.stop_polling()
    await CampusSpawner._stop_all_reflectors()
    CampusSpawner.reflectors.clear()
    app.db.close()
    app.db.get_bind().dispose()


async def answer(request: web.Request) -> web.Response:
    """Answer as a student's server does when it is asked whether it is up."""
    return web.json_response({})


@asynccontextmanager
async def campus(api: FakeApi, folder: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Campus]:
    """A campus whose pods run soon after they are created, behind one address that always answers."""
    monkeypatch.setattr(JupyterHub, "init_spawners", adopting(JupyterHub.init_spawners))
    monkeypatch.setattr(BaseHandler, "auth_to_user", welcoming(BaseHandler.auth_to_user))
    monkeypatch.setattr(User, "_wait_up", patient(User._wait_up))
    monkeypatch.setattr(BaseHandler, "get_current_user", noticing(BaseHandler.get_current_user))
    monkeypatch.setattr(BaseHandler, "prepare", honest(BaseHandler.prepare))
    # On a busy machine a test still finds everything adopted when the hub has started.
    monkeypatch.setattr(adoption, "PATIENCE", 60.0)
    student = web.Application()
    student.router.add_get("/{path:.*}", answer)
    runner, port = await serve(student)
    api.kubelet, api.address = True, "127.0.0.1"
    try:
        yield Campus(api, folder, port)
    finally:
        await runner.cleanup()


@pytest.fixture
async def ground(api: FakeApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Campus]:
    """A campus without a hub."""
    async with campus(api, tmp_path, monkeypatch) as found:
        yield found


class Visitor:
    """A browser that remembers cookies, at the hub's own address."""

    def __init__(self, app: Any, session: ClientSession) -> None:
        self.url = str(app.hub.url).rstrip("/")
        self._session = session

    async def log_in(self, name: str) -> int:
        """Log in by the form; returns the HTTP status, 302 when it worked."""
        page = await (await self._session.get(f"{self.url}/login")).text()
        (token,) = set(re.findall(r'name="_xsrf" value="([^"]+)"', page))
        form = {"username": name, "password": PASSWORD, "_xsrf": token}
        answer = await self._session.post(f"{self.url}/login", data=form, allow_redirects=False)
        return answer.status

    async def open(self, page: str) -> ClientResponse:
        """Look at one of the hub's pages."""
        return await self._session.get(f"{self.url}/{page}", allow_redirects=False)

    async def open_server(self, client: str, redirect: str, secret: str) -> str:
        """Do what browser and server do when somebody logged in opens the server; returns who the server sees."""
        query = f"client_id={quote(client)}&redirect_uri={quote(redirect)}&response_type=code&state=x"
        answer = await self._session.get(f"{self.url}/api/oauth2/authorize?{query}", allow_redirects=False)
        assert answer.status == 302, await answer.text()
        (code,) = parse_qs(urlsplit(answer.headers["Location"]).query)["code"]
        form = {
            "client_id": client,
            "client_secret": secret,
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": redirect,
        }
        async with ClientSession() as server:
            granted = await (await server.post(f"{self.url}/api/oauth2/token", data=form)).json()
            headers = {"Authorization": f"token {granted['access_token']}"}
            who = await (await server.get(f"{self.url}/api/user", headers=headers)).json()
        return str(who["name"])


@asynccontextmanager
async def visitor(app: Any) -> AsyncIterator[Visitor]:
    """Somebody with a browser."""
    async with ClientSession(cookie_jar=CookieJar(unsafe=True)) as session:
        yield Visitor(app, session)


async def ask(app: Any, token: str, method: str, path: str, payload: Any = None) -> tuple[int, Any]:
    """Call the hub's API with a token; returns status and answer."""
    async with ClientSession(headers={"Authorization": f"token {token}"}) as session:
        answer = await session.request(method, f"{str(app.hub.url).rstrip('/')}/api/{path}", json=payload)
        return answer.status, await answer.json() if answer.content_type == "application/json" else None


def rows(app: Any, name: str, server: str = "") -> dict[str, Any]:
    """What the database holds of a student's server, without hashes, numbers and times."""
    user = orm.User.find(app.db, name)
    spawner = user.orm_spawners[server]
    client, address = spawner.oauth_client, spawner.server
    return {
        "admin": user.admin,
        "roles": [role.name for role in user.roles],
        "state": spawner.state,
        "display_name": spawner.display_name,
        "address": (address.proto, address.ip, address.port, address.base_url, address.cookie_name),
        "client": (client.identifier, client.redirect_uri, client.description, sorted(client.allowed_scopes)),
        "tokens": [(token.note, sorted(token.scopes), token.client_id, token.expires_at) for token in user.api_tokens],
    }


def the_pod(api: FakeApi) -> Manifest:
    """The one pod."""
    (found,) = api.of("pods")
    return found


def active(app: Any, name: str, server: str = "") -> bool:
    """Say whether the hub takes a server for running."""
    user = orm.User.find(app.db, name)
    return user is not None and bool(server in app.users[user].spawners and app.users[user].spawners[server].ready)
