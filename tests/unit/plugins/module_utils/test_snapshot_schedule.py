# Copyright: campus.jupyterhub contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Schedules that Kubernetes would not take, and policies that cannot be meant, are refused in a sentence."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.campus.jupyterhub.plugins.module_utils import _snapshot_schedule as schedule
from hypothesis import given
from hypothesis import strategies as st

ARGUMENTS: dict[str, Any] = {
    "namespace": "jupyterhub",
    "snapshot_class": "jupyterhub",
    "keep_last": 0,
    "keep_hourly": 24,
    "keep_within": "",
    "timezone": "Europe/Berlin",
    "max_delete_fraction": 0.5,
    "parallel": 20,
    "spread": 60,
    "timeout": 300,
}


# What robfig/cron's ParseStandard, which Kubernetes uses, says to each.
@pytest.mark.parametrize(
    "good",
    [
        "7 * * * *",
        "*/15 8-18 * * 1-5",
        "0 3 1,15 jan-JUN ?",
        "0 0 * * SUN",
        "@hourly",
        "@midnight",
        "5/20 * * * *",
        "59 23 31 12 6",
    ],
)
def test_good_schedules(good: str) -> None:
    assert schedule.schedule_problem(good) == ""


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        (
            "",
            "'' is no schedule; write minute, hour, day of the month, month, day of the week, such as '7 * * * *', or",
        ),
        ("hourly", "is no schedule"),
        ("@often", "is no schedule"),
        ("7 * * *", "is no schedule"),
        ("TZ=UTC 7 * * * *", "is no schedule"),
        ("60 * * * *", "'60' in '60 * * * *' is no minute (0 to 59); write minute, hour, day"),
        ("7 24 * * *", "'24' in '7 24 * * *' is no hour (0 to 23)"),
        ("7 * 0 * *", "is no day of the month (1 to 31)"),
        ("7 * * 13 *", "is no month (1 to 12)"),
        ("7 * * * 7", "is no day of the week (0 to 6)"),
        ("7 * * * mon-sun", "is no day of the week"),
        ("7 18-8 * * *", "is no hour"),
        ("*/0 * * * *", "is no minute"),
        ("*-5 * * * *", "is no minute"),
        ("1,,2 * * * *", "is no minute"),
        ("-1 * * * *", "is no minute"),
        ("\u00b2 * * * *", "is no minute"),
    ],
)
def test_bad_schedules(bad: str, says: str) -> None:
    assert says in schedule.schedule_problem(bad)


def test_every_number_of_every_field_is_taken() -> None:
    limits = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 6))
    for place, (least, most) in enumerate(limits):
        for number in range(least - 1, most + 2):
            words = ["*"] * 5
            words[place] = str(number)
            assert (schedule.schedule_problem(" ".join(words)) == "") is (least <= number <= most)


hours = st.integers(0, 23)


@given(st.lists(st.tuples(hours, hours, st.integers(1, 99)), min_size=1))
def test_a_list_is_good_when_each_of_its_parts_is(ranges: list[tuple[int, int, int]]) -> None:
    text = ",".join(f"{begin}-{end}/{step}" for begin, end, step in ranges)
    good = all(begin <= end for begin, end, _step in ranges)
    assert (schedule.schedule_problem(f"7 {text} * * *") == "") is good


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"keep_hourly": 0}, "This policy keeps nothing; set snapshots_keep_last"),
        ({"keep_last": -1}, "snapshots_keep_last is -1"),
        ({"keep_within": "soon"}, "snapshots_keep_within is 'soon', which is not a duration"),
        ({"timezone": "Berlin"}, "snapshots_timezone is 'Berlin', which is no known time zone (nearest: Europe/Berlin"),
        ({"max_delete_fraction": 0}, "snapshots_max_delete_fraction is 0; it is a share above 0"),
        ({"parallel": 0}, "snapshots_parallel is 0; it is at least 1."),
        (
            {"spread": 2700},
            "snapshots_deadline is 3000, but snapshots_spread and snapshots_timeout may take 3000 seconds",
        ),
    ],
)
@pytest.mark.parametrize("kind", [lambda value: value, str], ids=["typed", "text"])
def test_what_cannot_be_meant_is_refused_by_the_roles_names(changed: dict[str, Any], says: str, kind: Any) -> None:
    given_values = {name: kind(value) for name, value in {**ARGUMENTS, **changed}.items()}
    (said,) = schedule.problems(given_values, "7 * * * *", 3000)
    assert says in said


def test_what_can_be_meant_is_not_refused() -> None:
    assert schedule.problems(ARGUMENTS, "7 * * * *", 3000) == []


DRILL: dict[str, Any] = {
    "schedules": {"snapshots_drill_record_schedule": "37 * * * *"},
    "timeout": 600,
    "deadline": 3000,
}


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({}, ""),
        ({"schedules": {"snapshots_drill_record_schedule": "often"}}, "snapshots_drill_record_schedule: 'often' is no"),
        (
            {"deadline": 600},
            "snapshots_drill_deadline is 600, but snapshots_drill_timeout allows 600 seconds for one step already",
        ),
    ],
)
def test_drills(changed: dict[str, Any], says: str) -> None:
    said = schedule.drill_problems({**DRILL, **changed})
    assert (len(said), says in "".join(said)) == (bool(says), True)


def test_without_drills_nothing_is_wrong_with_them() -> None:
    assert schedule.drill_problems({}) == []


def test_all_that_is_wrong_is_said_at_once() -> None:
    assert len(schedule.problems({**ARGUMENTS, "parallel": 0}, "often", 10)) == 3
