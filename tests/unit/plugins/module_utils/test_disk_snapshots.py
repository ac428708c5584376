"""Snapshots as objects: made and read again."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest
from ansible_collections.campus.jupyterhub.plugins.module_utils._disk_snapshots import (
    OURS,
    TAKEN,
    by_disk,
    manifest,
    snapshot_name,
    snapshot_of,
)
from ansible_collections.campus.jupyterhub.plugins.module_utils._hub_objects import snapshot_kept
from ansible_collections.campus.jupyterhub.plugins.module_utils._student_disks import COURSE, STUDENT
from ansible_collections.campus.jupyterhub.tests.unit.plugins.module_utils.student_objects import disk, snapshot

NOW = datetime(2026, 11, 25, 10, 0, 7, 500000, timezone(timedelta(hours=1)))


def test_a_name_says_when_in_utc() -> None:
    assert snapshot_name(disk("ann"), NOW) == "claim-ann-20261125-090007-500"
    assert len(snapshot_name(disk("ann", name="c" * 253), NOW)) == 253


def test_what_is_made_is_found_by_its_labels_and_read_again() -> None:
    made = manifest(
        disk("ann@uni.edu", name="claim-ann", **{STUDENT: "ann-40uni", COURSE: "data8"}), "fast", NOW, "r1", "schedule"
    )
    labels = made["metadata"]["labels"]
    assert all(labels[key] == value for key, value in (pair.split("=") for pair in OURS.split(",")))
    made["metadata"].update(uid="u", creationTimestamp="2026-11-25T09:00:08Z")
    found = snapshot_of(made)
    assert (found.student, found.disk, found.disk_uid, found.course, found.reason) == (
        "ann@uni.edu",
        "claim-ann",
        "uid-claim-ann",
        "data8",
        "schedule",
    )
    assert (found.ready, found.content, found.taken.isoformat()) == (False, "", "2026-11-25T09:00:08+00:00")


def test_what_the_driver_said() -> None:
    found = snapshot_of(snapshot("2026-11-25T09:00:00Z"))
    assert (found.ready, found.size, found.content) == (True, 10 * 1024**3, "snapcontent-claim-ann-20261125-090000")
    failed = snapshot_of(snapshot(ready=False, error="the pool is full"))
    assert (failed.ready, failed.error) == (False, "the pool is full")


def test_one_that_was_made_known_again_says_of_what_and_when_it_was_taken() -> None:
    item = snapshot("2026-11-25T09:00:00Z")
    again = snapshot_kept(item, {"metadata": {"name": "c"}, "spec": {}, "status": {"snapshotHandle": "h"}})["snapshot"]
    again["metadata"].update(uid="new", creationTimestamp="2026-11-26T10:00:00Z")
    again["status"] = {"readyToUse": True, "creationTime": "1970-01-01T00:00:00Z"}
    found, before = snapshot_of(again), snapshot_of(item)
    assert (found.disk, found.taken, found.student) == (before.disk, before.taken, before.student)


@pytest.mark.parametrize("told", ["0", 0, "-1", "much", "", None])
def test_a_size_that_the_driver_leaves_unset_is_not_known(told: object) -> None:
    item = snapshot()
    item["status"]["restoreSize"] = told
    assert (snapshot_of(item).size, snapshot_of(item).good) == (0, True)


@pytest.mark.parametrize(
    ("told", "taken"),
    [
        ("2026-11-25T10:00:00+01:00", "2026-11-25T09:00:00+00:00"),
        ("2026-11-25T09:00:00", None),
        ("0001-01-01T00:00:00+23:00", None),
        ("yesterday", None),
    ],
)
def test_a_time_that_cannot_be_read_is_strange_and_stops_nothing(told: str, taken: str | None) -> None:
    item = snapshot("2026-11-24T09:00:00Z")
    item["metadata"]["annotations"][TAKEN] = told
    found = snapshot_of(item)
    assert (found.taken.isoformat(), found.strange) == (taken or "2026-11-24T09:00:00+00:00", taken is None)
    assert (found.good, found.protects(NOW)) == (True, taken is not None)


def test_one_from_the_future_protects_nothing() -> None:
    assert snapshot_of(snapshot("2026-11-25T09:05:00Z")).protects(NOW)
    assert not snapshot_of(snapshot("2026-11-25T09:06:00Z")).protects(NOW)
    assert not snapshot_of(snapshot("2026-11-25T09:00:00Z", ready=False)).protects(NOW)


def test_those_of_a_disk_are_oldest_first() -> None:
    items = [snapshot(f"2026-11-2{day}T09:00:00Z", student) for day, student in ((5, "ann"), (3, "ann"), (4, "bob"))]
    found = by_disk(map(snapshot_of, items))
    assert {name: [one.taken.day for one in listed] for name, listed in found.items()} == {
        "claim-ann": [23, 25],
        "claim-bob": [24],
    }
