"""Whether a workload is ready, and why not, is read from its objects."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.campus.jupyterhub.plugins.module_utils._cluster import ClusterError
from ansible_collections.campus.jupyterhub.plugins.module_utils._rollout import (
    container_problems,
    event_lines,
    pod_problem,
    selector_of,
    sentence,
    state_of,
)
from ansible_collections.campus.jupyterhub.plugins.module_utils._rollout_wait import explain, wait

Json = dict[str, Any]


def workload(kind: str, spec: Json, status: Json, generation: int = 1) -> Json:
    """Return a workload as the API server gives it."""
    meta = {"name": "w", "namespace": "n", "uid": kind, "generation": generation}
    return {"kind": kind, "metadata": meta, "spec": spec, "status": status}


UP_TO_DATE = {"observedGeneration": 1, "updatedReplicas": 2, "replicas": 2}
TWO = {"replicas": 2, "selector": {"matchLabels": {"b": "2", "a": "1"}}}
STATES = [
    ("Deployment", TWO, {**UP_TO_DATE, "availableReplicas": 2}, (True, False, "2 of 2 pods ready")),
    ("Deployment", TWO, {**UP_TO_DATE, "availableReplicas": 1}, (False, False, "1 of 2 pods ready")),
    ("Deployment", TWO, {}, (False, False, "not yet seen by its controller")),
    ("Deployment", TWO, {**UP_TO_DATE, "updatedReplicas": 1}, (False, False, "1 of 2 pods updated")),
    (
        "Deployment",
        TWO,
        {**UP_TO_DATE, "replicas": 3, "availableReplicas": 3},
        (False, False, "old pods are still ending"),
    ),
    ("Deployment", {"replicas": 0}, {"observedGeneration": 1}, (True, False, "0 of 0 pods ready")),
    (
        "StatefulSet",
        {},
        {"observedGeneration": 1, "updatedReplicas": 1, "readyReplicas": 1},
        (True, False, "1 of 1 pods ready"),
    ),
    (
        "DaemonSet",
        {},
        {"observedGeneration": 1, "desiredNumberScheduled": 3, "updatedNumberScheduled": 3},
        (False, False, "0 of 3 pods ready"),
    ),
    (
        "Job",
        {},
        {"succeeded": 1, "conditions": [{"type": "Complete", "status": "True"}]},
        (True, False, "1 of 1 completions"),
    ),
    (
        "Job",
        {},
        {"conditions": [{"type": "Failed", "status": "True", "message": "too often"}]},
        (False, True, "too often"),
    ),
    (
        "Deployment",
        TWO,
        {
            **UP_TO_DATE,
            "conditions": [{"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"}],
        },
        (False, True, "0 of 2 pods ready; no progress within its deadline"),
    ),
]


@pytest.mark.parametrize(("kind", "spec", "status", "expected"), STATES)
def test_states(kind: str, spec: Json, status: Json, expected: tuple[bool, bool, str]) -> None:
    state = state_of(workload(kind, spec, status))
    assert (state.done, state.failed, state.reason) == expected
    assert state.title == f"{kind} n/w"
    assert state.as_dict()["done"] is expected[0]


def test_an_older_generation_is_not_ready() -> None:
    item = workload("Deployment", TWO, {**UP_TO_DATE, "availableReplicas": 2}, generation=2)
    assert not state_of(item).done


def test_the_selector_is_in_the_notation_of_kubernetes() -> None:
    assert selector_of(workload("Deployment", TWO, {})) == "a=1,b=2"
    assert selector_of({"spec": {}}) == ""


CONTAINERS = [
    ({"state": {"running": {}}, "ready": True, "started": True}, []),
    ({"state": {"waiting": {"reason": "ContainerCreating"}}}, []),
    (
        {"state": {"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}}},
        ["ImagePullBackOff: no such image"],
    ),
    (
        {
            "state": {"waiting": {"reason": "CrashLoopBackOff"}},
            "lastState": {"terminated": {"exitCode": 1, "reason": "Error"}},
        },
        ["CrashLoopBackOff (last exit code 1, Error)"],
    ),
    ({"state": {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}}, ["ended with exit code 137 (OOMKilled)"]),
    ({"state": {"terminated": {"exitCode": 0}}}, []),
    ({"state": {"running": {}}, "ready": False, "started": True}, ["runs, but its readiness probe fails"]),
]


@pytest.mark.parametrize(("status", "reasons"), CONTAINERS)
def test_containers_in_trouble(status: Json, reasons: list[str]) -> None:
    pod = {"status": {"containerStatuses": [{"name": "c", **status}]}}
    assert container_problems(pod) == [("c", reason) for reason in reasons]


def test_pods_in_trouble() -> None:
    unscheduled = {"status": {"conditions": [{"type": "PodScheduled", "status": "False", "message": "0/3 nodes fit"}]}}
    assert pod_problem(unscheduled) == "has no node: 0/3 nodes fit"
    assert pod_problem({"status": {"phase": "Failed", "reason": "Evicted"}}) == "failed: Evicted"
    assert pod_problem({"metadata": {"deletionTimestamp": "now"}}) == "is ending"
    assert pod_problem({"status": {"phase": "Running"}}) == ""


def event(name: str, reason: str, when: str, kind: str = "Pod") -> Json:
    """Return a warning."""
    about = {"kind": kind, "name": name}
    return {"type": "Warning", "involvedObject": about, "reason": reason, "message": "m", "lastTimestamp": when}


def test_events_are_the_last_ones_each_once() -> None:
    events = [event("p", "B", "2"), event("p", "A", "1"), event("q", "C", "3"), event("p", "A", "4")]
    assert event_lines(events, {"p"}) == ["p: B: m", "p: A: m"]
    assert event_lines(events, {"p"}, limit=1) == ["p: A: m"]


def test_the_sentence_says_what_is_missing() -> None:
    late = state_of(workload("Deployment", TWO, {}))
    lost = state_of(workload("Job", {}, {"conditions": [{"type": "Failed", "status": "True", "message": "no"}]}))
    assert sentence([late], 5).startswith(
        "Could not wait for Deployment n/w: not yet seen by its controller, after 5 s."
    )
    assert sentence([lost], 5).startswith("Could not bring up Job n/w: no.")


class FakeReader:
    """Answers with what it was given."""

    def __init__(self, **objects: list[Json]) -> None:
        """``objects`` are the lists by kind."""
        self.objects = objects

    def list(
        self,
        kind: str,
        api_version: str = "v1",
        namespace: str | None = None,
        label_selector: str | None = None,
        field_selector: str | None = None,
    ) -> list[Json]:
        """Return all objects of a kind."""
        return self.objects.get(kind, [])

    def logs(self, pod: str, namespace: str, container: str, lines: int, previous: bool = False) -> str:
        """The run before has a log, this one cannot be read."""
        if not previous:
            raise OSError("gone")
        return "one\ntwo\nthree"


SELECTORS = [{"namespace": "n", "label_selector": "a=1"}]


def waited(reader: FakeReader, timeout: int = 3) -> Any:
    """Wait with a clock that only moves when someone sleeps."""
    now = [0.0]

    def sleep(seconds: float) -> None:
        now[0] += seconds

    return wait(reader, SELECTORS, timeout, lambda: now[0], sleep)


def test_waiting_ends_when_all_are_ready() -> None:
    ready = workload("Deployment", TWO, {**UP_TO_DATE, "availableReplicas": 2})
    outcome = waited(FakeReader(Deployment=[ready]))
    assert (outcome.message, outcome.seconds) == ("", 0.0)


def test_waiting_ends_after_its_time() -> None:
    outcome = waited(FakeReader(Deployment=[workload("Deployment", TWO, UP_TO_DATE)]))
    assert outcome.seconds == 3.0
    assert "0 of 2 pods ready, after 3 s" in outcome.message


def test_waiting_ends_at_once_when_it_is_of_no_use() -> None:
    lost = workload("Job", {}, {"conditions": [{"type": "Failed", "status": "True", "message": "no"}]})
    assert waited(FakeReader(Job=[lost])).seconds == 0.0


class IllReader(FakeReader):
    """Fails as often as it is told, each time with another status, before it answers."""

    def __init__(self, failures: list[int], **objects: list[Json]) -> None:
        """``failures`` are HTTP statuses, 0 for no answer."""
        super().__init__(**objects)
        self.failures = failures

    def list(self, *args: Any, **kwargs: Any) -> list[Json]:
        """Fail, or return all objects of a kind."""
        if self.failures:
            status = self.failures.pop(0)
            raise ClusterError("list", "Pod objects in n", f"it said {status}", "Try again.", status)
        return super().list(*args, **kwargs)


def test_a_cluster_that_is_busy_is_asked_again() -> None:
    ready = workload("Deployment", TWO, {**UP_TO_DATE, "availableReplicas": 2})
    outcome = waited(IllReader([429, 0, 503], Deployment=[ready]))
    assert (outcome.message, outcome.seconds) == ("", 3.0)


def test_a_cluster_that_stays_ill_ends_the_wait_with_its_last_words() -> None:
    reader = IllReader([503] * 3 + [500] * 10)
    with pytest.raises(ClusterError, match="it said 500"):
        waited(reader)
    assert len(reader.failures) == 9


def test_a_refusal_ends_the_wait_at_once() -> None:
    reader = IllReader([403, 403])
    with pytest.raises(ClusterError, match="it said 403"):
        waited(reader)
    assert len(reader.failures) == 1


def test_nothing_found_is_a_failure() -> None:
    assert waited(FakeReader()).message.startswith("Could not find any workload for a=1 in n.")


def test_runs_of_a_schedule_are_not_waited_for() -> None:
    ready = workload("Deployment", TWO, {**UP_TO_DATE, "availableReplicas": 2})
    nightly = workload("Job", {}, {})
    nightly["metadata"]["ownerReferences"] = [{"kind": "CronJob", "name": "nightly"}]
    assert waited(FakeReader(Deployment=[ready], Job=[nightly])).message == ""


def test_the_explanation_names_pods_events_and_log_lines() -> None:
    waiting = {"name": "c", "state": {"waiting": {"reason": "CrashLoopBackOff"}}}
    pod = {"metadata": {"name": "w-abc-1", "namespace": "n"}, "status": {"containerStatuses": [waiting]}}
    events = [
        event("w-abc-1", "BackOff", "1"),
        event("w-abc", "FailedCreate", "2", "ReplicaSet"),
        event("v-abc", "X", "3", "ReplicaSet"),
    ]
    reader = FakeReader(Deployment=[workload("Deployment", TWO, UP_TO_DATE)], Pod=[pod], Event=events)
    assert explain(reader, waited(reader), 2) == [
        "Pod w-abc-1, container c: CrashLoopBackOff",
        "  two",
        "  three",
        "Event w-abc-1: BackOff: m",
        "Event w-abc: FailedCreate: m",
    ]
