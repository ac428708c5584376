# Copyright: campus.jupyterhub contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Which contents count as left behind: those alone that a run of ours marked, and whose snapshots are gone."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from ansible_collections.campus.jupyterhub.plugins.module_utils._disk_snapshots import is_named_as_ours, snapshot_name
from ansible_collections.campus.jupyterhub.plugins.module_utils._snapshot_leftovers import LeftBehind, left_behind
from ansible_collections.campus.jupyterhub.tests.unit.plugins.module_utils.student_objects import disk
from hypothesis import given
from hypothesis import strategies as st

Json = dict[str, Any]

DRIVER = "local.csi.campus.jupyterhub"
NAME = "claim-ann-20261125-090000-123"


def content(**changes: Any) -> Json:
    """A content that is left behind, but for the changes, by their place."""
    found: dict[str, Any] = {
        "metadata.name": "snapcontent-1",
        "spec.deletionPolicy": "Delete",
        "spec.driver": DRIVER,
        "spec.source.volumeHandle": "disk-1",
        "spec.volumeSnapshotRef.name": NAME,
        "spec.volumeSnapshotRef.namespace": "jupyterhub",
        "spec.volumeSnapshotRef.uid": "uid-1",
        **{place.replace("__", "."): value for place, value in changes.items()},
    }
    item: Json = {}
    for place, value in found.items():
        *folders, last = place.split(".")
        here = item
        for folder in folders:
            here = here.setdefault(folder, {})
        here[last] = value
    return item


def test_one_whose_snapshot_is_gone_is_found() -> None:
    expected = [LeftBehind(NAME, "jupyterhub", "uid-1", "snapcontent-1")]
    assert left_behind([content()], set(), "jupyterhub", DRIVER) == expected


@pytest.mark.parametrize(
    "change",
    [
        {"spec__deletionPolicy": "Retain"},
        {"spec__driver": "other.example"},
        {"spec__volumeSnapshotRef__namespace": "physics"},
        {"spec__volumeSnapshotRef__name": "by-hand"},
        {"spec__volumeSnapshotRef__uid": ""},
        {"spec__source__volumeHandle": ""},
        {"metadata__deletionTimestamp": "2026-11-25T09:00:00Z"},
    ],
    ids=["kept", "other driver", "other hub", "not ours", "still to be bound", "made by hand", "on its way out"],
)
def test_nothing_else_is(change: dict[str, str]) -> None:
    assert left_behind([content(**change)], set(), "jupyterhub", DRIVER) == []


def test_one_whose_snapshot_is_known_is_not() -> None:
    assert left_behind([content()], {NAME}, "jupyterhub", DRIVER) == []


def test_without_a_class_nothing_is() -> None:
    assert left_behind([content(spec__driver="")], set(), "jupyterhub", "") == []


@given(st.from_regex(r"[a-z0-9-]{1,253}", fullmatch=True), st.datetimes(timezones=st.just(UTC)))
def test_our_names_are_known_again(claim: str, time: datetime) -> None:
    # No snapshot is older than Kubernetes.
    assert is_named_as_ours(snapshot_name(disk(name=claim), time.replace(year=2000 + time.year % 100, day=1)))
