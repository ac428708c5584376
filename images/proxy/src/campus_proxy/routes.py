"""What an EndpointSlice says about a route. Pure: takes the API's JSON, gives a Route or says why it is none."""

from __future__ import annotations

import hashlib
import ipaddress
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from campus_proxy.routing import BadRoutespec, routespec_key

MANAGED_BY = "campus.jupyterhub"
ROUTESPEC = "campus.jupyterhub/routespec"
DATA = "campus.jupyterhub/data"
TARGET = "campus.jupyterhub/target"

MAX_DATA = 16384
"""Longest data annotation, in characters; it is shown to staff and means nothing to the proxy."""

_HOSTNAME = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)(\.(?!-)[A-Za-z0-9_-]{1,63}(?<!-))*\.?", re.ASCII)


class BadRoute(ValueError):
    """A slice that is not a route this proxy can serve; the text says why, in a few words."""


@dataclass(frozen=True, slots=True)
class Version:
    """Which state of an object was seen; compared for equality only, as the API asks for."""

    uid: str
    resource_version: str


@dataclass(frozen=True, slots=True)
class Route:
    """One route. `pod_uid` is empty for a route without a pod, whose `host` may be a name to resolve."""

    name: str
    created: str
    key: str
    routespec: str
    data: Mapping[str, Any]
    host: str
    port: int
    pod_uid: str

    @property
    def is_default(self) -> bool:
        """The hub's own route: HAProxy has it in its configuration, so there is nothing to set."""
        return self.key.count("/") == 1 and not self.pod_uid and bool(self.data.get("hub"))


@dataclass(frozen=True, slots=True)
class Pod:
    """What counts of a student's pod."""

    uid: str
    name: str
    phase: str
    addresses: frozenset[str]

    def serves(self, address: str) -> bool:
        """Whether requests may go to this address: the pod runs and still has it."""
        return self.phase == "Running" and address in self.addresses


def selector(name: str) -> str:
    """The label selector for the routes of the hub of this name."""
    ours = f"endpointslice.kubernetes.io/managed-by={MANAGED_BY},hub.jupyter.org/name={name}"
    return f"app=jupyterhub,component=route,{ours}"


def slice_name(prefix: str, routespec: str) -> str:
    """The name the hub gives the slice of a routespec; one routespec, one object."""
    return f"{prefix}-route-{hashlib.sha256(routespec.encode()).hexdigest()[:40]}"


def host_address(text: Any) -> str:
    """A plain address of a host in the canonical form, or BadRoute.

    Loopback is the proxy itself and link-local is a cloud's metadata service: neither is ever a student's server.
    """
    try:
        address = ipaddress.ip_address(str(text))
    except ValueError:
        raise BadRoute("its address is not an IP address") from None
    mapped = getattr(address, "ipv4_mapped", None)
    if mapped or address.is_loopback or address.is_link_local or address.is_multicast or address.is_unspecified:
        raise BadRoute("its address is not one of a host")
    if getattr(address, "scope_id", None):
        raise BadRoute("its address has a scope")
    return str(address)


def _port(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 < value < 65536:
        raise BadRoute("its port is not a port number")
    return value


def _json(annotations: Mapping[str, Any], key: str) -> Any:
    text = annotations.get(key)
    if not isinstance(text, str):
        raise BadRoute(f"annotation {key} is missing")
    if len(text) > MAX_DATA:
        raise BadRoute(f"annotation {key} is longer than {MAX_DATA} characters")
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise BadRoute(f"annotation {key} is not JSON") from None


def _target(url: Any) -> tuple[str, int]:
    """Host and port of a target URL; only plain http without a path can be a route here."""
    try:
        parts = urlsplit(str(url))
        port = 80 if parts.port is None else parts.port
    except ValueError:
        raise BadRoute("its target is not a URL") from None
    host = parts.hostname or ""
    if parts.scheme != "http" or parts.path not in ("", "/") or parts.query or parts.fragment or "@" in parts.netloc:
        raise BadRoute("its target is not http://host:port")
    if ":" in host or host.replace(".", "").isdigit():
        return host_address(host), _port(port)
    if len(host) > 253 or not _HOSTNAME.fullmatch(host):
        raise BadRoute("its target's host is not a host name")
    return host, _port(port)


def _endpoint(obj: Mapping[str, Any], namespace: str) -> tuple[str, int, str]:
    """Address, port and pod uid of the one endpoint that a route of a pod has."""
    endpoints, ports = obj.get("endpoints"), obj.get("ports")
    if not isinstance(endpoints, list) or len(endpoints) != 1 or not isinstance(endpoints[0], dict):
        raise BadRoute("it has not exactly one endpoint")
    if not isinstance(ports, list) or len(ports) != 1 or not isinstance(ports[0], dict):
        raise BadRoute("it has not exactly one port")
    addresses, target = endpoints[0].get("addresses"), endpoints[0].get("targetRef")
    if not isinstance(addresses, list) or len(addresses) != 1:
        raise BadRoute("its endpoint has not exactly one address")
    if not isinstance(target, dict) or target.get("kind") != "Pod" or not isinstance(target.get("uid"), str):
        raise BadRoute("its endpoint refers to no pod")
    if not target["uid"] or target.get("namespace", namespace) != namespace:
        raise BadRoute("its endpoint refers to a pod elsewhere")
    return host_address(addresses[0]), _port(ports[0].get("port")), target["uid"]


def metadata_of(obj: Mapping[str, Any]) -> Mapping[str, Any]:
    """The metadata of any API object; empty where it has none."""
    metadata = obj.get("metadata")
    return metadata if isinstance(metadata, dict) else {}


def version_of(obj: Mapping[str, Any]) -> Version:
    """The version of any API object; empty parts where it has none."""
    metadata = metadata_of(obj)
    return Version(str(metadata.get("uid") or ""), str(metadata.get("resourceVersion") or ""))


def parse_slice(obj: Mapping[str, Any], prefix: str, namespace: str) -> Route:
    """The route that a slice of `namespace` describes, `prefix` being the hub's name.

    Raises BadRoute for anything the hub would not have written.
    """
    metadata = metadata_of(obj)
    annotations, labels = metadata.get("annotations"), metadata.get("labels")
    if not isinstance(labels, dict) or labels.get("endpointslice.kubernetes.io/managed-by") != MANAGED_BY:
        raise BadRoute("it is managed by something else")
    if not isinstance(annotations, dict):
        raise BadRoute(f"annotation {ROUTESPEC} is missing")
    routespec, data = _json(annotations, ROUTESPEC), _json(annotations, DATA)
    if not isinstance(routespec, str) or not isinstance(data, dict):
        raise BadRoute("its annotations are not a string and an object")
    try:
        key = routespec_key(routespec)
        expected = slice_name(prefix, routespec)
    except BadRoutespec as reason:
        raise BadRoute(f"its routespec {reason}") from None
    except UnicodeEncodeError:
        raise BadRoute("its routespec is not text") from None
    if metadata.get("name") != expected:
        raise BadRoute("its name does not belong to its routespec")
    if TARGET in annotations:
        if obj.get("endpoints"):
            raise BadRoute("it has both a target and an endpoint")
        host, port = _target(annotations[TARGET])
        pod_uid = ""
    else:
        host, port, pod_uid = _endpoint(obj, namespace)
    created = str(metadata.get("creationTimestamp") or "")
    route = Route(expected, created, key, routespec, data, host, port, pod_uid)
    if key == "/" and not route.is_default:
        raise BadRoute("only the hub may have the default route")
    return route


def parse_pod(obj: Mapping[str, Any]) -> Pod | None:
    """The pod, or None where there is not even a uid to know it by."""
    metadata, status = metadata_of(obj), obj.get("status")
    if not isinstance(metadata.get("uid"), str):
        return None
    status = status if isinstance(status, dict) else {}
    listed = status.get("podIPs")
    texts = [item.get("ip") for item in listed if isinstance(item, dict)] if isinstance(listed, list) else []
    addresses: set[str] = set()
    for text in [*texts, status.get("podIP")]:
        try:
            addresses.add(host_address(text))
        except BadRoute:
            continue
    return Pod(metadata["uid"], str(metadata.get("name") or ""), str(status.get("phase") or ""), frozenset(addresses))
