"""How long a run of snapshots thinks before it acts: the plan of thousands of disks, without a cluster. Prints JSON."""

from __future__ import annotations

import argparse
import json
import time
from datetime import UTC, datetime, timedelta
from statistics import median
from typing import Any

from ansible_collections.campus.jupyterhub.plugins.module_utils._disk_snapshots import Snapshot, snapshot_of
from ansible_collections.campus.jupyterhub.plugins.module_utils._retention import Policy
from ansible_collections.campus.jupyterhub.plugins.module_utils._snapshot_plan import Wish, pruning, steps
from ansible_collections.campus.jupyterhub.plugins.module_utils._student_disks import Disk, disk_of
from ansible_collections.campus.jupyterhub.tests.unit.plugins.module_utils.student_objects import claim, snapshot

Figures = dict[str, Any]

POLICY = Policy(keep_hourly=24, keep_daily=14, keep_weekly=8, keep_monthly=6)
NOW = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)


def objects(students: int, each: int) -> tuple[list[Disk], list[Snapshot]]:
    """Disks with an hourly snapshot each for so many hours."""
    names = [f"student-{number:05d}" for number in range(students)]
    times = [f"{NOW - timedelta(hours=hour):%Y-%m-%dT%H:%M:%SZ}" for hour in range(1, each + 1)]
    return [disk_of(claim(name)) for name in names], [snapshot_of(snapshot(at, name)) for name in names for at in times]


def seconds_of(students: int, each: int) -> float:
    """Seconds from objects in memory to a plan that says which to take and which to remove."""
    disks, snapshots = objects(students, each)
    wish = Wish(policy=POLICY)
    begun = time.perf_counter()
    plan = steps(disks, snapshots, wish, NOW)
    goes = [pruning(step, wish, NOW) for step in plan]
    taken = time.perf_counter() - begun
    if len(goes) != students or not all(found.remove for found in goes):
        raise SystemExit("The plan is not what was to be measured: each disk gives some of its snapshots up.")
    return taken


def spread(students: int, each: int, rounds: int) -> Figures:
    """Least, middle and most seconds, and microseconds a student."""
    times = [seconds_of(students, each) for _round in range(rounds)]
    middle = median(times)
    figures = {
        "min": min(times),
        "median": middle,
        "max": max(times),
        "microseconds a student": 1e6 * middle / students,
    }
    rounded = {key: round(value, 4) for key, value in figures.items()}
    return {"students": students, "snapshots each": each, "rounds": rounds, **rounded}


def main() -> None:
    """Measure with more and more students; the last figure says whether one more costs the same."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--students", type=int, nargs="*", default=[500, 1000, 2500, 5000])
    parser.add_argument("--snapshots", type=int, default=30)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    found = [spread(students, options.snapshots, options.rounds) for students in options.students]
    costs = [figures["microseconds a student"] for figures in found]
    print(
        json.dumps(
            {"plan": found, "a student at the end to one at the start": round(costs[-1] / costs[0], 2)}, indent=1
        )
    )


if __name__ == "__main__":
    main()
