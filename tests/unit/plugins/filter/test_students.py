"""Disks are told by the student's annotation, never by their name."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.campus.jupyterhub.plugins.filter.students import students


def claim(name: str, user: str = "") -> dict[str, Any]:
    """Return a claim as KubeSpawner makes it."""
    annotations = {"hub.jupyter.org/username": user} if user else None
    return {"metadata": {"name": name, "annotations": annotations}}


def test_each_student_once_in_order_without_the_canary() -> None:
    claims = [claim("claim-b", "bob"), claim("claim-a", "Ann@uni"), claim("claim-b--2", "bob"), claim("c", "canary")]
    assert students(claims, without="canary") == ["Ann@uni", "bob"]
    assert students([claim("claim-x")]) == ["claim-x"]
    assert students([]) == []


@pytest.mark.parametrize(
    ("phase", "claim_name", "expected"),
    [
        ("Bound", "claim-b", ["ann"]),
        ("Released", "claim-b", ["ann", "claim-b"]),
        ("Failed", "claim-b", ["ann", "claim-b"]),
        ("Released", "hub-db", ["ann"]),
        ("Released", "hub-backups", ["ann"]),
        ("Available", "", ["ann"]),
    ],
)
def test_a_disk_whose_claim_is_gone_still_counts(phase: str, claim_name: str, expected: list[str]) -> None:
    spec = {"claimRef": {"name": claim_name, "namespace": "jupyterhub"}} if claim_name else {}
    volume = {"metadata": {"name": "pvc-1"}, "spec": spec, "status": {"phase": phase}}
    assert students([claim("claim-a", "ann")], [volume], without="canary") == expected


def volume(handle: str, claim_name: str, phase: str = "Bound") -> dict[str, Any]:
    """Return a volume as a provisioner makes it."""
    spec = {"claimRef": {"name": claim_name}, "csi": {"volumeHandle": handle}}
    return {"metadata": {"name": f"pvc-{handle}"}, "spec": spec, "status": {"phase": phase}}


def snapshot(name: str, disk: str, user: str = "", marked: bool = False) -> dict[str, Any]:
    """Return a snapshot as the collection makes it, or as somebody made it by hand."""
    labels = {"labels": {"component": "singleuser-snapshot"}} if marked else {}
    annotations = {"annotations": {"hub.jupyter.org/username": user}} if user else {}
    meta = {"name": name, "uid": f"uid-{name}", **labels, **annotations}
    return {"metadata": meta, "spec": {"source": {"persistentVolumeClaimName": disk}}}


def content(of: str, handle: str = "") -> dict[str, Any]:
    """Return the content of a snapshot."""
    source = {"volumeHandle": handle} if handle else {"snapshotHandle": "imported"}
    reference = {"name": of, "uid": f"uid-{of}"}
    return {"metadata": {"name": f"snapcontent-{of}"}, "spec": {"source": source, "volumeSnapshotRef": reference}}


@pytest.mark.parametrize(
    ("kept", "expected"),
    [
        (snapshot("s", "claim-a", "ann"), ["ann"]),
        (snapshot("s", "gone", "Ann@uni", marked=True), ["Ann@uni"]),
        (snapshot("s", "claim-a"), ["ann"]),
        (snapshot("s", "gone", marked=True), ["gone"]),
        (snapshot("s", "claim-c", "canary", marked=True), []),
        (snapshot("s", "claim-c"), []),
        (snapshot("s", "hub-db"), []),
        (snapshot("s", "another-program"), []),
    ],
)
def test_a_snapshot_counts_for_its_student(kept: dict[str, Any], expected: list[str]) -> None:
    claims = [claim("claim-a", "ann"), claim("claim-c", "canary")]
    assert students([*claims, claim("claim-z", "zoe")], [], "canary", [kept]) == sorted({"ann", "zoe"} | set(expected))
    if not set(expected) <= {"ann"}:
        assert students([], [], "canary", [kept]) == expected


def test_a_snapshot_that_was_made_known_again_counts_for_its_student() -> None:
    kept = {
        "metadata": {"name": "s", "annotations": {"campus.jupyterhub/claim": "claim-a"}},
        "spec": {"source": {"volumeSnapshotContentName": "c"}},
    }
    assert students([claim("claim-a", "ann")], [], "canary", [kept]) == ["ann"]
    assert students([claim("claim-c", "canary")], [], "canary", [kept]) == []


def test_snapshots_alone_hold_a_students_work() -> None:
    assert students([], [], "canary", [snapshot("s", "gone", "ann", marked=True)]) == ["ann"]
    assert students([], [], "canary", [], [content("s-1", "h-1")]) == ["s-1"]
    assert students([], [], "canary", [], [content("s-1")]) == ["s-1"]


@pytest.mark.parametrize(
    ("disk", "expected"),
    [
        (volume("h-1", "claim-a"), ["ann"]),
        (volume("h-1", "claim-c"), []),
        (volume("h-1", "claim-b", "Released"), ["claim-b"]),
        (volume("h-1", "hub-db"), []),
        (volume("h-1", "hub-db", "Released"), []),
        (volume("h-1", "another-program"), []),
        (volume("another", "claim-b"), ["s-1"]),
    ],
)
def test_a_content_whose_snapshot_is_gone_still_counts(disk: dict[str, Any], expected: list[str]) -> None:
    claims = [claim("claim-c", "canary"), *([claim("claim-a", "ann")] if expected == ["ann"] else [])]
    assert students(claims, [disk], "canary", [], [content("s-1", "h-1")]) == expected


def test_a_content_with_its_snapshot_counts_once() -> None:
    kept = snapshot("s-1", "claim-c", "canary", marked=True)
    assert students([], [], "canary", [kept], [content("s-1", "h-1")]) == []
