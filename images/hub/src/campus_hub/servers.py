"""A student's server that runs, as its pod tells it. Pure functions."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from campus_hub import state

VERSION = "hub.jupyter.org/kubespawner-version"
PREFIX = "JUPYTERHUB_SERVICE_PREFIX"
API_URL = "JUPYTERHUB_API_URL"


@dataclass(frozen=True)
class Server:
    """A student's server that runs, as its pod tells it.

    Attributes:
        user, name: whose it is, and the server's name; empty for the student's own.
        token: what it shows to the hub; also the secret of its OAuth client.
        prefix, api_url: the path that it serves, and the hub that it talks to.
        started: when its pod was created, naive UTC as in JupyterHub's database.
        memory: what KubeSpawner remembers of a server (its get_state).
        pod: the manifest.
    """

    user: str
    name: str
    token: str
    prefix: str
    api_url: str
    started: datetime
    memory: dict[str, str]
    pod: state.Pod


def look(pods: Iterable[state.Pod], component: str, home: str) -> tuple[list[Server], set[str]]:
    """Return the servers that run, one for each student and name, and the uids of the pods that are still starting.

    home: name of the volume that holds a student's disk. Of two pods for one server the newer counts.
    """
    servers: dict[tuple[str, str], Server] = {}
    starting = set()
    for pod in pods:
        if state.terminating(pod) or state.exit_code(pod) is not None:
            continue
        if not state.running(pod):
            starting.add(pod["metadata"]["uid"])
        elif (server := read(pod, component, home)) is not None:
            before = servers.setdefault((server.user, server.name), server)
            if server.started > before.started:
                servers[server.user, server.name] = server
    return list(servers.values()), starting


def read(pod: state.Pod, component: str, home: str) -> Server | None:
    """Return the server in a running pod, None when the pod is not a student's or hides its token."""
    metadata, environment = pod["metadata"], state.environment(pod)
    annotations = metadata.get("annotations") or {}
    user, token = annotations.get(state.USER), environment.get(state.TOKEN)
    if (metadata.get("labels") or {}).get("component") != component or not user or not token:
        return None
    return Server(
        user=user,
        name=annotations.get(state.SERVER, ""),
        token=token,
        prefix=environment.get(PREFIX, ""),
        api_url=environment.get(API_URL, ""),
        started=datetime.fromisoformat(metadata["creationTimestamp"]).astimezone(UTC).replace(tzinfo=None),
        memory=memory(pod, home),
        pod=pod,
    )


def memory(pod: state.Pod, home: str) -> dict[str, str]:
    """Return what KubeSpawner's load_state takes, as far as a pod tells it.

    Without a version KubeSpawner knows that the pod is from before it wrote one.
    """
    metadata = pod["metadata"]
    claims = [
        volume["persistentVolumeClaim"]["claimName"]
        for volume in pod["spec"].get("volumes") or []
        if volume["name"] == home and "persistentVolumeClaim" in volume
    ]
    found = {
        "pod_name": metadata["name"],
        "namespace": metadata["namespace"],
        "kubespawner_version": (metadata.get("annotations") or {}).get(VERSION, ""),
        "pvc_name": claims[0] if claims else "",
    }
    return {key: value for key, value in found.items() if value}


def home_volume(volumes: Any) -> str:
    """Return the name of the volume of KubeSpawner.volumes that takes the student's disk, empty if there is none."""
    listed = volumes.values() if isinstance(volumes, dict) else volumes
    for volume in listed:
        if "{pvc_name}" in (volume.get("persistentVolumeClaim") or {}).get("claimName", ""):
            return str(volume["name"])
    return ""
