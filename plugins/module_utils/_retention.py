# Copyright: campus.jupyterhub contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Which snapshots of one disk stay and which go. Pure.

The words are restic's. All times are instants; only the hours, days, weeks, months and years are those of a time zone.

Private to the collection: it may change in any release.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from difflib import get_close_matches
from fractions import Fraction
from math import floor
from operator import attrgetter
from typing import Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

FAILED_GRACE: Final = timedelta(hours=1)
AHEAD: Final = timedelta(minutes=5)

COUNTS: Final = ("keep_last", "keep_hourly", "keep_daily", "keep_weekly", "keep_monthly", "keep_yearly")
ARGUMENTS: Final[dict[str, Any]] = {
    **{name: {"type": "int"} for name in COUNTS},
    "keep_within": {"type": "str", "default": ""},
    "timezone": {"type": "str", "default": "UTC"},
}
"""The options of a module that describe a policy."""

# A month and a year are their longest, so that no snapshot goes earlier than by the calendar.
_HOURS: Final = {"h": 1, "d": 24, "w": 7 * 24, "m": 31 * 24, "y": 366 * 24}
_WITHIN: Final = re.compile(r"(?:[0-9]{1,9}[hdwmy]){1,5}")
_LONGEST: Final = timedelta(days=1000 * 366)


@dataclass(frozen=True)
class Policy:
    """How many snapshots of a disk stay; whatever one of the rules keeps, stays.

    Raises:
        ValueError: a number or the duration is negative; the message is one sentence.
    """

    keep_last: int = 0
    keep_hourly: int = 0
    keep_daily: int = 0
    keep_weekly: int = 0
    keep_monthly: int = 0
    keep_yearly: int = 0
    keep_within: timedelta = timedelta(0)
    zone: ZoneInfo = field(default_factory=lambda: _zone("UTC"))

    def __post_init__(self) -> None:
        for name in COUNTS:
            if getattr(self, name) < 0:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be 0 or more.")
        if self.keep_within < timedelta(0):
            raise ValueError("keep_within is negative; it must be 0 or more.")


@dataclass(frozen=True)
class Point:
    """One snapshot as retention sees it: its name, when it was taken (UTC), and whether it can be restored.

    Raises:
        ValueError: the time is not in UTC; the message is one sentence.
    """

    name: str
    taken: datetime
    good: bool

    def __post_init__(self) -> None:
        if self.taken.utcoffset() != timedelta(0):
            raise ValueError(f"The time of snapshot {self.name} is {self.taken.isoformat()}, which is not in UTC.")


@dataclass(frozen=True)
class Verdict:
    """What happens to each snapshot; every name is in exactly one of the four, oldest first.

    ``keep`` says why each one stays, ``remove`` goes now, ``held_back`` goes in a later run because this one would
    remove too many, and ``strange`` is dated in the future and is left alone.
    """

    keep: dict[str, tuple[str, ...]]
    remove: tuple[str, ...]
    held_back: tuple[str, ...]
    strange: tuple[str, ...]


def policy_of(options: Mapping[str, Any]) -> Policy:
    """The policy that a module's options keep_last … keep_yearly, keep_within and timezone describe.

    An option that is missing or None counts as not set; the time zone is then UTC.

    Raises:
        ValueError: an option cannot be understood, or nothing would be kept; the message is one sentence.
    """
    policy = Policy(
        **{name: _whole(name, options.get(name)) for name in COUNTS},
        keep_within=_duration(options.get("keep_within")),
        zone=_zone("UTC" if options.get("timezone") is None else str(options["timezone"])),
    )
    if not policy.keep_within and not any(getattr(policy, name) for name in COUNTS):
        raise ValueError(f"This policy keeps nothing; set {', '.join(COUNTS)} or keep_within above 0.")
    return policy


def policy_if_any(options: Mapping[str, Any]) -> Policy | None:
    """The policy that a module's options describe, None where they name no rule at all.

    Raises:
        ValueError: as policy_of does.
    """
    if not options["keep_within"] and all(options[name] is None for name in COUNTS):
        return None
    return policy_of(options)


def decide(points: Sequence[Point], policy: Policy, now: datetime, max_delete_fraction: float = 0.5) -> Verdict:
    """Say which snapshots of one disk stay and which go.

    ``points`` are all snapshots of the disk, in any order. At most ``max_delete_fraction`` (0 to 1) of them, rounded
    down, go in one run, so a disk that has fewer than 1/fraction snapshots loses none. With 0.5 that is only a lone
    one, which stays anyway unless it failed; then it goes once there is another.

    Raises:
        ValueError: a name occurs twice, ``now`` has no time zone or the fraction is out of range; the message is one
            sentence.
    """
    _check(points, now, max_delete_fraction)
    in_order = sorted(points, key=attrgetter("taken", "name"))
    strange = tuple(point.name for point in in_order if from_the_future(point.taken, now))
    counted = [point for point in in_order if not from_the_future(point.taken, now)]
    why = _reasons([point for point in reversed(counted) if point.good], policy)
    for point in counted:
        if not point.good and now - point.taken <= FAILED_GRACE:
            why[point.name] = ["may still become ready"]
        elif counted[0].taken > now:
            why.setdefault(point.name, ["the clock is behind"])
    going = [point.name for point in counted if point.name not in why]
    # The shortest decimal is what the user wrote: 0.29 of 100 is 29, although the float is a little less.
    most = floor(Fraction(str(max_delete_fraction)) * len(points))
    return Verdict(
        keep={point.name: tuple(why[point.name]) for point in counted if point.name in why},
        remove=tuple(going[:most]),
        held_back=tuple(going[most:]),
        strange=strange,
    )


def from_the_future(taken: datetime, now: datetime) -> bool:
    """Say whether a snapshot is dated so far ahead that a clock was wrong; such a one tells nothing of the present."""
    return taken - now > AHEAD


def _check(points: Sequence[Point], now: datetime, max_delete_fraction: float) -> None:
    names = [point.name for point in points]
    if len(set(names)) < len(names):
        twice = next(name for name in sorted(names) if names.count(name) > 1)
        raise ValueError(f"Snapshot {twice} is listed twice for one disk; each name must occur once.")
    if now.utcoffset() is None:
        raise ValueError(f"The present time {now.isoformat()} has no time zone.")
    if not 0 <= max_delete_fraction <= 1:
        raise ValueError(f"max_delete_fraction is {max_delete_fraction}; it must be between 0 and 1.")


def _reasons(newest_first: Sequence[Point], policy: Policy) -> dict[str, list[str]]:
    """Say for each good snapshot that the policy keeps why; the newest is always among them."""
    why: dict[str, list[str]] = {}
    if not newest_first:
        return why
    newest = newest_first[0]
    for point in newest_first[: policy.keep_last]:
        why.setdefault(point.name, []).append("last")
    if policy.keep_within:
        for point in newest_first:
            if newest.taken - point.taken < policy.keep_within:
                why.setdefault(point.name, []).append("within")
    local = [(point.name, point.taken.astimezone(policy.zone)) for point in newest_first]
    for option, bucket_of in _CALENDAR.items():
        for bucket, name in _newest_of_each(local, bucket_of, getattr(policy, option)).items():
            why.setdefault(name, []).append(bucket)
    why.setdefault(newest.name, ["newest good one"])
    return why


def _newest_of_each(
    newest_first: Sequence[tuple[str, datetime]], bucket_of: Callable[[datetime], str], number: int
) -> dict[str, str]:
    """The newest snapshot's name in each of the newest ``number`` buckets that have one."""
    names: dict[str, str] = {}
    for name, local in newest_first:
        if len(names) == number:
            break
        names.setdefault(bucket_of(local), name)
    return names


def _hour(local: datetime) -> str:
    """The offset tells the two hours of the same name apart when summer time ends."""
    return local.strftime("hourly %Y-%m-%d %H:00 %z")


def _day(local: datetime) -> str:
    return f"daily {local.date()}"


def _week(local: datetime) -> str:
    year, week, _day_of_week = local.isocalendar()
    return f"weekly {year}-W{week:02}"


def _month(local: datetime) -> str:
    return f"monthly {local.year}-{local.month:02}"


def _year(local: datetime) -> str:
    return f"yearly {local.year}"


_CALENDAR: Final[dict[str, Callable[[datetime], str]]] = {
    "keep_hourly": _hour,
    "keep_daily": _day,
    "keep_weekly": _week,
    "keep_monthly": _month,
    "keep_yearly": _year,
}


def _whole(name: str, value: object) -> int:
    if value is None:
        return 0
    if not isinstance(value, int) or isinstance(value, bool):
        raise ValueError(f"{name} is {value!r}, which is not a whole number.")
    return value


def _duration(value: object) -> timedelta:
    """Read restic's words, for instance 36h, 14d or 1y6m; w, a week, is one more."""
    text = "" if value is None else str(value)
    if not text:
        return timedelta(0)
    hours = 0
    if understood := _WITHIN.fullmatch(text):
        hours = sum(int(number) * _HOURS[unit] for number, unit in re.findall(r"([0-9]+)([hdwmy])", text))
    if not understood or hours > _LONGEST / timedelta(hours=1):
        raise ValueError(
            f"keep_within is {text!r}, which is not a duration such as 36h, 14d or 1y6m: whole hours (h), days (d), "
            "weeks (w), months (m) and years (y), 1000 years at most."
        )
    return timedelta(hours=hours)


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        known = available_timezones()
    if not known:
        raise ValueError(f"The time zone {name!r} cannot be looked up without time zone data; install tzdata.")
    by_word = {zone.rpartition("/")[2].lower(): zone for zone in sorted(known)}
    by_word.update({zone.lower(): zone for zone in known})
    close = dict.fromkeys(by_word[word] for word in get_close_matches(name.lower(), by_word, n=3, cutoff=0.7))
    near = f" (nearest: {', '.join(close)})" if close else ""
    raise ValueError(f"timezone is {name!r}, which is no known time zone{near}; use a name such as Europe/Berlin.")
