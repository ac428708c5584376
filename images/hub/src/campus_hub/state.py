"""What pods and disks say about a student's server. Pure functions."""

from __future__ import annotations

from typing import Any

from campus_hub.quantity import parse

Pod = dict[str, Any]

USER = "hub.jupyter.org/username"
SERVER = "hub.jupyter.org/servername"
CONTAINER = "notebook"
TOKEN = "JUPYTERHUB_API_TOKEN"


def exit_code(pod: Pod | None) -> int | None:
    """Return None while a pod starts or runs, else the exit code of its server (1 where there is none).

    Only a pod that is gone, a pod that has ended and a server container that has ended count as stopped. A pod
    without container statuses has not told anything yet; KubeSpawner takes it for stopped.
    """
    if pod is None:
        return 1
    status = pod.get("status") or {}
    for container in status.get("containerStatuses") or []:
        ended = (container.get("state") or {}).get("terminated")
        if container.get("name") == CONTAINER and ended:
            return int(ended.get("exitCode", 1))
    return 1 if status.get("phase") in ("Failed", "Succeeded") else None


def terminating(pod: Pod) -> bool:
    """Say whether a pod is being deleted."""
    return bool(pod["metadata"].get("deletionTimestamp"))


def belongs_to(manifest: dict[str, Any], component: str, user: str, server: str) -> bool:
    """Say whether a pod is this student's server of this name, by its labels and annotations, not by its name."""
    metadata = manifest["metadata"]
    labels = metadata.get("labels") or {}
    annotations = metadata.get("annotations") or {}
    return (
        labels.get("component") == component and annotations.get(USER) == user and annotations.get(SERVER, "") == server
    )


def running(pod: Pod) -> bool:
    """Say whether a pod has an address and its server's container runs."""
    status = pod.get("status") or {}
    return bool(status.get("podIP")) and any(
        container.get("name") == CONTAINER and "running" in (container.get("state") or {})
        for container in status.get("containerStatuses") or []
    )


def environment(pod: Pod) -> dict[str, str]:
    """Return the environment of the server in a pod; values that come from elsewhere are empty."""
    return {
        variable["name"]: str(variable.get("value") or "")
        for container in pod["spec"].get("containers") or []
        if container.get("name") == CONTAINER
        for variable in container.get("env") or []
    }


def api_token(pod: Pod) -> str:
    """Return the token that the server in a pod uses for the hub, empty if there is none to be seen."""
    return environment(pod).get(TOKEN, "")


def smaller(claim: dict[str, Any], size: str) -> bool:
    """Say whether a disk has less than a size and asks for less. Raises ValueError if the size is none.

    A claim that has no volume yet cannot be changed.
    """
    status = claim.get("status") or {}
    if status.get("phase") != "Bound":
        return False
    asked, given = claim["spec"]["resources"]["requests"], status.get("capacity") or {}
    return max(parse(str(sizes.get("storage", "0"))) for sizes in (asked, given)) < parse(size)


def without_disk(volumes: Any, size_limit: str) -> Any:
    """Return KubeSpawner volumes (a list, or a mapping by any key) with every claim replaced by an emptyDir."""
    if isinstance(volumes, dict):
        return {key: _ephemeral(volume, size_limit) for key, volume in volumes.items()}
    return [_ephemeral(volume, size_limit) for volume in volumes]


def _ephemeral(volume: dict[str, Any], size_limit: str) -> dict[str, Any]:
    if "persistentVolumeClaim" not in volume:
        return volume
    return {"name": volume["name"], "emptyDir": {"sizeLimit": size_limit}}
