"""Give the hub back the servers that run but that its database does not know.

A database that was lost, or restored from a backup, knows nothing of the servers that were started since. Their pods
and routes live on without it. What the hub needs to show, stop and vouch for such a server is in its pod: whose it
is, its address, and the token that it was started with.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

from jupyterhub import orm, roles, scopes
from jupyterhub.app import JupyterHub
from jupyterhub.handlers.base import BaseHandler
from jupyterhub.metrics import RUNNING_SERVERS, TOTAL_USERS
from jupyterhub.utils import compare_token, maybe_future, url_escape_path, url_path_join, utcnow
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import joinedload, selectinload

from campus_hub import activity, state
from campus_hub.servers import Server, home_volume, look
from campus_hub.spawner import CampusSpawner
from campus_hub.state import Pod
from campus_hub.wrapping import wrap

# Seconds that the hub's start waits for adoption; JupyterHub itself waits 10 s for its servers.
PATIENCE = 5.0
# Seconds between two rounds of what was left for later, at most.
MAX_DELAY = 30.0

InitSpawners = Callable[[Any], Awaitable[int]]
AuthToUser = Callable[..., Awaitable[Any]]


class Adoption:
    """Writes into the hub's database what User.spawn would have written for each server that runs.

    It grants nothing that a start by the student would not grant, makes nobody an administrator, and stops nothing.
    """

    def __init__(self, app: Any) -> None:
        self.app = app
        self.log = app.log
        # JupyterHub itself looks after what is registered before its init_spawners.
        self.late = False
        # Students who must log in before their servers can be registered.
        self._waiting: set[str] = set()
        # Uids of the pods to look at again; None before the first look. What this hub starts is not among them.
        self._left: set[str] | None = None
        self._lock = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None
        self._guide: Any = None

    async def adopt(self, bound: float | None = None) -> bool:
        """Register every server that runs; true when nothing is left for another try.

        bound: seconds for all of it. Never raises.
        """
        try:
            async with asyncio.timeout(bound), self._lock:
                pods = await self._pods()
                if self._left is not None:
                    pods = [pod for pod in pods if pod["metadata"]["uid"] in self._left]
                servers, starting = self._look(pods)
                if not self.late:
                    self._forget([pod for pod in pods if pod["metadata"]["uid"] in starting])
                unknown = self._unknown(servers)
                self._left = starting | {server.pod["metadata"]["uid"] for server in unknown}
                for server in unknown:
                    if await self._settle(server):
                        self._left.discard(server.pod["metadata"]["uid"])
                    # A thousand servers must not keep the hub from answering.
                    await asyncio.sleep(0)
                return not self._left
        except TimeoutError:
            self.log.warning("Not every running server could be looked at within %s s; going on later", bound)
        except Exception:
            self.app.db.rollback()
            self.log.exception("The running servers could not be looked at; trying again later")
        return False

    def go_on_later(self) -> None:
        """Go on in the background until nothing is left."""
        self._task = asyncio.create_task(self._go_on())

    async def _go_on(self) -> None:
        delay = 1.0
        while not await self.adopt():
            await asyncio.sleep(delay)
            delay = min(delay * 2, MAX_DELAY)
        await self.app.proxy.check_routes(self.app.users, self.app._service_map)

    async def welcome(self, user: str) -> None:
        """Register the servers of a student who had to log in first and just did. Never raises."""
        if user not in self._waiting:
            return
        try:
            async with asyncio.timeout(PATIENCE), self._lock:
                servers, _starting = self._look(await self._pods())
                theirs = self._unknown([server for server in servers if server.user == user])
                settled = [await self._settle(server) for server in theirs]
                if all(settled):
                    self._waiting.discard(user)
        except Exception:
            self.app.db.rollback()
            self.log.exception("The servers of %s could not be looked at; trying again at the next login", user)

    async def _pods(self) -> list[Pod]:
        """Return the pods of students, once the watch has listed them."""
        if self._guide is None:
            # A spawner of nobody knows how the spawners are configured.
            nobody = SimpleNamespace(name="nobody", id=0, url="/")
            self._guide = self.app.spawner_class(user=nobody, hub=self.app.hub, config=self.app.config)
        await self._guide._start_watching_pods()
        return list(self._guide.pod_reflector.pods.values())

    def _look(self, pods: list[Pod]) -> tuple[list[Server], set[str]]:
        return look(pods, self._guide.component_label, home_volume(self._guide.volumes))

    def _forget(self, pods: Iterable[Pod]) -> None:
        """Let the database forget starts that another hub began and did not finish. Raises SQLAlchemyError.

        It holds them as running, at an address that was never theirs. They are registered when they run; a student who
        asks for the server before that takes over its pod.
        """
        db = self.app.db
        for pod in pods:
            annotations = pod["metadata"].get("annotations") or {}
            user, name = annotations.get(state.USER, ""), annotations.get(state.SERVER, "")
            orm_user = orm.User.find(db, user)
            orm_spawner = orm_user and orm_user.orm_spawners.get(name)
            if orm_spawner and orm_spawner.server and state.belongs_to(pod, self._guide.component_label, user, name):
                self.log.warning(
                    "Pod %s of %s was begun by another hub and still starts", pod["metadata"]["name"], user
                )
                orm_spawner.server = None
        db.commit()

    def _unknown(self, servers: list[Server]) -> list[Server]:
        """Return the servers of which the database does not hold this very start. Raises SQLAlchemyError."""
        db = self.app.db
        query = db.query(orm.Spawner).filter(orm.Spawner.server_id.is_not(None))
        # One query, however many there are.
        query = query.options(joinedload(orm.Spawner.user), joinedload(orm.Spawner.oauth_client))
        held = {(spawner.user.name, spawner.name): spawner for spawner in query}
        return [server for server in servers if not known(db, held.get((server.user, server.name)), server)]

    async def _settle(self, server: Server) -> bool:
        """Register a server that the database does not know, if that is right; false to look at it again later."""
        db, pod = self.app.db, server.memory["pod_name"]
        try:
            orm_user = orm.User.find(db, server.user)
            if refusal := self._refusal(server, orm_user):
                self.log.warning("Pod %s of %s runs and is left alone: %s", pod, server.user, refusal)
                return True
            if orm_user is None:
                orm_user = await self.app._get_or_create_user(server.user, hint=f"pod {pod}")
                TOTAL_USERS.inc()
            return await self._register(server, self.app.users[orm_user])
        except SQLAlchemyError as error:
            db.rollback()
            self.log.error("Pod %s of %s could not be registered, trying again: %s", pod, server.user, error)
            return False
        except Exception:
            db.rollback()
            self.log.exception("Pod %s of %s runs but cannot be registered", pod, server.user)
            return True

    def _refusal(self, server: Server, orm_user: orm.User | None) -> str:
        """Return why a server must not be registered, empty if it may."""
        app, authenticator = self.app, self.app.authenticator
        prefix = url_path_join(app.base_url, "user", url_escape_path(server.user), url_escape_path(server.name), "/")
        api_url = app.hub.api_url
        if self._guide.hub_connect_url is not None:
            api_url = url_path_join(self._guide.hub_connect_url, urlsplit(api_url).path)
        if (server.prefix, server.api_url) != (prefix, api_url):
            return f"it was started by a hub with other addresses ({server.prefix}, {server.api_url})"
        if server.user in authenticator.blocked_users:
            return "the student is blocked; delete the pod to end the server"
        token = orm.APIToken.find(app.db, server.token)
        if token is not None and (orm_user is None or token.user is not orm_user):
            return "its token is somebody else's"
        if orm_user is None and authenticator.allow_existing_users and not authenticator.allow_all:
            # To be in the database would be to be allowed.
            self._waiting.add(server.user)
            return "the student has to log in first"
        return ""

    async def _register(self, server: Server, user: Any) -> bool:
        """Make the database hold a server of a user; false to look again later. Raises SQLAlchemyError."""
        db = self.app.db
        spawner = user.spawners.get(server.name)
        if spawner is not None and spawner.pending:
            return False
        orm_spawner = user.orm_spawners.get(server.name)
        if orm_spawner is None:
            orm_spawner = orm.Spawner(name=server.name, display_name=server.name, user=user.orm_user)
            db.add(orm_spawner)
        dns_name = self._guide.dns_name_template.format(
            namespace=server.memory["namespace"], name=server.memory["pod_name"]
        )
        orm_spawner.state = {**(orm_spawner.state or {}), **server.memory, "dns_name": dns_name}
        db.commit()
        spawner = user.spawners[server.name]
        spawner.load_state(orm_spawner.state)
        token_scopes = await granted(db, spawner)
        client_scopes = await spawner._get_oauth_client_allowed_scopes()
        # From here on nothing else runs in between.
        if spawner.pending:
            return False
        was_active = spawner.active
        self._write(server, user, spawner, token_scopes, client_scopes)
        self.log.warning("Adopted %s, which runs in pod %s", spawner._log_name, spawner.pod_name)
        if self.late and not was_active:
            RUNNING_SERVERS.inc()
            spawner.add_poll_callback(self._ended, user, server.name)
            spawner.start_polling()
        return True

    def _write(
        self, server: Server, user: Any, spawner: Any, token_scopes: Iterable[str], client_scopes: Iterable[str]
    ) -> None:
        """Write token, OAuth client and address, as User.spawn does."""
        db, orm_spawner = self.app.db, spawner.orm_spawner
        address = urlsplit(spawner._get_pod_url(server.pod))
        if orm.APIToken.find(db, server.token) is None:
            user.orm_user.new_api_token(server.token, note=f"Server at {server.prefix}", scopes=token_scopes)
        # A stop revokes it.
        spawner.api_token = server.token
        orm_spawner.oauth_client = self.app.oauth_provider.add_client(
            spawner.oauth_client_id,
            server.token,
            url_path_join(user.url, url_escape_path(server.name), "oauth_callback"),
            allowed_scopes=client_scopes,
            description=f"Server at {server.prefix}",
        )
        orm_spawner.server = orm.Server(
            proto=address.scheme, ip=address.hostname, port=address.port, base_url=server.prefix
        )
        orm_spawner.started = server.started
        # Nobody knows; the culler must not take a working student for one who left long ago.
        user.orm_user.last_activity = orm_spawner.last_activity = utcnow(with_tz=False)
        db.commit()

    async def _ended(self, user: Any, name: str) -> None:
        """Clean up after a server that ended by itself."""
        self.log.warning("The adopted server %s of %s has ended", name or "(own)", user.name)
        await self.app.proxy.delete_user(user, name)
        await user.stop(name)


def known(db: Any, orm_spawner: orm.Spawner | None, server: Server) -> bool:
    """Say whether the database holds this very start of a server; orm_spawner: what it holds as running.

    A token that is missing although the OAuth client has it for a secret was revoked by somebody, and stays revoked.
    """
    if orm_spawner is None or orm_spawner.oauth_client is None:
        return False
    remembered = orm_spawner.state or {}
    if any(remembered.get(key) != server.memory[key] for key in ("pod_name", "namespace")):
        return False
    secret = orm_spawner.oauth_client.secret
    return orm.APIToken.find(db, server.token) is not None or bool(secret and compare_token(secret, server.token))


async def granted(db: Any, spawner: Any) -> set[str]:
    """Return the scopes that User.spawn gives a server's token: what is asked for and the student has."""
    wanted = spawner.server_token_scopes
    if callable(wanted):
        wanted = await maybe_future(wanted(spawner))
    own = f"={spawner.user.name}/{spawner.name}"
    asked = {
        scope + own if scope.endswith("!server") else scope for scope in wanted or orm.Role.find(db, "server").scopes
    }
    # Activity can be reported whatever is configured.
    if not asked & {"users:activity!user", "users:activity", "inherit"}:
        asked.add("users:activity!user")
    orm_user = spawner.user.orm_user
    has = roles.roles_to_scopes(roles.get_roles_for(orm_user)) | {"inherit"}
    client = db.query(orm.OAuthClient).filter_by(identifier="jupyterhub").one()
    allowed: set[str] = scopes._resolve_requested_scopes(asked, has, orm_user, client, db)[0]
    return allowed


def students_with_servers(db: Any) -> list[orm.User]:
    """Return the students who have a server, each with all of theirs: a few queries, however many there are."""
    served = db.query(orm.Spawner.user_id).filter(orm.Spawner.server_id.is_not(None))
    query = db.query(orm.User).filter(orm.User.id.in_(served))
    return list(query.options(selectinload(orm.User._orm_spawners)))


# Where JupyterHub is told


def adopting(init_spawners: InitSpawners) -> InitSpawners:
    """Wrap JupyterHub.init_spawners: what runs is registered before JupyterHub looks at what is registered."""

    async def _init_spawners(self: Any) -> int:
        if not issubclass(self.spawner_class, CampusSpawner):
            return await init_spawners(self)
        activity.forgive_absence(self.db, utcnow(with_tz=False))
        adoption = self.campus_adoption = Adoption(self)
        done = await adoption.adopt(PATIENCE)
        # JupyterHub asks for the student of each server, and for the servers of each student. What is in memory is not
        # asked for, and it stays there as long as somebody holds it.
        held = students_with_servers(self.db)
        count = await init_spawners(self)
        held.clear()
        adoption.late = True
        if not done:
            adoption.go_on_later()
        return count

    return _init_spawners


def welcoming(auth_to_user: AuthToUser) -> AuthToUser:
    """Wrap BaseHandler.auth_to_user: a login that succeeded may be what an adoption waits for."""

    async def _auth_to_user(self: Any, authenticated: Any, user: Any = None) -> Any:
        found = await auth_to_user(self, authenticated, user)
        adoption = getattr(self.settings["app"], "campus_adoption", None)
        if adoption is not None:
            await adoption.welcome(found.name)
        return found

    return _auth_to_user


def install() -> None:
    """Put the wrappers in place, once."""
    wrap(JupyterHub, "init_spawners", adopting)
    wrap(BaseHandler, "auth_to_user", welcoming)
