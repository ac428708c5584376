"""Disks are told by the student's annotation, never by their name."""

from __future__ import annotations

from typing import Any

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
