"""Small arithmetic on what was measured. Pure, but for what it says about the machine."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ansible_collections.campus.jupyterhub.benchmarks.scale.usage import MACHINE, Use, total

Figures = dict[str, Any]
ROWS = 6


def machine() -> Figures:
    """What it was measured on."""
    model = next(line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name"))
    return {"processors": os.cpu_count(), "processor": model.partition(": ")[2]}


def percentile(values: Iterable[float], percent: float) -> float:
    """The least value that so many per cent of all do not exceed. Raises ValueError when there is none."""
    ordered = sorted(values)
    if not ordered:
        raise ValueError("no values")
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]


def mean_between(before: str, after: str, histogram: str) -> float | None:
    """Mean of what a Prometheus histogram took in between two texts, None when that was nothing."""
    count, summed = (
        total(after, f"{histogram}_{part}") - total(before, f"{histogram}_{part}") for part in ("count", "sum")
    )
    return summed / count if count else None


def used_between(before: Mapping[str, Use], after: Mapping[str, Use]) -> dict[str, float]:
    """Processor seconds by what used them, of the containers that were there before and after."""
    return {
        kind: round(
            sum(
                max(0.0, seconds - before[kind].cpu[pod]) for pod, seconds in use.cpu.items() if pod in before[kind].cpu
            ),
            2,
        )
        for kind, use in after.items()
        if kind in before
    }


def elsewhere(cpu: dict[str, float]) -> float:
    """Processor seconds of the machine that nothing of what is watched has used: the load itself, and other work."""
    return max(0.0, cpu[MACHINE] - sum(used for kind, used in cpu.items() if kind != MACHINE))


def more(before: dict[str, float], after: dict[str, float]) -> dict[str, float]:
    """By how much counters went up, without those that did not."""
    return {key: value - before.get(key, 0) for key, value in sorted(after.items()) if value != before.get(key, 0)}


def rounded(figures: Figures) -> Figures:
    """The same with three digits behind the point."""
    parsed: Figures = json.loads(json.dumps(figures), parse_float=lambda text: round(float(text), 3))
    return parsed


def groups(waves: list[Figures]) -> list[list[Figures]]:
    """The waves in at most ROWS groups of one size, the first perhaps smaller."""
    size = -(-len(waves) // ROWS) or 1
    first = len(waves) % size
    starts = range(first, len(waves), size)
    return [*([waves[:first]] if first else []), *(waves[start : start + size] for start in starts)]
