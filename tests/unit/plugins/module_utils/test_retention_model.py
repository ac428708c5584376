# Copyright: campus.jupyterhub contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What holds for every policy, every set of snapshots and every clock."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import product
from random import Random
from zoneinfo import ZoneInfo

from ansible_collections.campus.jupyterhub.plugins.module_utils import _retention as retention
from ansible_collections.campus.jupyterhub.plugins.module_utils._retention import Point, Policy, Verdict
from ansible_collections.campus.jupyterhub.tests.unit.plugins.module_utils import slow_retention
from hypothesis import assume, given
from hypothesis import strategies as st

# Clocks go back by an hour, by half an hour, and just after midnight into the day before; a day is left out.
CHANGES = {
    "UTC": datetime(2027, 1, 1, tzinfo=UTC),
    "Europe/Berlin": datetime(2026, 10, 25, 1, tzinfo=UTC),
    "America/New_York": datetime(2026, 3, 8, 7, tzinfo=UTC),
    "Australia/Lord_Howe": datetime(2026, 4, 4, 15, tzinfo=UTC),
    "America/St_Johns": datetime(2009, 11, 1, 2, 31, tzinfo=UTC),
    "Pacific/Apia": datetime(2011, 12, 30, 10, tzinfo=UTC),
    "Asia/Kathmandu": datetime(2026, 8, 31, 18, 15, tzinfo=UTC),
}
MINUTE = timedelta(minutes=1)
# Whether good, of which former disk, and whether failed; most often as on a day without trouble.
STATES = [
    *[(True, "", False)] * 3,
    *product((True, False), ("", "one", "two"), (True, False)),
]
FRACTIONS = st.sampled_from(["0.0", "0.1", "0.25", "0.29", "0.5", "0.7", "1.0"])

steps = st.one_of(
    st.integers(-180, 180),
    st.integers(-40, 40).map(lambda hours: hours * 60),
    st.integers(-60, 60).map(lambda days: days * 24 * 60),
    st.integers(-40, 40).map(lambda weeks: weeks * 7 * 24 * 60),
)


@st.composite
def policies(draw: st.DrawFn, zone: str) -> Policy:
    counts = {name: draw(st.integers(0, 5)) for name in retention.COUNTS}
    within = timedelta(hours=draw(st.sampled_from([0, 0, 1, 24, 24 * 30])))
    return Policy(**counts, keep_within=within, zone=ZoneInfo(zone))


@st.composite
def cases(draw: st.DrawFn) -> tuple[list[Point], Policy, datetime]:
    """Snapshots around a moment at which the zone's clocks change, and when the run is: before, among or after them."""
    zone, change = draw(st.sampled_from(sorted(CHANGES.items())))
    taken = draw(st.lists(steps, max_size=14))
    points = [
        Point(f"s{number}", change + minutes * MINUTE, *draw(st.sampled_from(STATES)))
        for number, minutes in enumerate(taken)
    ]
    now = change + draw(st.one_of(steps, st.just(max(taken, default=0)), st.just(min(taken, default=0) - 3))) * MINUTE
    return points, draw(policies(zone)), now


def after(points: list[Point], verdict: Verdict) -> list[Point]:
    """What is there once the verdict is carried out."""
    return [point for point in points if point.name not in verdict.remove]


@given(cases(), FRACTIONS, st.one_of(st.integers(-1, 1), st.integers(-150, 150).map(lambda days: days * 24 * 60)))
def test_the_slow_model_says_the_same(case: tuple[list[Point], Policy, datetime], fraction: str, later: int) -> None:
    points, policy, now = case
    made = now - retention.FORMER + later * MINUTE
    why, expected = slow_retention.judge(points, policy, now, fraction, made)
    verdict = retention.decide(points, policy, now, float(fraction), made)
    assert replace(verdict, keep=dict.fromkeys(verdict.keep, ())) == expected
    good = {point.name for point in points if point.good}
    by_rule = {
        name: {reason.split()[0] for reason in reasons if reason != "the clock is behind"}
        for name, reasons in verdict.keep.items()
        if name in good
    }
    assert {name: words for name, words in by_rule.items() if words} == why


@given(cases(), FRACTIONS)
def test_every_snapshot_has_one_fate(case: tuple[list[Point], Policy, datetime], fraction: str) -> None:
    points, policy, now = case
    verdict = retention.decide(points, policy, now, float(fraction))
    assert sorted([*verdict.keep, *verdict.remove, *verdict.held_back, *verdict.strange]) == sorted(
        point.name for point in points
    )
    assert all(verdict.keep.values())


@given(cases(), FRACTIONS, st.randoms(use_true_random=False))
def test_the_order_of_the_list_does_not_matter(
    case: tuple[list[Point], Policy, datetime], fraction: str, random: Random
) -> None:
    points, policy, now = case
    shuffled = list(points)
    random.shuffle(shuffled)
    one = retention.decide(points, policy, now, float(fraction))
    other = retention.decide(shuffled, policy, now, float(fraction))
    assert one == other
    assert list(one.keep) == list(other.keep)


@given(cases())
def test_the_newest_good_one_stays(case: tuple[list[Point], Policy, datetime]) -> None:
    points, policy, now = case
    good = [point for point in points if point.good and point.taken - now <= retention.AHEAD]
    assume(good)
    for rules in (policy, Policy(zone=policy.zone)):
        verdict = retention.decide(points, rules, now, 1.0)
        assert max(good, key=lambda point: (point.taken, point.name)).name in verdict.keep


@given(cases())
def test_carried_out_it_leaves_nothing_to_do(case: tuple[list[Point], Policy, datetime]) -> None:
    points, policy, now = case
    first = retention.decide(points, policy, now, 1.0)
    again = retention.decide(after(points, first), policy, now, 1.0)
    assert not again.remove
    assert again.keep == first.keep


@given(cases(), FRACTIONS)
def test_run_after_run_removes_what_one_run_would(case: tuple[list[Point], Policy, datetime], fraction: str) -> None:
    """But for the last few that a small fraction never reaches."""
    points, policy, now = case
    once = retention.decide(points, policy, now, 1.0)
    left = points
    while (verdict := retention.decide(left, policy, now, float(fraction))).remove:
        assert verdict.keep == once.keep
        good = {point.name for point in left if point.good}
        assert len(good & set(verdict.remove)) <= float(fraction) * len(good) + 1e-9
        left = after(left, verdict)
    assert verdict.keep == once.keep
    number = sum(1 for point in left if point.good)
    assert not verdict.held_back or number * float(fraction) < 1


@given(cases(), st.sampled_from([*retention.COUNTS, "keep_within"]), st.integers(1, 3))
def test_a_larger_rule_keeps_what_a_smaller_one_kept(
    case: tuple[list[Point], Policy, datetime], rule: str, more: int
) -> None:
    points, policy, now = case
    smaller = getattr(policy, rule)
    larger = smaller + more * timedelta(days=1) if rule == "keep_within" else smaller + more
    kept = retention.decide(points, policy, now, 1.0).keep
    assert kept.keys() <= retention.decide(points, replace(policy, **{rule: larger}), now, 1.0).keep.keys()


@given(cases(), FRACTIONS, st.lists(st.tuples(st.integers(6, 10**6), st.booleans()), max_size=5))
def test_snapshots_from_the_future_change_nothing(
    case: tuple[list[Point], Policy, datetime], fraction: str, ahead: list[tuple[int, bool]]
) -> None:
    points, policy, now = case
    future = [Point(f"f{number}", now + minutes * MINUTE, good) for number, (minutes, good) in enumerate(ahead)]
    without = retention.decide(points, policy, now, float(fraction))
    verdict = retention.decide([*points, *future], policy, now, float(fraction))
    assert {point.name for point in future} <= set(verdict.strange)
    assert replace(verdict, strange=()) == replace(without, strange=())


@given(cases())
def test_a_clock_behind_every_snapshot_removes_nothing(case: tuple[list[Point], Policy, datetime]) -> None:
    points, policy, _now = case
    assume(points)
    now = min(point.taken for point in points) - timedelta(seconds=1)
    verdict = retention.decide(points, policy, now, 1.0)
    assert not verdict.remove
    assert not verdict.held_back


@given(cases())
def test_failed_ones_count_for_nothing(case: tuple[list[Point], Policy, datetime]) -> None:
    points, policy, now = case
    assume(any(point.good and point.taken <= now for point in points))
    only_good = retention.decide([point for point in points if point.good], policy, now, 1.0)
    verdict = retention.decide(points, policy, now, 1.0)
    good = {point.name for point in points if point.good}
    assert {name: why for name, why in verdict.keep.items() if name in good} == only_good.keep


@given(cases())
def test_to_prune_after_each_snapshot_leaves_what_one_prune_leaves(case: tuple[list[Point], Policy, datetime]) -> None:
    points, policy, _now = case
    assume(points)
    good = sorted((replace(point, good=True) for point in points), key=lambda point: (point.taken, point.name))
    there: list[Point] = []
    for point in good:
        there.append(point)
        there = after(there, retention.decide(there, policy, point.taken, 1.0))
    assert [point.name for point in there] == list(retention.decide(good, policy, good[-1].taken, 1.0).keep)
