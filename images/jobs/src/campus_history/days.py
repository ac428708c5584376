"""A student's snapshots as a calendar. Pure."""

from __future__ import annotations

import calendar
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import TypeAlias
from zoneinfo import ZoneInfo

from ansible_collections.campus.jupyterhub.plugins.module_utils._disk_snapshots import Snapshot

Days: TypeAlias = Mapping[date, list[Snapshot]]


@dataclass(frozen=True)
class Cell:
    """A day of a calendar."""

    day: date
    count: int
    """How many snapshots it has."""


@dataclass(frozen=True)
class Month:
    """A month as weeks from Monday to Sunday; None stands for days of the months beside it."""

    title: str
    weeks: list[list[Cell | None]]


def by_day(snapshots: Iterable[Snapshot], zone: ZoneInfo) -> Days:
    """Return the snapshots of each day of a time zone, newest day and newest snapshot first."""
    found: dict[date, list[Snapshot]] = {}
    for snapshot in sorted(snapshots, key=lambda each: (each.taken, each.name), reverse=True):
        found.setdefault(snapshot.taken.astimezone(zone).date(), []).append(snapshot)
    return found


def months(days: Days) -> list[Month]:
    """Return the months that have snapshots, newest first."""
    return [_month(year, month, days) for year, month in dict.fromkeys((day.year, day.month) for day in days)]


def _month(year: int, month: int, days: Days) -> Month:
    weeks = [
        [Cell(day, len(days.get(day, ()))) if day.month == month else None for day in week]
        for week in calendar.Calendar().monthdatescalendar(year, month)
    ]
    return Month(f"{calendar.month_name[month]} {year}", weeks)


def chosen(text: str, days: Days) -> date | None:
    """Return the day that a text names if it has snapshots, else the newest that has; None where there is none."""
    try:
        day = date.fromisoformat(text)
    except ValueError:
        day = None
    return day if day in days else next(iter(days), None)
