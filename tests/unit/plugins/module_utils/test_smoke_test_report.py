"""What staff are shown when the smoke test fails."""

from __future__ import annotations

from typing import Any

from ansible_collections.campus.jupyterhub.plugins.module_utils._cluster import ClusterError
from ansible_collections.campus.jupyterhub.plugins.module_utils._smoke_test_report import event_lines, report

Json = dict[str, Any]


def pod(name: str, user: str = "", containers: tuple[str, ...] = ("notebook",)) -> Json:
    annotations = {"hub.jupyter.org/username": user} if user else None
    return {
        "metadata": {"name": name, "uid": f"uid of {name}", "namespace": "jupyterhub", "annotations": annotations},
        "status": {"containerStatuses": [{"name": each, "containerID": "containerd://1"} for each in containers]},
    }


def event(name: str, reason: str, message: str, last: str | None = None, kind: str = "Pod", **more: Any) -> Json:
    about = {"kind": kind, "name": name, "uid": f"uid of {name}" if kind == "Pod" else "another"}
    return {"involvedObject": about, "reason": reason, "message": message, "lastTimestamp": last, **more}


class Cluster:
    """Answers from memory; the log of a pod named "mute" cannot be read."""

    def __init__(self, pods: dict[str, list[Json]], events: list[Json]) -> None:
        self.pods = pods
        self.events = events

    def list(
        self,
        kind: str,
        api_version: str = "v1",
        namespace: str | None = None,
        label_selector: str | None = None,
        field_selector: str | None = None,
    ) -> list[Json]:
        if kind == "Event":
            return self.events
        return self.pods[f"{str(label_selector).rpartition('=')[2]} in {namespace}"]

    def logs(self, pod: str, namespace: str, container: str, lines: int, previous: bool = False) -> str:
        if pod == "mute":
            raise ClusterError("read the log of", f"Pod {namespace}/{pod}", "it is gone", "Look again.")
        return f"{pod} {container} said\nthe last {lines} lines"


def test_events_are_those_of_the_canary_in_order_of_time() -> None:
    events = [
        event("jupyter-canary", "Pulled", "image  is\nthere", "2026-01-01T00:00:02Z"),
        event("jupyter-ann", "Failed", "not hers", "2026-01-01T00:00:03Z"),
        event("jupyter-canary", "Scheduled", "to node", None, eventTime="2026-01-01T00:00:01Z"),
        event("jupyter-canary", "BackOff", "again", None, series={"lastObservedTime": "2026-01-01T00:00:04Z"}),
        event("jupyter-canary", "Other", "no pod", "2026-01-01T00:00:05Z", kind="PersistentVolumeClaim"),
    ]
    assert event_lines(events, [pod("jupyter-canary", "canary")], "canary") == [
        "2026-01-01T00:00:01Z Scheduled: to node",
        "2026-01-01T00:00:02Z Pulled: image is there",
        "2026-01-01T00:00:04Z BackOff: again",
    ]


def test_events_of_a_pod_that_is_gone_are_found_by_its_name() -> None:
    events = [event("jupyter-canary", "Killing", "stopped"), event("jupyter-canarybird", "Killing", "another")]
    assert event_lines(events, [], "canary") == ["Killing: stopped"]


def test_the_report_names_every_pod_and_survives_an_unreadable_log() -> None:
    pods = {
        "singleuser-server in jupyterhub": [pod("jupyter-canary", "canary"), pod("jupyter-ann", "ann")],
        "hub in jupyterhub": [pod("hub-1", containers=("hub",)), pod("pending", containers=())],
        "proxy in jupyterhub-edge": [pod("mute", containers=("haproxy",))],
    }
    paragraphs = report(Cluster(pods, []), "jupyterhub", "jupyterhub-edge", "canary", 7)
    assert paragraphs == [
        "Last events of the server of canary:\n  none",
        "Last log lines of jupyter-canary, container notebook:\n  jupyter-canary notebook said\n  the last 7 lines",
        "Last log lines of hub-1, container hub:\n  hub-1 hub said\n  the last 7 lines",
        "Last log lines of mute, container haproxy:\n"
        "  Could not read the log of Pod jupyterhub/mute: it is gone. Look again.",
    ]
