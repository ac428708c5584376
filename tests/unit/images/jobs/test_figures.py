# Copyright: campus.jupyterhub contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Figures of one listing: what counts, what does not, and that nobody's name is among them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from ansible_collections.campus.jupyterhub.plugins.module_utils._disk_snapshots import CLAIM_UID, TAKEN
from ansible_collections.campus.jupyterhub.plugins.module_utils._manifest import (
    COMPARED,
    Comparison,
    compared,
    recorded,
)
from ansible_collections.campus.jupyterhub.tests.unit.plugins.module_utils.student_objects import claim, snapshot
from campus_jobs.drills import Drills
from campus_jobs.figures import Figures, Runs, figures, runs_of
from campus_jobs.text import text
from hypothesis import given
from hypothesis import strategies as st

Json = dict[str, Any]

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
MADE = datetime(2026, 9, 1, 8, tzinfo=UTC)


def at(hour: int) -> datetime:
    """That hour of the day."""
    return NOW.replace(hour=hour)


def of(claims: list[Json], snapshots: list[Json]) -> Figures:
    """The figures of disks and snapshots, without runs."""
    return figures(claims, snapshots, [], [], NOW)


def changed(item: Json, **metadata: Any) -> Json:
    """The same object with other metadata."""
    return {**item, "metadata": {**item["metadata"], **metadata}}


def test_an_empty_cluster() -> None:
    found = of([], [])
    assert (found.disks, found.unprotected, found.unprotected_since, found.newest) == (0, 0, None, None)


def test_the_disk_that_was_kept_longest_ago_counts() -> None:
    kept = [snapshot(f"2026-11-25T0{hour}:00:00Z", student) for student, hour in (("ann", 9), ("ann", 7), ("bob", 8))]
    found = of([claim("ann"), claim("bob")], kept)
    assert (found.unprotected_since, found.newest, found.unprotected) == (at(8), at(9), 0)


@pytest.mark.parametrize(
    "bad",
    [
        snapshot(ready=False),
        snapshot(ready=False, error="no room"),
        changed(snapshot(), deletionTimestamp="2026-11-25T10:00:00Z"),
        changed(snapshot(), annotations={CLAIM_UID: "uid-of-an-older-claim"}),
        snapshot("2026-11-25T12:06:00Z"),
        changed(snapshot(), annotations={CLAIM_UID: "uid-claim-ann", TAKEN: "a while ago"}),
    ],
    ids=["pending", "failed", "being removed", "of an older claim of that name", "from the future", "undated"],
)
def test_a_snapshot_that_is_not_good_protects_nothing(bad: Json) -> None:
    found = of([claim()], [bad])
    assert (found.unprotected, found.unprotected_since) == (1, MADE)


@pytest.mark.parametrize(
    "disk",
    [
        changed(claim(), deletionTimestamp="2026-11-25T10:00:00Z"),
        {**claim(), "spec": {**claim()["spec"], "volumeName": ""}, "status": {"phase": "Pending"}},
    ],
    ids=["on its way out", "never used"],
)
def test_a_disk_that_can_have_none_is_not_unprotected(disk: Json) -> None:
    found = of([disk], [])
    assert (found.disks, found.unprotected, found.unprotected_since) == (1, 0, None)


def test_snapshots_by_state() -> None:
    going = changed(snapshot(name="d"), deletionTimestamp="2026-11-25T10:00:00Z")
    many = [snapshot(name="a"), snapshot(name="b", ready=False), snapshot(name="c", ready=False, error="full"), going]
    # The driver tried again and succeeded; what it said before stays in the object.
    many.append(snapshot(name="e", ready=True, error="full"))
    many.append(snapshot("2026-11-25T13:00:00Z", name="f"))
    assert of([], many).snapshots == {"good": 2, "failed": 1, "pending": 1, "deleting": 1, "strange": 1}
    assert of([], many).newest == at(9)


def job(begin: int, end: int = 0, condition: str = "") -> Json:
    """A Job that began and ended at these hours."""
    status: Json = {"startTime": f"2026-11-25T{begin:02}:00:00Z"}
    if condition:
        status["conditions"] = [{"type": condition, "status": "True"}]
    if condition == "Complete":
        status["completionTime"] = f"2026-11-25T{end:02}:00:30Z"
    return {"metadata": {"creationTimestamp": status["startTime"]}, "status": status}


def schedule(suspend: bool = False, **status: str) -> Json:
    """The CronJob."""
    return {"spec": {"suspend": suspend}, "status": status}


def part(item: Json, component: str) -> Json:
    """The same object, as one that belongs to a part."""
    return {**item, "metadata": {**item.get("metadata", {}), "labels": {"component": component}}}


def test_each_schedule_has_runs_of_its_own() -> None:
    names = ("snapshots", "snapshots-record", "certificate")
    jobs = [part(job(8, 8, "Complete"), "snapshots"), part(job(9, 0, "Failed"), "snapshots-record")]
    found = figures([], [], [part(schedule(), name) for name in names], jobs, NOW)
    assert (found.runs.failed, found.runs.last_seconds) == (0, 30)
    assert found.drills.failed_runs == {"record": 1}


def noted(item: Json, *patches: Json) -> Json:
    """The same snapshot with notes of drills."""
    added = {key: value for patch in patches for key, value in patch["metadata"]["annotations"].items()}
    return changed(item, annotations={**item["metadata"]["annotations"], **added})


def test_what_drills_found() -> None:
    record = recorded({"root": "r"})
    found = of(
        [],
        [
            snapshot(name="a"),
            noted(snapshot(name="b"), record),
            noted(snapshot(name="c"), record, compared(Comparison(at(4), True))),
            noted(snapshot(name="d"), record, compared(Comparison(at(3), False))),
            noted(snapshot(name="e", ready=False), record),
            noted(snapshot(name="f"), {"metadata": {"annotations": {COMPARED: "spoilt"}}}),
        ],
    ).drills
    assert (found.recorded, found.equal, found.different, found.last_compared) == (3, 1, 1, at(4))


SUCCESS = at(9) + timedelta(seconds=30)


@pytest.mark.parametrize(
    ("schedules", "jobs", "expected"),
    [
        ([], [], Runs()),
        ([schedule()], [], Runs(scheduled=True)),
        ([schedule(suspend=True)], [], Runs()),
        ([schedule()], [job(10)], Runs(scheduled=True)),
        ([schedule()], [job(8, 8, "Complete"), job(9, 9, "Complete")], Runs(True, SUCCESS, 30)),
        ([schedule()], [job(8, 0, "Failed"), job(9, 9, "Complete")], Runs(True, SUCCESS, 30)),
        (
            [schedule()],
            [job(9, 9, "Complete"), job(10, 0, "Failed"), job(11, 0, "Failed")],
            Runs(True, SUCCESS, 30, 2),
        ),
        ([schedule(lastSuccessfulTime="2026-11-25T09:00:30Z")], [], Runs(True, SUCCESS)),
        ([schedule(lastSuccessfulTime="2026-11-25T09:00:30Z")], [job(9, 9, "Complete")], Runs(True, SUCCESS, 30)),
    ],
)
def test_runs(schedules: list[Json], jobs: list[Json], expected: Runs) -> None:
    assert runs_of(schedules, jobs) == expected


def test_the_text_for_prometheus() -> None:
    runs = Runs(True, at(9), 12.5, 1)
    drills = Drills(5, 2, 1, at(4), {"record": 0, "compare": 3})
    known = Figures(3, 1, at(10), {"good": 7, "failed": 0}, at(11), runs, drills)
    assert [line for line in text(known, 4.25, NOW).splitlines() if not line.startswith("#")] == [
        "campus_snapshots_listing_age_seconds 4.25",
        "campus_snapshots_disks 3",
        "campus_snapshots_disks_unprotected 1",
        "campus_snapshots_oldest_unprotected_seconds 7200",
        'campus_snapshots_snapshots{state="good"} 7',
        'campus_snapshots_snapshots{state="failed"} 0',
        "campus_snapshots_newest_age_seconds 3600",
        "campus_snapshots_scheduled 1",
        f"campus_snapshots_last_success_timestamp_seconds {at(9).timestamp():.0f}",
        "campus_snapshots_last_success_duration_seconds 12.5",
        "campus_snapshots_failed_runs 1",
        "campus_snapshots_recorded 5",
        'campus_snapshots_compared{result="equal"} 2',
        'campus_snapshots_compared{result="different"} 1',
        f"campus_snapshots_last_compared_timestamp_seconds {at(4).timestamp():.0f}",
        'campus_snapshots_drill_failed_runs{action="record"} 0',
        'campus_snapshots_drill_failed_runs{action="compare"} 3',
    ]


def test_what_is_not_known_is_not_said() -> None:
    said = text(None, 1, NOW)
    assert said.count("\n") == 3
    for name in ("newest_age", "last_compared", "drill_failed_runs"):
        assert name not in text(Figures(), 1, NOW)


def test_a_clock_that_is_behind_gives_no_negative_age() -> None:
    assert "campus_snapshots_newest_age_seconds 0\n" in text(Figures(newest=NOW + timedelta(minutes=1)), 1, NOW)


names = st.text("abcdefghijklmnopqrstuvwxyz", min_size=12, max_size=20)


@given(st.lists(names, min_size=1, max_size=5, unique=True))
def test_there_are_as_many_lines_for_many_students_as_for_one(students: list[str]) -> None:
    def said(chosen: list[str]) -> str:
        return text(of([claim(name) for name in chosen], [snapshot(student=name) for name in chosen]), 0, NOW)

    assert said(students).count("\n") == said(students[:1]).count("\n")
    assert not [name for name in students if name in said(students)]
