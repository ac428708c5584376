"""Objects are ordered, compared and shown without the values of Secrets."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.campus.jupyterhub.plugins.module_utils import _apply_run
from ansible_collections.campus.jupyterhub.plugins.module_utils._apply import (
    change,
    essence,
    established,
    ordered,
    served_kind,
    with_secrets,
)
from ansible_collections.campus.jupyterhub.plugins.module_utils._cluster import ClusterError

Json = dict[str, Any]


def thing(kind: str, name: str = "x", **more: Any) -> Json:
    """Return a small object."""
    return {"apiVersion": "v1", "kind": kind, "metadata": {"name": name}, **more}


UNKNOWN = ClusterError("apply", "Gadget n/x", "the cluster does not know this kind", "", 404)
UNKNOWN.unknown_kind = True
GADGETS = {
    **thing("CustomResourceDefinition", "gadgets.example.org"),
    "spec": {
        "group": "example.org",
        "names": {"kind": "Gadget"},
        "versions": [{"name": "v2", "storage": False}, {"name": "v1", "storage": True}],
    },
}


class FakeCluster:
    """Keeps objects in a dictionary and answers as an API server does."""

    def __init__(self, *kept: Json) -> None:
        """``kept`` are the objects it starts with."""
        self.kept = {(item["kind"], item["metadata"]["name"]): item for item in kept}
        self.refuse: dict[str, ClusterError] = {}
        self.expected = ""
        self.looks = 0

    def namespaced(self, kind: str, api_version: str) -> bool:
        """Namespaces and definitions alone are not; a Gadget is known at the third look."""
        if kind == "Gadget" and self.looks < 3:
            self.looks += 1
            raise UNKNOWN
        return kind not in ("Namespace", "CustomResourceDefinition")

    def get(self, kind: str, name: str, namespace: str | None = None, api_version: str = "v1") -> Json | None:
        """Return what is kept."""
        return self.kept.get((kind, name))

    def apply(self, item: Json, field_manager: str, dry_run: bool) -> Json:
        """Keep an object, or refuse it."""
        if item["kind"] in self.refuse:
            raise self.refuse[item["kind"]]
        answer = {**item, "metadata": {**item["metadata"], "resourceVersion": "7", "managedFields": []}}
        if not dry_run:
            self.kept[(item["kind"], item["metadata"]["name"])] = answer
        return answer

    def expect_uid(self, wanted: str) -> None:
        """Remember what was asked."""
        self.expected = wanted


def run(
    monkeypatch: pytest.MonkeyPatch, cluster: FakeCluster, objects: list[Json], check: bool = False, **more: Any
) -> list[tuple[str, str]]:
    """Apply objects to a fake cluster and return what became of them."""
    options = {"secret_values": {}, "namespace": "n", "field_manager": "f", "cluster_uid": "", **more}
    module = SimpleNamespace(params={"objects": objects, **options}, check_mode=check, warn=lambda text: None)
    monkeypatch.setattr(_apply_run, "connect", lambda module: cluster)
    return [(entry.title, entry.action) for entry in _apply_run.apply_all(module)]


def test_namespaces_come_first_and_secrets_before_what_uses_them() -> None:
    items = [thing("Deployment"), thing("Secret"), thing("ConfigMap"), thing("Namespace")]
    assert [item["kind"] for item in ordered(items)] == ["Namespace", "Secret", "Deployment", "ConfigMap"]


def test_values_are_put_back_into_their_secret() -> None:
    items = [thing("Secret", "keys"), thing("ConfigMap", "keys")]
    filled = with_secrets(items, {"keys": {"a": "eA=="}})
    assert [item.get("data") for item in filled] == [{"a": "eA=="}, None]
    assert "data" not in items[0]


def test_what_the_server_counts_is_no_change() -> None:
    before = thing("Service", status={"load": 1})
    before["metadata"].update(resourceVersion="1", generation=1, managedFields=[{"time": "now"}])
    after = thing("Service", status={"load": 2})
    after["metadata"].update(resourceVersion="2", generation=2)
    assert essence(before) == essence(after)
    assert change(before, after).action == "unchanged"


def test_the_diff_shows_that_a_secret_differs_but_no_value() -> None:
    entry = change(
        thing("Secret", data={"a": "b2xk", "b": "c2FtZQ=="}), thing("Secret", data={"a": "bmV3", "b": "c2FtZQ=="})
    )
    shown = entry.diff()
    assert entry.action == "changed"
    assert "a: (hidden, new value)" in shown["after"]
    assert "b: (hidden)\n" in shown["after"]
    assert not any(value in str(shown) for value in ("b2xk", "bmV3", "c2FtZQ=="))


def test_a_second_run_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster, objects = FakeCluster(), [thing("ConfigMap"), thing("Namespace", "n")]
    assert run(monkeypatch, cluster, objects) == [("Namespace n", "created"), ("ConfigMap n/x", "created")]
    assert {entry[1] for entry in run(monkeypatch, cluster, objects)} == {"unchanged"}


def test_check_mode_keeps_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = FakeCluster()
    assert run(monkeypatch, cluster, [thing("ConfigMap")], check=True) == [("ConfigMap n/x", "created")]
    assert not cluster.kept


def test_check_mode_forgives_what_the_run_would_create_first(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = FakeCluster()
    unknown = ClusterError("apply", "Widget n/x", "the cluster does not know this kind", "", 404)
    unknown.unknown_kind = True
    absent = ClusterError("apply", "ConfigMap n/x", 'namespaces "n" not found', "", 404)
    cluster.refuse = {"Widget": unknown, "ConfigMap": absent}
    done = run(monkeypatch, cluster, [thing("Widget"), thing("ConfigMap")], check=True)
    assert done == [("Widget n/x", "created"), ("ConfigMap n/x", "created")]
    with pytest.raises(ClusterError, match="does not know this kind"):
        run(monkeypatch, cluster, [thing("Widget")])


def test_check_mode_still_tells_a_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = FakeCluster()
    cluster.refuse = {"ConfigMap": ClusterError("apply", "ConfigMap n/x", "forbidden", "Grant it.", 403)}
    with pytest.raises(ClusterError, match=r"^Could not apply ConfigMap n/x: forbidden\. Grant it\.$"):
        run(monkeypatch, cluster, [thing("ConfigMap")], check=True)


def test_without_a_cluster_check_mode_reports_everything_as_created(monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(module: Any) -> None:
        raise ClusterError("reach", "the cluster", "connection refused", "Start it.")

    said: list[str] = []
    params = {"objects": [thing("ConfigMap")], "secret_values": {}}
    module = SimpleNamespace(params=params, check_mode=True, warn=said.append)
    monkeypatch.setattr(_apply_run, "connect", unreachable)
    assert [entry.action for entry in _apply_run.apply_all(module)] == ["created"]
    assert said == ["Could not reach the cluster: connection refused. Start it. Everything is reported as created."]
    module.check_mode = False
    with pytest.raises(ClusterError):
        _apply_run.apply_all(module)


def test_the_uid_of_the_cluster_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = FakeCluster()
    run(monkeypatch, cluster, [], cluster_uid="u-1")
    assert cluster.expected == "u-1"


def test_objects_of_a_new_kind_wait_until_it_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = FakeCluster()
    monkeypatch.setattr(_apply_run, "PAUSE", 0)
    done = {**GADGETS, "status": {"conditions": [{"type": "Established", "status": "True"}]}}
    applied = run(monkeypatch, cluster, [thing("Gadget"), done])
    assert applied == [("CustomResourceDefinition gadgets.example.org", "created"), ("Gadget n/x", "created")]
    assert cluster.looks == 3
    assert served_kind(GADGETS) == ("Gadget", "example.org/v1")


def test_a_kind_that_is_never_taken_up_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_apply_run, "PAUSE", 0)
    monkeypatch.setattr(_apply_run, "DEFINITION_SECONDS", 0)
    with pytest.raises(
        ClusterError, match=r"CustomResourceDefinition gadgets\.example\.org: the API server does not take"
    ):
        run(monkeypatch, FakeCluster(), [GADGETS, thing("ConfigMap")])


def test_check_mode_waits_for_no_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = FakeCluster()
    applied = run(monkeypatch, cluster, [GADGETS, thing("Gadget")], check=True)
    assert [action for _title, action in applied] == ["created", "created"]
    assert not cluster.kept


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (None, False),
        ({}, False),
        ({"conditions": []}, False),
        ({"conditions": [{"type": "Established", "status": "False"}]}, False),
        ({"conditions": [{"type": "NamesAccepted", "status": "True"}]}, False),
        (
            {"conditions": [{"type": "NamesAccepted", "status": "True"}, {"type": "Established", "status": "True"}]},
            True,
        ),
    ],
)
def test_a_definition_is_established_by_its_condition(status: Json | None, expected: bool) -> None:
    assert established({**GADGETS, "status": status}) is expected
    assert established(None) is False
