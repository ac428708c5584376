# Copyright: campus.jupyterhub contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Retention once more, slowly: each snapshot is judged alone, by what the words mean, from counted seconds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction

from ansible_collections.campus.jupyterhub.plugins.module_utils._retention import Point, Policy, Verdict

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
Bucket = tuple[int, ...]


def clock(point: Point, policy: Policy) -> tuple[int, int]:
    """Seconds that a clock on the wall has counted since 1970, and by how many it is ahead of UTC."""
    ahead = round(point.taken.astimezone(policy.zone).utcoffset() / timedelta(seconds=1))  # type: ignore[operator]
    return (point.taken - EPOCH) // timedelta(seconds=1) + ahead, ahead


def day_of(seconds: int) -> date:
    return date.fromordinal(date(1970, 1, 1).toordinal() + seconds // 86400)


def week_of(seconds: int) -> Bucket:
    """Weeks since Monday, 29 December 1969."""
    return ((seconds // 86400 + 3) // 7,)


BUCKETS: dict[str, Callable[[int, int], Bucket]] = {
    "hourly": lambda seconds, ahead: (seconds // 3600, ahead),
    "daily": lambda seconds, ahead: (seconds // 86400,),
    "weekly": lambda seconds, ahead: week_of(seconds),
    "monthly": lambda seconds, ahead: (day_of(seconds).year, day_of(seconds).month),
    "yearly": lambda seconds, ahead: (day_of(seconds).year,),
}


def newer(one: Point, other: Point) -> bool:
    return one.taken > other.taken or (one.taken == other.taken and one.name > other.name)


def words(point: Point, good: Sequence[Point], policy: Policy) -> set[str]:
    """The rules that keep a good snapshot among ``good`` ones."""
    later = [other for other in good if newer(other, point)]
    kept = {"last"} if len(later) < policy.keep_last else set()
    if max(other.taken for other in good) - policy.keep_within < point.taken:
        kept |= {"within"} if policy.keep_within else set()
    for word, bucket_of in BUCKETS.items():
        own = bucket_of(*clock(point, policy))
        others = {bucket_of(*clock(other, policy)) for other in later}
        if own not in others and len(others) < getattr(policy, f"keep_{word}"):
            kept.add(word)
    return kept or (set() if later else {"newest"})


def last_of_a_lost_disk(point: Point, good: Sequence[Point]) -> bool:
    """Whether nothing good tells more of a disk that is gone."""
    same = [other for other in good if other.former == point.former]
    return point.former != "" and not any(newer(other, point) for other in same)


def judge(
    points: Sequence[Point], policy: Policy, now: datetime, fraction: str, made: datetime
) -> tuple[dict[str, set[str]], Verdict]:
    """The rules that keep each good snapshot, and the verdict, its reasons left out."""
    strange = [point for point in points if point.taken > now + timedelta(minutes=5)]
    real = [point for point in points if point not in strange]
    good = [point for point in real if point.good]
    why = {point.name: words(point, good, policy) for point in good}
    if not now > made + timedelta(days=90):
        for point in good:
            why[point.name] |= {"former"} if last_of_a_lost_disk(point, good) else set()
    behind = all(point.taken > now for point in real)
    keep: list[Point] = []
    going: list[Point] = []
    for point in real:
        fresh = not point.good and now <= point.taken + timedelta(hours=1 if point.failed else 24)
        (keep if why.get(point.name) or fresh or behind else going).append(point)
    share = Fraction(fraction)
    remove: list[Point] = []
    bad = [point for point in real if not point.good]
    for kind in (good, bad):
        gone: list[Point] = []
        while left := [point for point in going if point in kind and point not in gone]:
            allowance = share * len(kind) - len(gone)
            # A good one goes only where all of it is allowed, another where any part of it is.
            if allowance <= 0 or (kind is good and allowance < 1):
                break
            gone.append(next(point for point in left if not any(newer(point, other) for other in left)))
        remove += gone
    held_back = [point for point in going if point not in remove]
    verdict = Verdict(dict.fromkeys(names(keep), ()), names(remove), names(held_back), names(strange))
    return {name: kept for name, kept in why.items() if kept}, verdict


def names(points: Sequence[Point]) -> tuple[str, ...]:
    """Names, the oldest first."""
    return tuple(point.name for point in sorted(points, key=lambda point: sum(newer(point, other) for other in points)))
