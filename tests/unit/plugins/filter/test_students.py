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
        ("Available", "", ["ann"]),
    ],
)
def test_a_disk_whose_claim_is_gone_still_counts(phase: str, claim_name: str, expected: list[str]) -> None:
    spec = {"claimRef": {"name": claim_name, "namespace": "jupyterhub"}} if claim_name else {}
    volume = {"metadata": {"name": "pvc-1"}, "spec": spec, "status": {"phase": phase}}
    assert students([claim("claim-a", "ann")], [volume], without="canary") == expected
