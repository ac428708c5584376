"""Several questions for objects, and an answer for each."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.campus.jupyterhub.plugins.module_utils._cluster import ClusterError
from ansible_collections.campus.jupyterhub.plugins.module_utils._objects_info import each_answer

Json = dict[str, Any]

POD: Json = {"kind": "Pod", "metadata": {"name": "hub"}, "spec": {"containers": [{"name": "hub"}]}}


def objects_of(kind: str) -> list[Json]:
    """Its objects of a kind; raises ClusterError."""
    if kind in ("Route", "Node"):
        error = ClusterError("list", kind, "no", "", 404 if kind == "Route" else 403)
        error.unknown_kind = kind == "Route"
        raise error
    return [POD] if kind == "Pod" else []


class Cluster:
    """Has one pod, knows no Route, and lets nobody read Nodes; keeps what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str | None, ...]] = []

    def get(self, kind: str, name: str, namespace: str | None = None, api_version: str = "v1") -> Json | None:
        self.asked.append((kind, name, namespace, api_version))
        return next((item for item in objects_of(kind) if item["metadata"]["name"] == name), None)

    def list(
        self,
        kind: str,
        api_version: str = "v1",
        namespace: str | None = None,
        label_selector: str | None = None,
        field_selector: str | None = None,
    ) -> list[Json]:
        self.asked.append((kind, api_version, namespace, label_selector, field_selector))
        return objects_of(kind)


def question(kind: str, **more: Any) -> Json:
    """A question as the module has it: what is not set is there, and empty."""
    empty: Json = {"name": None, "namespace": None, "label_selectors": [], "field_selectors": [], "hidden_fields": []}
    return {"kind": kind, "api_version": "v1", **empty, **more}


ANSWERS: list[tuple[Json, bool, list[Json]]] = [
    (question("Pod"), True, [POD]),
    (question("Pod", name="hub", namespace="n"), True, [POD]),
    (question("Pod", name="gone", namespace="n"), True, []),
    (question("Secret"), True, []),
    (question("Route"), False, []),
    (question("Route", name="hub"), False, []),
]


@pytest.mark.parametrize(("asked", "known", "resources"), ANSWERS)
def test_an_answer(asked: Json, known: bool, resources: list[Json]) -> None:
    expected = {"kind": asked["kind"], "api_found": known, "resources": resources}
    assert [*each_answer(Cluster(), [asked])] == [expected]


def test_answers_keep_the_order_of_the_questions() -> None:
    found = each_answer(Cluster(), [asked for asked, _known, _resources in ANSWERS])
    assert [(answer["api_found"], answer["resources"]) for answer in found] == [
        (known, resources) for _asked, known, resources in ANSWERS
    ]


def test_selectors_are_joined() -> None:
    cluster = Cluster()
    fields = ["status.phase=Running"]
    asked = question("Pod", namespace="n", label_selectors=["app=jupyterhub", "component in (hub, proxy)"])
    assert [*each_answer(cluster, [asked, question("Pod", field_selectors=fields)])]
    assert cluster.asked == [
        ("Pod", "v1", "n", "app=jupyterhub,component in (hub, proxy)", None),
        ("Pod", "v1", None, None, "status.phase=Running"),
    ]


def test_what_nobody_needs_is_left_out() -> None:
    (answer,) = each_answer(Cluster(), [question("Pod", hidden_fields=["spec.containers", "status"])])
    assert answer["resources"] == [{"kind": "Pod", "metadata": {"name": "hub"}}]


def test_the_first_that_cannot_be_answered_ends_it() -> None:
    cluster = Cluster()
    answers = each_answer(cluster, [question("Pod"), question("Node"), question("Secret")])
    assert next(answers)["resources"] == [POD]
    with pytest.raises(ClusterError) as raised:
        next(answers)
    assert raised.value.status == 403
    assert [kind for kind, *_rest in cluster.asked] == ["Pod", "Node"]
