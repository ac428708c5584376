# Copyright: campus.jupyterhub contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a member of staff needs to see when the smoke test fails: the canary's events and the last lines of the logs.

Private to the collection: it may change in any release.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ansible_collections.campus.jupyterhub.plugins.module_utils._cluster import ClusterError
from ansible_collections.campus.jupyterhub.plugins.module_utils._rollout_wait import Reader
from ansible_collections.campus.jupyterhub.plugins.module_utils._student_disks import STUDENT as USERNAME

Json = dict[str, Any]

EVENTS = 10
STUDENT = "app=jupyterhub,component=singleuser-server"
HUB = "app=jupyterhub,component=hub"
PROXY = "app=jupyterhub,component=proxy"


def of_user(pods: Iterable[Json], user: str) -> list[Json]:
    """Return the pods of one student."""
    return [pod for pod in pods if (pod["metadata"].get("annotations") or {}).get(USERNAME) == user]


def event_time(event: Json) -> str:
    """Return when an event was last seen, as the API writes times."""
    series = event.get("series") or {}
    return str(series.get("lastObservedTime") or event.get("lastTimestamp") or event.get("eventTime") or "")


def event_lines(events: Iterable[Json], pods: Iterable[Json], user: str) -> list[str]:
    """Return the last events of the student's pods, oldest first.

    A pod that failed may be gone already; then pods are told by the student's name within theirs.
    """
    uids = {pod["metadata"]["uid"] for pod in pods}
    chosen = []
    for event in sorted(events, key=event_time):
        about = event.get("involvedObject") or {}
        gone = not uids and about.get("kind") == "Pod" and user in str(about.get("name", "")).split("-")
        if gone or about.get("uid") in uids:
            text = " ".join(str(event.get("message", "")).split())
            chosen.append(f"{event_time(event)} {event.get('reason', '')}: {text}".strip())
    return chosen[-EVENTS:]


def containers(pod: Json) -> list[str]:
    """Return the names of the containers of a pod that have written a log."""
    status = pod.get("status") or {}
    entries = (status.get("initContainerStatuses") or []) + (status.get("containerStatuses") or [])
    begun = [entry for entry in entries if entry.get("containerID")]
    return [str(entry["name"]) for entry in begun]


def paragraph(title: str, lines: Iterable[str]) -> str:
    """Return a titled, indented block of text."""
    return "\n".join([f"{title}:", *(f"  {line}" for line in list(lines) or ["none"])])


def log_lines(cluster: Reader, pod: Json, container: str, lines: int) -> list[str]:
    """Return the last lines of one container's log, or why they cannot be read."""
    meta = pod["metadata"]
    try:
        return cluster.logs(meta["name"], meta["namespace"], container, lines).splitlines()
    except ClusterError as error:
        return [str(error)]


def report(cluster: Reader, namespace: str, proxy_namespace: str, user: str, lines: int) -> list[str]:
    """Return the paragraphs that explain a failed smoke test.

    Args:
        cluster: where the hub runs.
        namespace: namespace of hub and student servers.
        proxy_namespace: namespace of the proxy.
        user: name of the canary student.
        lines: log lines shown of each container.

    Raises:
        ClusterError: the API server does not answer.
    """
    student = of_user(cluster.list("Pod", namespace=namespace, label_selector=STUDENT), user)
    services = cluster.list("Pod", namespace=namespace, label_selector=HUB)
    services += cluster.list("Pod", namespace=proxy_namespace, label_selector=PROXY)
    events = cluster.list("Event", namespace=namespace)
    paragraphs = [paragraph(f"Last events of the server of {user}", event_lines(events, student, user))]
    for pod in [*student, *services]:
        for container in containers(pod):
            title = f"Last log lines of {pod['metadata']['name']}, container {container}"
            paragraphs.append(paragraph(title, log_lines(cluster, pod, container, lines)))
    return paragraphs
