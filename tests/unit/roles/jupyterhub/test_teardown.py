"""What a teardown of a cluster that stays takes, whom it holds back, and what it leaves for others."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Json = dict[str, Any]
Render = Callable[..., list[Json]]
Evaluate = Callable[[str, list[str], list[Json]], list[list[Any]]]

OURS, THEIRS = "jupyterhub", "another"
LOCAL, CLOUD = "local.csi.campus.jupyterhub", "pd.csi.storage.gke.io"
DEFINITION = {"metadata": {"name": "volumesnapshots.snapshot.storage.k8s.io"}}


def volume(namespace: str, driver: str = LOCAL, storage_class: str = "jupyterhub") -> Json:
    """A disk that is in use."""
    claim = {"namespace": namespace, "name": "claim-ann"}
    spec = {"claimRef": claim, "storageClassName": storage_class, "csi": {"driver": driver, "volumeHandle": namespace}}
    return {"metadata": {"name": f"pvc-{namespace}"}, "spec": spec, "status": {"phase": "Bound"}}


def snapshot(namespace: str) -> Json:
    """A snapshot of ann's disk."""
    meta = {"name": "ann-1", "namespace": namespace, "uid": f"uid-{namespace}"}
    return {"metadata": meta, "spec": {"source": {"persistentVolumeClaimName": "claim-ann"}}}


def content(namespace: str, driver: str = LOCAL, **source: str) -> Json:
    """The content of that snapshot."""
    reference = {"name": "ann-1", "namespace": namespace, "uid": f"uid-{namespace}"}
    spec = {"driver": driver, "volumeSnapshotRef": reference, "source": source or {"volumeHandle": namespace}}
    return {"metadata": {"name": f"snapcontent-{namespace}"}, "spec": spec}


def looked(**found: list[Json]) -> Json:
    """What the tasks found; nothing but what is named."""
    kinds = ("disks", "volumes", "classes", "snapshots", "contents", "definitions", "controllers")
    return {f"__jupyterhub_{kind}": {"resources": found.get(kind, []), "api_found": True} for kind in kinds}


DISK = {
    "metadata": {"name": "claim-ann", "namespace": OURS, "annotations": {"hub.jupyter.org/username": "ann"}},
}
CANARYS = {
    "metadata": {"name": "claim-ann", "namespace": OURS, "annotations": {"hub.jupyter.org/username": "canary"}},
}
STUDENTS: list[tuple[Json, list[str]]] = [
    (looked(), []),
    (looked(disks=[DISK], volumes=[volume(OURS)]), ["ann"]),
    (looked(disks=[DISK], snapshots=[snapshot(OURS)], contents=[content(OURS)]), ["ann"]),
    (looked(disks=[CANARYS], snapshots=[snapshot(OURS)], contents=[content(OURS)]), []),
    (looked(contents=[content(OURS)]), ["ann-1"]),
    (looked(contents=[content(THEIRS)], snapshots=[snapshot(THEIRS)], volumes=[volume(THEIRS)]), []),
]
# Whether what belongs to no namespace, and the driver, have to stay.
OTHERS: list[tuple[Json, bool]] = [
    (looked(volumes=[volume(OURS)], contents=[content(OURS)], snapshots=[snapshot(OURS)]), False),
    (looked(volumes=[volume(THEIRS)]), True),
    (looked(volumes=[volume(THEIRS, CLOUD)]), False),
    (looked(volumes=[volume(THEIRS, CLOUD)], classes=[{"metadata": {"name": "jupyterhub"}}]), True),
    (looked(contents=[content(THEIRS)]), True),
    (looked(contents=[content(THEIRS, CLOUD)], snapshots=[snapshot(THEIRS)]), False),
    (looked(contents=[content(THEIRS, CLOUD)], definitions=[DEFINITION]), True),
    (looked(contents=[content(THEIRS, CLOUD)], controllers=[{"metadata": {"name": "controller"}}]), True),
    (looked(snapshots=[snapshot(THEIRS)], definitions=[DEFINITION]), True),
    (looked(volumes=[{"metadata": {"name": "static"}, "spec": {}}]), False),
]


def test_students_with_disks_or_snapshots_are_named(evaluate: Evaluate) -> None:
    decided = evaluate("jupyterhub", ["__jupyterhub_students"], [found for found, _names in STUDENTS])
    assert [names for (names,) in decided] == [names for _found, names in STUDENTS]


def test_what_others_need_is_left(evaluate: Evaluate) -> None:
    decided = evaluate("jupyterhub", ["__jupyterhub_others | length > 0"], [found for found, _stays in OTHERS])
    assert [stays for (stays,) in decided] == [stays for _found, stays in OTHERS]


def test_what_snapshots_of_this_hub_hold_is_given_back(render: Render) -> None:
    found = looked(contents=[content(OURS), content(THEIRS)])
    (released,) = render(("jupyterhub", "contents.yml.j2"), **found)
    assert released["metadata"]["name"] == f"snapcontent-{OURS}"
    assert released["spec"] == {"deletionPolicy": "Delete"}


def test_a_snapshot_that_was_brought_from_elsewhere_is_only_forgotten(render: Render) -> None:
    (released,) = render(("jupyterhub", "contents.yml.j2"), **looked(contents=[content(OURS, snapshotHandle="s")]))
    assert "spec" not in released
