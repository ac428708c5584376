# Copyright: campus.jupyterhub contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

import re
import zoneinfo
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from ansible_collections.campus.jupyterhub.plugins.module_utils import _retention as retention
from ansible_collections.campus.jupyterhub.plugins.module_utils._retention import Point, Policy, decide, policy_of

ROOT = Path(__file__).resolve().parents[4]
BERLIN = ZoneInfo("Europe/Berlin")
NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)


def at(text: str, good: bool = True) -> Point:
    """A snapshot that goes by its time in UTC, written as 2026-11-25 12:00."""
    return Point(text, datetime.fromisoformat(text).replace(tzinfo=UTC), good)


def ago(good: bool = True, **since: float) -> Point:
    """A snapshot of a time before NOW that goes by that time: "2 hours"."""
    name = " ".join(f"{number} {unit}" for unit, number in since.items())
    return Point(name, NOW - timedelta(**since), good)


def hourly(first: datetime, last: datetime) -> Iterator[Point]:
    """A snapshot each hour from the first to the last, both included."""
    for hour in range((last - first) // timedelta(hours=1) + 1):
        taken = first.astimezone(UTC) + timedelta(hours=hour)
        yield Point(taken.isoformat(), taken, True)


@pytest.mark.parametrize(
    ("policy", "taken", "kept"),
    [
        (
            {"keep_last": 2},
            ["2026-11-20 10:00", "2026-11-20 10:01", "2026-11-20 10:02"],
            {"2026-11-20 10:01": ("last",), "2026-11-20 10:02": ("last",)},
        ),
        (
            {"keep_hourly": 2},
            ["2026-11-20 08:59", "2026-11-20 10:00", "2026-11-20 10:59", "2026-11-25 11:00"],
            {
                "2026-11-20 10:59": ("hourly 2026-11-20 10:00 +0000",),
                "2026-11-25 11:00": ("hourly 2026-11-25 11:00 +0000",),
            },
        ),
        (
            {"keep_daily": 2},
            ["2026-11-01 23:59", "2026-11-03 00:00", "2026-11-03 23:59", "2026-11-20 00:00"],
            {"2026-11-03 23:59": ("daily 2026-11-03",), "2026-11-20 00:00": ("daily 2026-11-20",)},
        ),
        (
            {"keep_weekly": 2},  # A week starts on Monday.
            ["2026-11-22 23:59", "2026-11-23 00:00", "2026-11-24 00:00"],
            {"2026-11-22 23:59": ("weekly 2026-W47",), "2026-11-24 00:00": ("weekly 2026-W48",)},
        ),
        (
            {"keep_weekly": 9},  # The first days of a year may be in the last week of the year before.
            ["2020-12-31 12:00", "2021-01-03 12:00", "2021-01-04 12:00"],
            {"2021-01-03 12:00": ("weekly 2020-W53",), "2021-01-04 12:00": ("weekly 2021-W01",)},
        ),
        (
            {"keep_monthly": 2},
            ["2025-10-31 12:00", "2025-11-30 12:00", "2026-11-01 12:00", "2026-11-02 12:00"],
            {"2025-11-30 12:00": ("monthly 2025-11",), "2026-11-02 12:00": ("monthly 2026-11",)},
        ),
        (
            {"keep_yearly": 2},
            ["2023-12-31 23:00", "2024-01-01 12:00", "2026-01-01 12:00"],
            {"2024-01-01 12:00": ("yearly 2024",), "2026-01-01 12:00": ("yearly 2026",)},
        ),
        (
            {"keep_within": "36h"},  # Back from the newest snapshot, not from the time of the run.
            ["2026-11-20 00:00", "2026-11-20 00:01", "2026-11-21 12:00"],
            {"2026-11-20 00:01": ("within",), "2026-11-21 12:00": ("within",)},
        ),
        (
            {"keep_last": 1, "keep_hourly": 1, "keep_daily": 2, "keep_within": "1h"},
            ["2026-11-20 12:00", "2026-11-21 12:00", "2026-11-21 12:30"],
            {
                "2026-11-20 12:00": ("daily 2026-11-20",),
                "2026-11-21 12:00": ("within",),
                "2026-11-21 12:30": ("last", "within", "hourly 2026-11-21 12:00 +0000", "daily 2026-11-21"),
            },
        ),
    ],
)
def test_each_rule_keeps_the_newest_of_its_kind(
    policy: dict[str, Any], taken: list[str], kept: dict[str, tuple[str, ...]]
) -> None:
    verdict = decide([at(text) for text in taken], policy_of(policy), NOW, 1.0)
    assert verdict.keep == kept
    assert list(verdict.remove) == [text for text in taken if text not in kept]


def test_buckets_are_those_of_the_time_zone() -> None:
    midnight_in_berlin = [at("2026-11-20 22:59"), at("2026-11-20 23:00")]
    assert len(decide(midnight_in_berlin, Policy(keep_daily=2, zone=BERLIN), NOW, 1.0).keep) == 2
    assert len(decide(midnight_in_berlin, Policy(keep_daily=2), NOW, 1.0).keep) == 1


def test_the_two_hours_of_one_name_when_summer_time_ends_are_two() -> None:
    points = [at("2026-10-25 00:30"), at("2026-10-25 01:30")]
    assert decide(points, Policy(keep_hourly=9, zone=BERLIN), NOW, 1.0).keep == {
        "2026-10-25 00:30": ("hourly 2026-10-25 02:00 +0200",),
        "2026-10-25 01:30": ("hourly 2026-10-25 02:00 +0100",),
    }


def test_of_two_taken_at_the_same_time_the_later_name_is_newer() -> None:
    points = [Point(name, NOW, True) for name in ("b", "c", "a")]
    verdict = decide(points, Policy(keep_last=1), NOW, 1.0)
    assert (list(verdict.keep), verdict.remove) == (["c"], ("a", "b"))


@pytest.mark.parametrize(
    ("points", "removed"),
    [
        # Young ones may still become ready; older ones go, whether there is a good one or not.
        ([ago(good=False, minutes=60), ago(good=False, minutes=61)], {"61 minutes"}),
        ([ago(days=1), ago(good=False, minutes=60), ago(good=False, minutes=61)], {"61 minutes"}),
        # They take no place from the good ones, and nothing is measured from them.
        ([ago(hours=3), ago(hours=2), ago(good=False, minutes=1)], {"3 hours"}),
        ([ago(hours=3), ago(good=False, hours=2)], {"2 hours"}),
    ],
)
def test_failed_ones_count_for_nothing(points: list[Point], removed: set[str]) -> None:
    for policy in (Policy(keep_last=1), Policy(keep_yearly=1), Policy(keep_within=timedelta(minutes=1))):
        assert set(decide(points, policy, NOW, 1.0).remove) == removed


def test_the_newest_good_one_stays_even_with_no_policy() -> None:
    verdict = decide([ago(hours=2), ago(hours=3), ago(good=False, hours=1.5)], Policy(), NOW, 1.0)
    assert verdict.keep == {"2 hours": ("newest good one",)}


@pytest.mark.parametrize(
    ("number", "fraction", "removed"),
    [
        (2, 0.5, 1),
        (3, 0.5, 1),
        (10, 0.5, 5),
        (9, 0.1, 0),
        (10, 0.1, 1),
        (100, 0.29, 29),
        (10, 1.0, 9),
        (10, 0.0, 0),
        (10, 1, 9),
    ],
)
def test_no_more_than_a_fraction_goes_in_one_run(number: int, fraction: float, removed: int) -> None:
    points = [ago(hours=hours) for hours in range(number)]
    verdict = decide(points, Policy(keep_last=1), NOW, fraction)
    oldest_first = [f"{hours} hours" for hours in range(number - 1, 0, -1)]
    assert list(verdict.remove) == oldest_first[:removed]
    assert list(verdict.held_back) == oldest_first[removed:]


def test_failed_ones_are_part_of_the_fraction() -> None:
    points = [ago(hours=0), ago(hours=3), ago(good=False, hours=2), ago(good=False, hours=4)]
    verdict = decide(points, Policy(keep_last=1), NOW)
    assert (verdict.remove, verdict.held_back) == (("4 hours", "3 hours"), ("2 hours",))


def test_a_lone_failed_one_goes_once_there_is_another() -> None:
    failed = ago(good=False, hours=2)
    assert decide([failed], Policy(keep_last=1), NOW).held_back == ("2 hours",)
    assert decide([failed, ago(good=False, hours=0)], Policy(keep_last=1), NOW).remove == ("2 hours",)


def test_a_clock_that_was_ahead_pushes_nothing_out() -> None:
    points = [ago(hours=1), ago(hours=0), ago(days=-400), ago(minutes=-6), ago(good=False, minutes=-7)]
    verdict = decide(points, Policy(keep_last=2, keep_within=timedelta(hours=2)), NOW, 1.0)
    assert list(verdict.keep) == ["1 hours", "0 hours"]
    assert verdict.strange == ("-6 minutes", "-7 minutes", "-400 days")
    assert not verdict.remove


def test_a_few_minutes_ahead_are_no_surprise() -> None:
    verdict = decide([ago(hours=1), ago(minutes=-5)], Policy(keep_last=1), NOW, 1.0)
    assert (list(verdict.keep), verdict.remove, verdict.strange) == (["-5 minutes"], ("1 hours",), ())


@pytest.mark.parametrize(("minutes", "expected"), [(-1, False), (0, False), (5, False), (5.01, True), (10**6, True)])
def test_what_is_dated_more_than_five_minutes_ahead_is_from_the_future(minutes: float, expected: bool) -> None:
    assert retention.from_the_future(NOW + timedelta(minutes=minutes), NOW) is expected


def test_a_clock_that_is_behind_removes_nothing() -> None:
    verdict = decide([ago(minutes=-1), ago(minutes=-2)], Policy(keep_last=1), NOW, 1.0)
    assert verdict.keep == {"-1 minutes": ("the clock is behind",), "-2 minutes": ("last",)}


def test_a_disk_without_snapshots_is_no_trouble() -> None:
    assert decide([], Policy(keep_last=1), NOW) == retention.Verdict({}, (), (), ())


@pytest.mark.parametrize(
    ("points", "now", "fraction", "sentence"),
    [
        (
            [ago(hours=1), ago(hours=1)],
            NOW,
            0.5,
            "Snapshot 1 hours is listed twice for one disk; each name must occur once.",
        ),
        ([], NOW.replace(tzinfo=None), 0.5, "The present time 2026-11-25T12:00:00 has no time zone."),
        ([], NOW, 1.1, "max_delete_fraction is 1.1; it must be between 0 and 1."),
        ([], NOW, -0.1, "max_delete_fraction is -0.1; it must be between 0 and 1."),
        ([], NOW, float("nan"), "max_delete_fraction is nan; it must be between 0 and 1."),
    ],
)
def test_what_cannot_be_decided_is_refused(points: list[Point], now: datetime, fraction: float, sentence: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(sentence)}$"):
        decide(points, Policy(keep_last=1), now, fraction)


@pytest.mark.parametrize("taken", [NOW.replace(tzinfo=None), NOW.astimezone(BERLIN)])
def test_the_time_of_a_snapshot_is_in_utc(taken: datetime) -> None:
    with pytest.raises(ValueError, match=r"^The time of snapshot a is 2026-11-25T1.+, which is not in UTC\.$"):
        Point("a", taken, True)


@pytest.mark.parametrize(
    ("text", "hours"),
    [
        ("36h", 36),
        ("14d", 336),
        ("2w", 336),
        ("6m", 6 * 31 * 24),
        ("2y", 2 * 366 * 24),
        ("1d12h", 36),
        ("12h1d", 36),
        ("0h", 0),
        ("", 0),
    ],
)
def test_a_duration_is_in_restics_words(text: str, hours: int) -> None:
    assert policy_of({"keep_last": 1, "keep_within": text}).keep_within == timedelta(hours=hours)


def test_options_become_a_policy() -> None:
    counts = {name: number for number, name in enumerate(retention.COUNTS)}
    assert policy_of({**counts, "keep_within": "2d", "timezone": "Europe/Berlin", "student": "ann"}) == Policy(
        0, 1, 2, 3, 4, 5, timedelta(days=2), BERLIN
    )
    assert policy_of({"keep_daily": 7, "keep_last": None, "keep_within": None, "timezone": None}) == Policy(
        keep_daily=7
    )


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({}, r"This policy keeps nothing; set keep_last, .*, keep_yearly or keep_within above 0\."),
        ({"keep_last": 0, "keep_within": "0d"}, r"This policy keeps nothing; .*"),
        ({"keep_daily": -1}, r"keep_daily is -1; it must be 0 or more\."),
        ({"keep_daily": "7"}, r"keep_daily is '7', which is not a whole number\."),
        ({"keep_daily": True}, r"keep_daily is True, which is not a whole number\."),
        *(
            (
                {"keep_within": wrong},
                rf"keep_within is {re.escape(repr(str(wrong)))}, which is not a duration such as .*\.",
            )
            for wrong in (
                "14",
                14,
                "1.5d",
                "-1d",
                "1D",
                "5min",
                "1d 2h",
                "1001y",
                "9999999999h",
                "٣d",
                "1d\n",
            )
        ),
        (
            {"timezone": "Europe/Berln"},
            r"timezone is 'Europe/Berln', which is no known time zone \(nearest: Europe/Berlin, .*\); use a name .*\.",
        ),
        ({"timezone": "new_york"}, r"timezone is 'new_york', .* \(nearest: America/New_York\); .*"),
        (
            {"timezone": "Neverland"},
            r"timezone is 'Neverland', which is no known time zone; use a name such as Europe/Berlin\.",
        ),
        *(
            ({"timezone": wrong}, r"timezone is .*, which is no known time zone.*\.")
            for wrong in ("", "Europe", "../UTC", "x" * 999, 1)
        ),
    ],
)
def test_a_wrong_option_is_refused_in_one_sentence(options: dict[str, Any], sentence: str) -> None:
    valid = {} if not options or "keep_last" in options else {"keep_last": 1}
    with pytest.raises(ValueError, match=f"^{sentence}$"):
        policy_of({**valid, **options})


def test_a_machine_without_time_zone_data_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "available_timezones", set)
    monkeypatch.setattr(retention, "ZoneInfo", missing)
    with pytest.raises(ValueError, match=r"^The time zone 'UTC' cannot be looked up .*; install tzdata\.$"):
        policy_of({"keep_last": 1})


def missing(name: str) -> ZoneInfo:
    raise zoneinfo.ZoneInfoNotFoundError(name)


@pytest.mark.parametrize("rule", [{"keep_daily": -1}, {"keep_within": timedelta(hours=-1)}])
def test_a_negative_policy_cannot_be_made(rule: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"^keep_\w+ is .*; it must be 0 or more\.$"):
        Policy(**rule)


def test_the_example_of_the_documentation_is_what_happens() -> None:
    first, last = datetime(2026, 11, 1, tzinfo=BERLIN), datetime(2026, 11, 30, 23, tzinfo=BERLIN)
    policy = Policy(keep_hourly=24, keep_daily=7, keep_weekly=4, keep_monthly=6, zone=BERLIN)
    verdict = decide(list(hourly(first, last)), policy, last, 1.0)
    page = (ROOT / "docs" / "snapshots.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\d+) (?:to (\d+) )?November, ([\d:]+)(?: to [\d:]+)? \| (\d+) \|", page, re.MULTILINE)
    shown: dict[int, int] = {}
    for start, end, _time, number in rows:
        for day in range(int(start), int(end or start) + 1):
            shown[day] = int(number) // (int(end or start) - int(start) + 1)
    kept = [datetime.fromisoformat(name).astimezone(BERLIN) for name in verdict.keep]
    assert shown == {day: sum(time.day == day for time in kept) for day in {time.day for time in kept}}
    assert {time.hour for time in kept if time.day < 30} == {23}
    assert f"Of {len(verdict.keep) + len(verdict.remove)} snapshots {len(verdict.keep)} stay" in page
