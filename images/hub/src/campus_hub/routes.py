"""Routes as EndpointSlices: one slice a route, written by the hub and read by the agents of the proxy.

Pure functions.
"""

from __future__ import annotations

import hashlib
import ipaddress
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

MANAGED_BY = "campus.jupyterhub"
PROXY_NAME = "campus-jupyterhub"
ROUTESPEC = "campus.jupyterhub/routespec"
DATA = "campus.jupyterhub/data"
TARGET = "campus.jupyterhub/target"

Manifest = dict[str, Any]
Route = dict[str, Any]


class RouteRefused(ValueError):
    """A route that the proxy cannot serve; the message says why and what to do."""


@dataclass(frozen=True)
class Pod:
    """The pod behind a route."""

    namespace: str
    name: str
    uid: str
    address: str


def slice_name(hub: str, routespec: str) -> str:
    """Return the name of the slice that holds a route."""
    return f"{hub}-route-{hashlib.sha256(routespec.encode()).hexdigest()[:40]}"


def slice_labels(hub: str) -> dict[str, str]:
    """Return the labels of every route of one hub. The second last one keeps kube-proxy from receiving the slice."""
    return {
        "app": "jupyterhub",
        "component": "route",
        "endpointslice.kubernetes.io/managed-by": MANAGED_BY,
        "service.kubernetes.io/service-proxy-name": PROXY_NAME,
        "hub.jupyter.org/name": hub,
    }


def selector(hub: str) -> str:
    """Return the label selector for every route of one hub."""
    return ",".join(f"{key}={value}" for key, value in slice_labels(hub).items())


def check_target(routespec: str, target: str, *, pod: bool) -> tuple[str, int]:
    """Return host and port of a target.

    Raises RouteRefused for https, for a path, and for an address of the hub's own container where the route has no pod.
    """
    try:
        parts = urlsplit(target)
        host, port = parts.hostname or "", parts.port
    except ValueError as error:
        raise RouteRefused(f"route {routespec}: {target!r} is not a URL ({error})") from error
    if parts.scheme != "http":
        raise RouteRefused(f"route {routespec}: the proxy speaks plain http to servers; {target!r} must be http://")
    if parts.path not in ("", "/") or parts.query or parts.fragment:
        raise RouteRefused(
            f"route {routespec}: {target!r} has a path, but requests go on unchanged; give scheme, host and port only"
        )
    if not host:
        raise RouteRefused(f"route {routespec}: {target!r} names no host")
    if not pod and _is_loopback(host):
        raise RouteRefused(
            f"route {routespec}: {target!r} is the hub's own container, out of the proxy's reach; give a Service's URL"
        )
    return host, port or 80


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def build_slice(
    hub: str, namespace: str, routespec: str, *, target: str, data: Mapping[str, Any], pod: Pod | None
) -> Manifest:
    """Return the slice for a route: to a pod, or without one to a URL that the agents resolve.

    Raises RouteRefused as check_target does.
    """
    _host, port = check_target(routespec, target, pod=pod is not None)
    metadata: Manifest = {
        "name": slice_name(hub, routespec),
        "namespace": namespace,
        "labels": slice_labels(hub),
        "annotations": {ROUTESPEC: json.dumps(routespec), DATA: json.dumps(dict(data), sort_keys=True)},
    }
    manifest: Manifest = {"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "metadata": metadata}
    if pod is None:
        metadata["annotations"][TARGET] = target.rstrip("/")
        return manifest | {"addressType": "IPv4", "endpoints": [], "ports": []}
    # Without blockOwnerDeletion: the pod goes first, the slice is swept up behind it.
    metadata["ownerReferences"] = [{"apiVersion": "v1", "kind": "Pod", "name": pod.name, "uid": pod.uid}]
    return manifest | {
        "addressType": f"IPv{ipaddress.ip_address(pod.address).version}",
        "endpoints": [
            {
                "addresses": [pod.address],
                "conditions": {"ready": True},
                "targetRef": {"kind": "Pod", "namespace": pod.namespace, "name": pod.name, "uid": pod.uid},
            }
        ],
        "ports": [{"name": "http", "port": port, "protocol": "TCP"}],
    }


def pod_of(manifest: Manifest) -> Pod | None:
    """Return the pod that a slice leads to, or None for a route without one."""
    for endpoint in manifest.get("endpoints") or []:
        ref = endpoint.get("targetRef") or {}
        if ref.get("kind") == "Pod" and endpoint.get("addresses"):
            return Pod(ref.get("namespace", ""), ref.get("name", ""), ref.get("uid", ""), endpoint["addresses"][0])
    return None


def parse_slice(manifest: Manifest) -> Route | None:
    """Return the route in a slice as JupyterHub wants it, and its pod; None if the slice holds no route."""
    annotations = manifest["metadata"].get("annotations") or {}
    try:
        routespec = json.loads(annotations[ROUTESPEC])
        data = json.loads(annotations[DATA])
    except (KeyError, ValueError):
        return None
    if not isinstance(routespec, str) or not isinstance(data, dict):
        return None
    pod = pod_of(manifest)
    ports = manifest.get("ports") or []
    if pod is not None and ports:
        host = f"[{pod.address}]" if ":" in pod.address else pod.address
        target = f"http://{host}:{ports[0]['port']}"
    elif TARGET in annotations:
        target = annotations[TARGET]
    else:
        return None
    return {"routespec": routespec, "target": target, "data": data, "pod": pod}


def same_route(existing: Manifest, wanted: Manifest) -> bool:
    """Say whether a slice already holds what is wanted; the server's additions do not count."""
    return (
        _essence(existing) == _essence(wanted)
        and (wanted["metadata"]["labels"].items() <= (existing["metadata"].get("labels") or {}).items())
        and owner_uid(existing) == owner_uid(wanted)
    )


def _essence(manifest: Manifest) -> Manifest:
    annotations = manifest["metadata"].get("annotations") or {}
    ports = manifest.get("ports") or []
    return {
        "annotations": {key: annotations.get(key) for key in (ROUTESPEC, DATA, TARGET)},
        "addressType": manifest.get("addressType"),
        "pod": pod_of(manifest),
        "ports": [(port.get("name"), port.get("port"), port.get("protocol")) for port in ports],
    }


def owner_uid(manifest: Manifest) -> str:
    """Return the uid of the pod that owns a slice, empty for a route without one."""
    owners = manifest["metadata"].get("ownerReferences") or []
    return str(owners[0]["uid"]) if owners else ""
