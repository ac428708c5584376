"""The routing table: slices, pods and resolved names in, changes of HAProxy's map out. Pure, and never the whole table
for one event: only the keys that an event touches are worked out again."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from campus_proxy.routes import BadRoute, Pod, Route, Version, metadata_of, parse_pod, parse_slice, version_of

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Status:
    """What became of one slice: served when `reason` is empty."""

    version: Version
    reason: str


@dataclass(frozen=True, slots=True)
class Changes:
    """What to change in HAProxy's map (None: take the key out), and the slices' status once that is done."""

    values: Mapping[str, str | None]
    statuses: Mapping[str, Status | None]

    def __bool__(self) -> bool:
        return bool(self.values or self.statuses)


@dataclass
class Table:
    """All that is known about the routes of one hub.

    `prefix` is the hub's name and `namespace` where it lives. The methods that take API objects never raise.
    """

    prefix: str
    namespace: str
    routes: dict[str, Route] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)
    versions: dict[str, Version] = field(default_factory=dict)
    pods: dict[str, Pod] = field(default_factory=dict)
    addresses: dict[str, str] = field(default_factory=dict)
    refusals: int = 0
    _by_key: dict[str, set[str]] = field(default_factory=dict)
    _by_pod: dict[str, set[str]] = field(default_factory=dict)
    _by_host: dict[str, set[str]] = field(default_factory=dict)
    _touched_keys: set[str] = field(default_factory=set)
    _touched_slices: set[str] = field(default_factory=set)

    def put_slice(self, obj: Mapping[str, Any]) -> None:
        """Take a slice as it is now; one that is no route is logged, counted and otherwise as good as absent."""
        name = _name(obj)
        if not name:
            self.refusals += 1
            return
        version = version_of(obj)
        if self.versions.get(name) == version:
            return
        self._forget(name)
        self.versions[name] = version
        self._touched_slices.add(name)
        try:
            route = parse_slice(obj, self.prefix, self.namespace)
        except Exception as error:
            # Not only BadRoute: one object must not take the routes of all others along.
            self.refused[name] = str(error) if isinstance(error, BadRoute) else "it cannot be read"
            self.refusals += 1
            log.warning("slice %.80r is ignored: %s: %s", name, type(error).__name__, error)
            return
        self.routes[name] = route
        self._by_key.setdefault(route.key, set()).add(name)
        self._touched_keys.add(route.key)
        index, owner = (self._by_pod, route.pod_uid) if route.pod_uid else (self._by_host, route.host)
        index.setdefault(owner, set()).add(name)

    def drop_slice(self, obj: Mapping[str, Any]) -> None:
        """Take note that a slice was deleted."""
        self._drop_name(_name(obj))

    def put_pod(self, obj: Mapping[str, Any]) -> None:
        """Take a pod as it is now."""
        pod = parse_pod(obj)
        if pod and self.pods.get(pod.uid) != pod:
            self.pods[pod.uid] = pod
            self._touch(self._by_pod.get(pod.uid, ()))

    def drop_pod(self, obj: Mapping[str, Any]) -> None:
        """Take note that a pod is gone."""
        self._drop_pod(str(metadata_of(obj).get("uid") or ""))

    def replace_slices(self, items: Iterable[Mapping[str, Any]]) -> None:
        """Take a whole list: what is not in it is gone."""
        gone = set(self.versions)
        for obj in items:
            self.put_slice(obj)
            gone.discard(_name(obj))
        for name in gone:
            self._drop_name(name)

    def replace_pods(self, items: Iterable[Mapping[str, Any]]) -> None:
        """Take a whole list: what is not in it is gone."""
        gone = set(self.pods)
        for obj in items:
            self.put_pod(obj)
            gone.discard(str(metadata_of(obj).get("uid") or ""))
        for uid in gone:
            self._drop_pod(uid)

    def hosts(self) -> frozenset[str]:
        """Names that routes without a pod go to."""
        return frozenset(host for host, names in self._by_host.items() if not self._all_default(names))

    def forget_addresses(self) -> None:
        """Drop the addresses of names that no route has any more.

        Not done when a slice goes: the hub may write it again at once, while names cannot be resolved.
        """
        for host in self.addresses.keys() - self._by_host.keys():
            del self.addresses[host]

    def put_address(self, host: str, address: str) -> None:
        """Take the address that a name resolves to."""
        if self.addresses.get(host) != address:
            self.addresses[host] = address
            self._touch(self._by_host.get(host, ()))

    def adopt_addresses(self, in_map: Mapping[str, str]) -> None:
        """Take the addresses of names not resolved yet from the map of the agent before this one."""
        for host in self.hosts() - self.addresses.keys():
            for name in self._by_host[host]:
                address, _bar, port = in_map.get(self.routes[name].key, "").partition("|")
                if port == str(self.routes[name].port):
                    self.put_address(host, address)

    def take_changes(self) -> Changes:
        """What the events since the last call change. The caller applies it, or calls `everything` after a failure."""
        values = {key: self._value(key) for key in self._touched_keys}
        statuses = {name: self._status(name) for name in self._touched_slices | self._names(self._touched_keys)}
        self._touched_keys.clear()
        self._touched_slices.clear()
        return Changes(values, statuses)

    def everything(self) -> Changes:
        """The whole table, as if nothing had been applied before."""
        self._touched_keys.clear()
        self._touched_slices.clear()
        values = {key: value for key in self._by_key if (value := self._value(key)) is not None}
        return Changes(values, {name: self._status(name) for name in self.versions})

    def _all_default(self, names: Iterable[str]) -> bool:
        return all(self.routes[name].is_default for name in names)

    def _touch(self, names: Iterable[str]) -> None:
        self._touched_keys.update(self.routes[name].key for name in names)

    def _names(self, keys: Iterable[str]) -> set[str]:
        return {name for key in keys for name in self._by_key.get(key, ())}

    def _drop_name(self, name: str) -> None:
        if name in self.versions:
            self._forget(name)
            self._touched_slices.add(name)

    def _drop_pod(self, uid: str) -> None:
        if self.pods.pop(uid, None):
            self._touch(self._by_pod.get(uid, ()))

    def _forget(self, name: str) -> None:
        self.versions.pop(name, None)
        self.refused.pop(name, None)
        route = self.routes.pop(name, None)
        if route is None:
            return
        self._touched_keys.add(route.key)
        by_owner, owner = (self._by_pod, route.pod_uid) if route.pod_uid else (self._by_host, route.host)
        for index, key in ((self._by_key, route.key), (by_owner, owner)):
            index[key].discard(name)
            if not index[key]:
                del index[key]

    def _target(self, route: Route) -> tuple[str, str]:
        """The map's value for a route, or an empty one and why there is none."""
        if route.is_default:
            return "", ""
        if route.pod_uid:
            pod = self.pods.get(route.pod_uid)
            if pod is None:
                return "", "its pod does not exist"
            if not pod.serves(route.host):
                return "", "its pod is not running with that address"
            return f"{route.host}|{route.port}", ""
        address = self.addresses.get(route.host, "")
        return (f"{address}|{route.port}", "") if address else ("", "its host name has no address yet")

    def _winner(self, key: str) -> str:
        """The slice that has a key: of several spellings of one URL the oldest that can be served."""
        able = [name for name in self._by_key.get(key, ()) if self._target(self.routes[name])[0]]
        return min(able, key=lambda name: (self.routes[name].created, name), default="")

    def _value(self, key: str) -> str | None:
        winner = self._winner(key)
        return self._target(self.routes[winner])[0] if winner else None

    def _status(self, name: str) -> Status | None:
        version = self.versions.get(name)
        if version is None:
            return None
        route = self.routes.get(name)
        if route is None:
            return Status(version, self.refused[name])
        value, reason = self._target(route)
        if value and self._winner(route.key) != name:
            reason = "another slice has the same URL"
        return Status(version, reason)


def _name(obj: Mapping[str, Any]) -> str:
    return str(metadata_of(obj).get("name") or "")
