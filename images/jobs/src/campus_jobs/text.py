"""The figures in Prometheus' text format. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime

from campus_jobs.drills import Drills
from campus_jobs.figures import Figures

PREFIX = "campus_snapshots_"
TYPE = "text/plain; version=0.0.4; charset=utf-8"

Sample = tuple[str, float | None]
Family = tuple[str, str, list[Sample]]


def text(figures: Figures | None, listing_age: float, now: datetime) -> str:
    """Return the metrics, less those that are unknown.

    ``listing_age`` is in seconds; before the first listing it counts from the start, and nothing else is known.
    """
    age: Family = ("listing_age_seconds", "Seconds since disks and snapshots were last listed.", [("", listing_age)])
    families = [age, *(_families(figures, now) if figures else ())]
    return "".join(line for family in families for line in _lines(*family))


def _families(figures: Figures, now: datetime) -> Iterator[Family]:
    runs = figures.runs
    yield "disks", "Disks of students.", [("", figures.disks)]
    yield "disks_unprotected", "Disks without any good snapshot.", [("", figures.unprotected)]
    yield (
        "oldest_unprotected_seconds",
        "Longest time for which what a student changed is in no good snapshot.",
        [("", _age(figures.unprotected_since, now))],
    )
    states: list[Sample] = [(f'{{state="{state}"}}', count) for state, count in figures.snapshots.items()]
    yield "snapshots", "Snapshots by state.", states
    yield "newest_age_seconds", "Age of the newest good snapshot.", [("", _age(figures.newest, now))]
    yield "scheduled", "1 while the schedule is there and not suspended.", [("", runs.scheduled)]
    last = runs.last_success.timestamp() if runs.last_success else None
    yield "last_success_timestamp_seconds", "When the last run without a failure ended.", [("", last)]
    yield "last_success_duration_seconds", "How long that run took.", [("", runs.last_seconds)]
    yield "failed_runs", "Runs that failed since then, as far as their Jobs are kept.", [("", runs.failed)]
    yield from _of_drills(figures.drills)


def _of_drills(drills: Drills) -> Iterator[Family]:
    yield "recorded", "Good snapshots with a record of what is on them.", [("", drills.recorded)]
    results: list[Sample] = [('{result="equal"}', drills.equal), ('{result="different"}', drills.different)]
    yield "compared", "Snapshots by what their last comparison with their record found.", results
    last = drills.last_compared.timestamp() if drills.last_compared else None
    yield "last_compared_timestamp_seconds", "When a snapshot was last restored and compared.", [("", last)]
    failed: list[Sample] = [(f'{{action="{action}"}}', count) for action, count in drills.failed_runs.items()]
    yield "drill_failed_runs", "Runs of the drill that failed since the last one that did not.", failed


def _age(then: datetime | None, now: datetime) -> float | None:
    """Return seconds; never less than none, since clocks of nodes differ."""
    return max(0.0, (now - then).total_seconds()) if then else None


def _lines(name: str, meaning: str, samples: Iterable[Sample]) -> Iterator[str]:
    known = [(labels, value) for labels, value in samples if value is not None]
    if known:
        yield f"# HELP {PREFIX}{name} {meaning}\n# TYPE {PREFIX}{name} gauge\n"
    for labels, value in known:
        yield f"{PREFIX}{name}{labels} {value:.15g}\n"
