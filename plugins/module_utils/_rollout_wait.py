# Copyright: campus.jupyterhub contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Wait for workloads and gather what explains a failure.

Private to the collection: it may change in any release.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from ansible_collections.campus.jupyterhub.plugins.module_utils._cluster import PASSING, ClusterError
from ansible_collections.campus.jupyterhub.plugins.module_utils._cluster_verbs import Lists, Logs
from ansible_collections.campus.jupyterhub.plugins.module_utils._rollout import (
    KINDS,
    State,
    container_problems,
    event_lines,
    pod_problem,
    selector_of,
    sentence,
    state_of,
)

Json = dict[str, Any]
STEP_SECONDS = 1.0


class Reader(Lists, Logs, Protocol):
    """What this file needs of a cluster."""


@dataclass
class Outcome:
    """How the wait ended; ``message`` is empty when everything is ready."""

    states: list[State]
    workloads: list[Json] = field(default_factory=list)
    seconds: float = 0.0
    message: str = ""


def workloads_of(cluster: Reader, selectors: list[dict[str, str]]) -> list[Json]:
    """Return the workloads that the selectors match, each once."""
    found: dict[str, Json] = {}
    for selector in selectors:
        for kind, api_version in KINDS:
            for item in cluster.list(kind, api_version, selector["namespace"], selector["label_selector"]):
                # A CronJob's runs come and go; the workload they belong to is no rollout.
                owners = item["metadata"].get("ownerReferences") or []
                if not any(owner.get("kind") == "CronJob" for owner in owners):
                    found[item["metadata"]["uid"]] = item
    return list(found.values())


def wait(
    cluster: Reader,
    selectors: list[dict[str, str]],
    timeout: int,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Outcome:
    """Look every second until all workloads are ready, one has failed for good, or ``timeout`` seconds are over.

    A look that fails for a reason that may pass is repeated; raises ClusterError for the last one, or for another
    reason.
    """
    began = clock()
    while True:
        try:
            workloads = workloads_of(cluster, selectors)
        except ClusterError as error:
            if error.status not in PASSING or clock() - began >= timeout:
                raise
            sleep(STEP_SECONDS)
            continue
        outcome = Outcome([state_of(item) for item in workloads], workloads, round(clock() - began, 1))
        if not workloads:
            asked = "; ".join(f"{entry['label_selector']} in {entry['namespace']}" for entry in selectors)
            outcome.message = f"Could not find any workload for {asked}. Check that it was applied to this cluster."
        elif all(state.done for state in outcome.states):
            return outcome
        elif any(state.failed for state in outcome.states) or outcome.seconds >= timeout:
            outcome.message = sentence(outcome.states, timeout)
        if outcome.message:
            return outcome
        sleep(STEP_SECONDS)


def explain(cluster: Reader, outcome: Outcome, log_lines: int) -> list[str]:
    """Return the lines that tell a member of staff why a workload is not ready."""
    lines: list[str] = []
    for item, state in zip(outcome.workloads, outcome.states, strict=True):
        if state.done:
            continue
        pods = cluster.list("Pod", "v1", state.namespace, selector_of(item) or f"job-name={state.name}")
        names = {state.name} | {pod["metadata"]["name"] for pod in pods}
        for pod in pods:
            lines.extend(explain_pod(cluster, pod, log_lines))
        events = cluster.list("Event", "v1", state.namespace, None, "type=Warning")
        names |= {event["involvedObject"].get("name", "") for event in events if belongs(event, state.name)}
        lines.extend(f"Event {line}" for line in event_lines(events, names))
    return lines


def belongs(event: Json, name: str) -> bool:
    """Say whether an event is about a ReplicaSet of the workload: such a name adds one hash."""
    about = event["involvedObject"]
    return about.get("kind") == "ReplicaSet" and str(about.get("name", "")).rpartition("-")[0] == name


def explain_pod(cluster: Reader, pod: Json, log_lines: int) -> list[str]:
    """Return the lines about one pod."""
    name = pod["metadata"]["name"]
    lines = [f"Pod {name} {pod_problem(pod)}"] if pod_problem(pod) else []
    for container, reason in container_problems(pod):
        lines.append(f"Pod {name}, container {container}: {reason}")
        lines.extend(f"  {line}" for line in log_of(cluster, pod, container, log_lines))
    return lines


def log_of(cluster: Reader, pod: Json, container: str, count: int) -> list[str]:
    """Return the last log lines of a container's newest run that has any."""
    for previous in (False, True):
        try:
            text = cluster.logs(pod["metadata"]["name"], pod["metadata"]["namespace"], container, count, previous)
        except Exception:
            # A log that cannot be read must not hide the reasons found so far.
            continue
        if text.strip():
            return text.splitlines()[-count:]
    return []
