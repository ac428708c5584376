"""Ours beside a peer: what was measured of both, what was aimed at, and both as tables. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ansible_collections.campus.jupyterhub.benchmarks.page import cell, row

Spread = Mapping[str, Any]
"""A figure as least, middle and most of the rounds: min, median, max and rounds."""


@dataclass(frozen=True)
class Row:
    """One comparison: a figure of ours and of a peer, as least, middle and most of the rounds."""

    what: str
    unit: str
    ours: Spread
    peer: Spread | None
    more_is_better: bool

    @property
    def ratio(self) -> float:
        """How many times better ours is, by the middle values."""
        if not self.peer:
            return 0.0
        one, other = float(self.ours["median"]), float(self.peer["median"])
        return one / max(other, 1e-9) if self.more_is_better else other / max(one, 1e-9)


@dataclass(frozen=True)
class Aim:
    """What a figure should be: at least `bound` times better than the peer's, or at most `bound` in its own unit."""

    row: Row
    bound: float
    against_peer: bool

    @property
    def factor(self) -> float:
        """How far the aim is surpassed; below 1 it is missed."""
        return self.row.ratio / self.bound if self.against_peer else self.bound / float(self.row.ours["median"])

    @property
    def met(self) -> bool:
        """Whether it is met."""
        return self.factor >= 1


@dataclass(frozen=True)
class Names:
    """What tables and plots call the two."""

    ours: str
    peer: str


def aims_table(found: Iterable[Aim], names: Names) -> list[str]:
    """Whether each aim is met."""
    return [
        row("Aim", "Wanted", names.ours, names.peer, "Times better", "Verdict", "Result ÷ aim"),
        row(*["---"] * 7),
        *map(_aim_line, found),
    ]


def _aim_line(aim: Aim) -> str:
    each = aim.row
    sense = "times as many" if each.more_is_better else "of the peer's" if aim.bound != 1 else "the peer's"
    if not aim.against_peer:
        wanted = f"≤ {aim.bound:g}"
    elif each.more_is_better:
        wanted = f"≥ {aim.bound:g} {sense}"
    else:
        wanted = f"≤ 1/{aim.bound:g} {sense}" if aim.bound != 1 else f"below {sense}"
    verdict = "met" if aim.met else "**missed**"
    better = f"{each.ratio:.1f}" if each.peer else ""
    return row(
        f"{each.what}: {each.unit}", wanted, cell(each.ours), cell(each.peer), better, verdict, f"{aim.factor:.2f}"
    )


def rows_table(found: Iterable[Row], names: Names) -> list[str]:
    """All that was measured."""
    return [
        row("What", "Unit", names.ours, names.peer, "Times better"),
        row(*["---"] * 5),
        *(
            row(each.what, each.unit, cell(each.ours), cell(each.peer), f"{each.ratio:.2f}" if each.peer else "")
            for each in found
        ),
    ]
