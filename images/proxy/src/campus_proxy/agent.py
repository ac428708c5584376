"""The routes agent: keeps HAProxy's map as the Kubernetes API has the routes, and says which of them HAProxy has."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from campus_proxy import state, use
from campus_proxy.haproxy import HaproxyError, RouteMap
from campus_proxy.kube import Api, Reflector
from campus_proxy.peers import Peers, Resolver, resolve
from campus_proxy.routes import BadRoute, host_address, selector
from campus_proxy.settings import Settings
from campus_proxy.sinks import PodSink, SliceSink, trim_pod
from campus_proxy.table import Changes, Status, Table

log = logging.getLogger(__name__)

GATHER_SECONDS = 0.005
"""How long the first change waits for others, so that a wave of spawns is a few commands and not a thousand."""

WATCH_SECONDS = 0.5
"""How often HAProxy is asked whether the map is still ours."""

AUDIT_SECONDS = 60.0
"""How often the whole map is compared with what it should be."""

RESOLVE_SECONDS = 15.0
FAILURE_SECONDS = 1.0
RETRY_SECONDS = 2.0
SAVE_SECONDS = 0.2


@dataclass
class Counters:
    """What is counted since the agent began."""

    applied: int = 0
    replaced: int = 0
    haproxy_errors: int = 0
    resolve_errors: int = 0
    save_errors: int = 0
    failures: int = 0
    lag_sum: float = 0.0
    lag_max: float = 0.0


@dataclass
class Agent:
    """One replica's agent. `run` never returns; the rest may be asked at any time."""

    route_map: RouteMap
    settings: Settings
    api: Api
    peers: Peers
    resolver: Resolver = resolve
    owner: str = field(default_factory=lambda: uuid.uuid4().hex)
    counters: Counters = field(default_factory=Counters)
    in_map: dict[str, str] | None = None
    """What HAProxy's map has; None while that is not known."""
    statuses: dict[str, Status] = field(default_factory=dict)
    """The slices as HAProxy has them."""
    table: Table = field(init=False)
    slices: Reflector = field(init=False)
    pods: Reflector = field(init=False)
    _replace: bool = True
    _changed: asyncio.Event = field(default_factory=asyncio.Event)
    _names_changed: asyncio.Event = field(default_factory=asyncio.Event)
    _unsaved: asyncio.Event = field(default_factory=asyncio.Event)
    _applied: asyncio.Event = field(default_factory=asyncio.Event)
    _map_lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    _missed: dict[tuple[str, str, str], float] = field(default_factory=dict)
    """What was asked for in vain though another replica has it, and since when."""
    _comparing: set[asyncio.Task[None]] = field(default_factory=set)
    _to_save: Mapping[str, str] = field(default_factory=dict)
    _changed_at: float = 0.0

    @classmethod
    def build(cls, settings: Settings, api: Api) -> Agent:
        """An agent for the hub that the settings name."""
        peers = Peers(settings.agent_service, settings.agent_port, settings.pod_ip)
        agent = cls(RouteMap(str(settings.socket), str(settings.route_map)), settings, api, peers)
        agent.begin()
        return agent

    def begin(self) -> None:
        """Know nothing, and be about to list everything. HAProxy keeps what it has until then."""
        name, namespace = self.settings.name, self.settings.hub_namespace
        self.table = Table(name, namespace)
        self._replace = True
        slices_path = f"/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices"
        pods_path = f"/api/v1/namespaces/{namespace}/pods"
        servers = "app=jupyterhub,component=singleuser-server"
        self.slices = Reflector(self.api, slices_path, selector(name), SliceSink(self.table), self.touch)
        self.pods = Reflector(self.api, pods_path, servers, PodSink(self.table), self.touch, trim=trim_pod)

    @property
    def synced(self) -> bool:
        """Whether both collections were listed once."""
        return self.slices.synced.is_set() and self.pods.synced.is_set()

    @property
    def ready(self) -> bool:
        """Whether HAProxy has the routes of a whole list."""
        return self.in_map is not None

    @property
    def behind(self) -> bool:
        """Whether another replica has a route that this one still waits for.

        A replica that cannot see the API server serves what it knows for as long as no other one knows more.
        """
        heard = min(self.slices.last_contact, self.pods.last_contact)
        self._missed = {key: since for key, since in self._missed.items() if since > heard and self._missing(*key)}
        return bool(self._missed)

    def touch(self) -> None:
        """Say that the table may have changed."""
        if not self._changed.is_set():
            self._changed_at = time.monotonic()
        self._changed.set()
        self._names_changed.set()

    async def run(self) -> None:
        """Work until cancelled.

        When a part fails, all begins anew within this process: a replica whose agent ends is no longer Ready, and an
        object that fails one agent fails the others as well.
        """
        while True:
            try:
                async with asyncio.TaskGroup() as group:
                    for work in (self.slices.run, self.pods.run, self._apply, self._guard, self._resolve, self._save):
                        group.create_task(work())
            except ExceptionGroup:
                log.exception("a part of the agent failed, all of it begins anew")
                self.counters.failures += 1
                self.begin()
                await asyncio.sleep(FAILURE_SECONDS)

    async def wait_applied(self, name: str, uid: str, resource_version: str, timeout: float) -> str:
        """Wait until HAProxy serves this very version of a slice; returns an empty text, or why it does not yet.

        `timeout` is in seconds.
        """
        deadline = time.monotonic() + timeout
        while True:
            applied = self._applied
            reason = self._missing(name, uid, resource_version)
            left = deadline - time.monotonic()
            if not reason or left <= 0:
                return reason
            try:
                await asyncio.wait_for(applied.wait(), left)
            except TimeoutError:
                continue

    def doubt(self, name: str, uid: str, resource_version: str) -> None:
        """Find out in the background whether another replica has what was just waited for in vain."""
        task = asyncio.create_task(self._compare(name, uid, resource_version))
        self._comparing.add(task)
        task.add_done_callback(self._comparing.discard)

    async def _compare(self, name: str, uid: str, resource_version: str) -> None:
        since = time.monotonic()
        if await self.peers.have(name, uid, resource_version):
            log.warning("another replica has %s, which does not come here; nobody new until it does", name)
            self._missed[name, uid, resource_version] = since

    def _missing(self, name: str, uid: str, resource_version: str) -> str:
        if not self.ready:
            return "HAProxy does not have the routes yet" if self.synced else "the routes are not listed yet"
        status = self.statuses.get(name)
        if status is None:
            return "the route is not known"
        if (status.version.uid, status.version.resource_version) != (uid, resource_version):
            return "another version of the route is known"
        return status.reason

    async def _apply(self) -> None:
        while True:
            await self._changed.wait()
            await asyncio.sleep(GATHER_SECONDS)
            since = self._changed_at
            self._changed.clear()
            if not self.synced:
                continue
            try:
                async with self._map_lock:
                    changes = await self._push()
            except HaproxyError as error:
                if self.in_map is not None:
                    log.warning("HAProxy's map cannot be changed: %s; the whole map follows", error)
                elif not self.counters.haproxy_errors:
                    log.info("waiting for HAProxy: %s", error)
                self.counters.haproxy_errors += 1
                self.in_map = None
                await asyncio.sleep(WATCH_SECONDS / 2)
                self.touch()
                continue
            self._note(changes, time.monotonic() - since)

    async def _push(self) -> Changes:
        """Bring HAProxy's map to the table's state. Raises HaproxyError."""
        if self.in_map is None or self._replace:
            with contextlib.suppress(HaproxyError):
                self.table.adopt_addresses(await self.route_map.show())
            changes = self.table.everything()
            whole = {key: value for key, value in changes.values.items() if value is not None}
            self._save_soon(whole)
            await self.route_map.replace(whole, self.owner)
            self.in_map = whole
            self._replace = False
            self.statuses.clear()
            self.counters.replaced += 1
            log.info("HAProxy has the whole map: %d routes", len(whole))
            return changes
        changes = self.table.take_changes()
        await self.route_map.change(self.in_map, changes.values)
        left = [self.in_map[key] for key, value in changes.values.items() if self.in_map.get(key, value) != value]
        await use.forget(self.route_map.socket, left)
        for key, value in changes.values.items():
            if value is None:
                self.in_map.pop(key, None)
            else:
                self.in_map[key] = value
        if changes.values:
            self._save_soon(self.in_map)
        return changes

    def _save_soon(self, values: Mapping[str, str]) -> None:
        self._to_save = values
        self._unsaved.set()

    def _note(self, changes: Changes, lag: float) -> None:
        for name, status in changes.statuses.items():
            if status is None:
                self.statuses.pop(name, None)
            else:
                self.statuses[name] = status
        if changes:
            self.counters.applied += 1
            self.counters.lag_sum += lag
            self.counters.lag_max = max(self.counters.lag_max, lag)
        self._applied.set()
        self._applied = asyncio.Event()

    async def _guard(self) -> None:
        """Notice a HAProxy that began anew, or a map that somebody else changed."""
        audited = time.monotonic()
        while True:
            await asyncio.sleep(WATCH_SECONDS)
            async with self._map_lock:
                if self.in_map is None:
                    continue
                try:
                    ours = await self.route_map.owner() == self.owner
                    if ours and time.monotonic() - audited > AUDIT_SECONDS:
                        audited = time.monotonic()
                        ours = await self.route_map.show() == self.in_map
                except HaproxyError as error:
                    log.warning("HAProxy does not answer: %s", error)
                    self.counters.haproxy_errors += 1
                    ours = False
                if not ours:
                    log.warning("HAProxy's map is not the one that was applied; the whole map follows")
                    self.in_map = None
                    self.touch()

    async def _resolve(self) -> None:
        """Keep the addresses of targets that are names; a name that cannot be resolved keeps its last address."""
        tried: frozenset[str] = frozenset()
        whole_round = 0.0
        while True:
            hosts = self.table.hosts()
            due = time.monotonic() >= whole_round
            for host in sorted(hosts if due else hosts - tried):
                await self._resolve_one(host)
            if due:
                whole_round = time.monotonic() + RESOLVE_SECONDS
                self.table.forget_addresses()
            tried = hosts & self.table.addresses.keys()
            pause = RETRY_SECONDS if hosts - tried else whole_round - time.monotonic()
            await self._new_name(hosts, pause)

    async def _new_name(self, known: frozenset[str], seconds: float) -> None:
        """Wait until a route goes to a name that is not known, or the time is up."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self.table.hosts() <= known:
                    self._names_changed.clear()
                    await self._names_changed.wait()

    async def _resolve_one(self, host: str) -> None:
        try:
            answers = [host_address(host)]
        except BadRoute:
            try:
                async with asyncio.timeout(10):
                    found = await self.resolver(host)
                answers = [host_address(address) for address in found]
            except (OSError, TimeoutError, UnicodeError, BadRoute) as error:
                self.counters.resolve_errors += 1
                log.warning("%s cannot be resolved: %s", host, error)
                return
        if answers and self.table.addresses.get(host) not in answers:
            self.table.put_address(host, answers[0])
            self.touch()

    async def _save(self) -> None:
        """Leave the map on disk for a HAProxy that starts anew."""
        while True:
            await self._unsaved.wait()
            self._unsaved.clear()
            try:
                state.write(self.settings.route_map, self._to_save, f"file-{self.owner}")
            except OSError as error:
                self.counters.save_errors += 1
                log.warning("the map cannot be saved: %s", error)
            await asyncio.sleep(SAVE_SECONDS)

    async def uses(self, by: str) -> list[dict[str, Any]]:
        """What each student's server is asked for, see `use.rows`. Raises HaproxyError."""
        counted = await use.read(self.route_map.socket)
        in_map = self.in_map or {}
        served = [route for name, route in self.table.routes.items() if name in self.statuses and route.key in in_map]
        return use.rows(((route, in_map[route.key]) for route in served), counted, by)

    def overview(self) -> list[Mapping[str, Any]]:
        """The routes as HAProxy has them, for staff."""
        rows: list[Mapping[str, Any]] = []
        for name, status in sorted(self.statuses.items()):
            route = self.table.routes.get(name)
            rows.append(
                {
                    "name": name,
                    "routespec": route.routespec if route else None,
                    "data": dict(route.data) if route else None,
                    "target": f"{route.host} {route.port}" if route else None,
                    "uid": status.version.uid,
                    "resourceVersion": status.version.resource_version,
                    "served": not status.reason,
                    "reason": status.reason,
                }
            )
        return rows
