"""What the preflight says of what snapshots need of the cluster."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Json = dict[str, Any]
Evaluate = Callable[[str, list[str], list[Json]], list[list[Any]]]

POLICY, SNAPSHOTS, DISKS = "ValidatingAdmissionPolicy", "VolumeSnapshotClass", "StorageClass"
NO_CLASS = "VolumeSnapshotClass jupyterhub does not exist in the cluster, so disks cannot be snapshotted"
AHEAD, EXISTING = {"jupyterhub_ahead": True}, {"storage_provider": "existing"}


def answer(kind: str, *names: str, known: bool = True) -> Json:
    """An answer of the cluster."""
    return {"kind": kind, "api_found": known, "resources": [{"metadata": {"name": name}} for name in names]}


THERE = [answer(SNAPSHOTS, "jupyterhub"), answer(DISKS, "jupyterhub-scratch"), answer(POLICY)]
CASES: list[tuple[Json, list[Json], str]] = [
    ({}, THERE, ""),
    ({}, [*THERE[:2], answer(POLICY, known=False)], "The cluster knows no ValidatingAdmissionPolicy, which keeps"),
    (AHEAD, [*THERE[:2], answer(POLICY, known=False)], "The cluster knows no ValidatingAdmissionPolicy, which keeps"),
    (
        {},
        [answer(SNAPSHOTS), *THERE[1:]],
        f"{NO_CLASS}; run the role storage first, set storage_snapshot_class to one of: none",
    ),
    ({}, [answer(SNAPSHOTS, known=False), *THERE[1:]], NO_CLASS),
    (
        {},
        [answer(SNAPSHOTS, "other"), *THERE[1:]],
        "to one of: other; or set snapshots_enabled to false to do without.",
    ),
    (AHEAD, [answer(SNAPSHOTS), answer(DISKS), answer(POLICY)], ""),
    ({**AHEAD, **EXISTING}, [answer(SNAPSHOTS), *THERE[1:]], NO_CLASS),
    (
        {},
        [THERE[0], answer(DISKS), THERE[2]],
        "StorageClass jupyterhub-scratch does not exist in the cluster, so nobody can look",
    ),
    ({"snapshots_page": False, "snapshots_drill": False}, [THERE[0], THERE[2]], ""),
]


def test_the_first_that_does_not_fit_is_said(evaluate: Evaluate) -> None:
    given = {"ansible_check_mode": False}
    cases = [{**given, **options, "__snapshots_looked": {"answers": answers}} for options, answers, _says in CASES]
    decided = evaluate("snapshots", ["__snapshots_misfit", "__snapshots_questions"], cases)
    for (text, questions), (options, answers, says) in zip(decided, CASES, strict=True):
        assert (says in text) if says else not text, (options, text)
        assert [each["kind"] for each in questions] == [each["kind"] for each in answers], options
