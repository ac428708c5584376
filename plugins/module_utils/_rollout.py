# Copyright: campus.jupyterhub contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Decide from the objects alone whether workloads are ready, and say why not. Pure: no cluster, no Ansible.

Private to the collection: it may change in any release.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

Json = dict[str, Any]

KINDS = (("Deployment", "apps/v1"), ("StatefulSet", "apps/v1"), ("DaemonSet", "apps/v1"), ("Job", "batch/v1"))
HARMLESS = ("ContainerCreating", "PodInitializing")


@dataclass(frozen=True)
class State:
    """Where a workload stands: ``ready`` of ``wanted`` pods; ``failed`` when waiting longer is of no use."""

    kind: str
    namespace: str
    name: str
    wanted: int
    ready: int
    done: bool
    failed: bool
    reason: str

    @property
    def title(self) -> str:
        """The name that messages use."""
        return f"{self.kind} {self.namespace}/{self.name}"

    def as_dict(self) -> Json:
        """Return what the module reports."""
        return {
            "kind": self.kind,
            "namespace": self.namespace,
            "name": self.name,
            "wanted": self.wanted,
            "ready": self.ready,
            "done": self.done,
            "reason": self.reason,
        }


def condition(item: Json, kind: str) -> Json:
    """Return the status condition of this type, empty when it is not there."""
    found = [entry for entry in item.get("status", {}).get("conditions") or [] if entry.get("type") == kind]
    return found[0] if found else {}


def is_true(item: Json, kind: str) -> bool:
    """Say whether a status condition holds."""
    return condition(item, kind).get("status") == "True"


def counts(item: Json) -> tuple[int, int, int]:
    """Return the pods that are wanted, up to date, and ready."""
    spec, status = item.get("spec", {}), item.get("status", {})
    if item["kind"] == "DaemonSet":
        wanted = int(status.get("desiredNumberScheduled") or 0)
        return wanted, int(status.get("updatedNumberScheduled") or 0), int(status.get("numberAvailable") or 0)
    if item["kind"] == "Job":
        wanted = int(spec.get("completions") or 1)
        return wanted, wanted, int(status.get("succeeded") or 0)
    replicas = spec.get("replicas")
    wanted = 1 if replicas is None else int(replicas)
    ready = status.get("availableReplicas") if item["kind"] == "Deployment" else status.get("readyReplicas")
    return wanted, int(status.get("updatedReplicas") or 0), int(ready or 0)


def state_of(item: Json) -> State:
    """Return where one workload stands."""
    meta = item["metadata"]
    wanted, updated, ready = counts(item)
    status = item.get("status", {})
    seen = item["kind"] == "Job" or int(status.get("observedGeneration") or 0) >= int(meta.get("generation") or 0)
    surplus = item["kind"] == "Deployment" and int(status.get("replicas") or 0) > updated
    done, failed, reason = False, False, f"{ready} of {wanted} pods ready"
    if item["kind"] == "Job":
        done = is_true(item, "Complete")
        failed = is_true(item, "Failed")
        reason = condition(item, "Failed").get("message") or f"{ready} of {wanted} completions"
    elif not seen:
        reason = "not yet seen by its controller"
    elif updated < wanted:
        reason = f"{updated} of {wanted} pods updated"
    elif surplus:
        reason = "old pods are still ending"
    else:
        done = ready >= wanted
    progressing = condition(item, "Progressing")
    if not done and seen and progressing.get("reason") == "ProgressDeadlineExceeded":
        failed, reason = True, f"{reason}; no progress within its deadline"
    return State(item["kind"], meta.get("namespace", ""), meta["name"], wanted, ready, done, failed, reason)


def selector_of(item: Json) -> str:
    """Return the label selector of a workload's pods, in Kubernetes' notation."""
    labels = (item.get("spec", {}).get("selector") or {}).get("matchLabels") or {}
    return ",".join(f"{key}={value}" for key, value in sorted(labels.items()))


def container_problems(pod: Json) -> list[tuple[str, str]]:
    """Return the containers of a pod that do not run as they should, each with the reason."""
    status = pod.get("status", {})
    problems = []
    for entry in (status.get("initContainerStatuses") or []) + (status.get("containerStatuses") or []):
        state = entry.get("state") or {}
        waiting, ended = state.get("waiting"), state.get("terminated")
        last = (entry.get("lastState") or {}).get("terminated") or {}
        if waiting and (waiting.get("reason") not in HARMLESS or last):
            text = ": ".join(part for part in (waiting.get("reason", "waiting"), waiting.get("message", "")) if part)
            after = f" (last exit code {last['exitCode']}, {last.get('reason', '')})" if last else ""
            problems.append((entry["name"], text + after))
        elif ended and ended.get("exitCode"):
            problems.append((entry["name"], f"ended with exit code {ended['exitCode']} ({ended.get('reason', '')})"))
        elif "running" in state and not entry.get("ready") and entry.get("started") is not False:
            problems.append((entry["name"], "runs, but its readiness probe fails"))
    return problems


def pod_problem(pod: Json) -> str:
    """Return why the pod as a whole does not run, empty when its containers tell more."""
    if pod.get("metadata", {}).get("deletionTimestamp"):
        return "is ending"
    scheduled = condition(pod, "PodScheduled")
    if scheduled.get("status") == "False":
        return f"has no node: {scheduled.get('message') or scheduled.get('reason', '')}"
    status = pod.get("status", {})
    if status.get("phase") == "Failed":
        return f"failed: {status.get('message') or status.get('reason', '')}"
    return ""


def event_lines(events: Iterable[Json], names: set[str], limit: int = 5) -> list[str]:
    """Return the last warnings about the named objects, oldest first, each once."""

    def when(event: Json) -> str:
        series = event.get("series") or {}
        return str(series.get("lastObservedTime") or event.get("lastTimestamp") or event.get("eventTime") or "")

    lines: list[str] = []
    warnings = [event for event in events if event.get("type") == "Warning"]
    for event in sorted(warnings, key=when):
        name = event["involvedObject"].get("name")
        if name not in names:
            continue
        line = f"{name}: {event.get('reason', '')}: {' '.join(str(event.get('message', '')).split())}"
        if line in lines:
            lines.remove(line)
        lines.append(line)
    return lines[-limit:]


def sentence(states: Iterable[State], seconds: int) -> str:
    """Return the one sentence that says what is not ready and what to do."""
    missing = [state for state in states if not state.done]
    reasons = "; ".join(f"{state.title}: {state.reason}" for state in missing)
    hint = "The details below name the cause; run again once it is gone."
    if any(state.failed for state in missing):
        return f"Could not bring up {reasons}. {hint}"
    return f"Could not wait for {reasons}, after {seconds} s. {hint}"
