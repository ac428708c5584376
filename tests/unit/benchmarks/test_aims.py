"""What the benchmark of the proxy says about its figures."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.campus.jupyterhub.benchmarks.bars import ROUNDS, plot
from ansible_collections.campus.jupyterhub.benchmarks.comparison import Aim, Names
from ansible_collections.campus.jupyterhub.benchmarks.proxy.aims import aims, failures, row


def rounds(ours: list[float], chp: list[float]) -> dict[str, list[dict[str, Any]]]:
    """Rounds of one figure."""
    return {"ours": [{"figure": value} for value in ours], "chp": [{"figure": value} for value in chp]}


@pytest.mark.parametrize(
    ("ours", "chp", "more", "aim", "factor"),
    [
        ([50, 60, 10], [10, 10, 9], True, (5, True), 1.0),
        ([40, 60, 10], [10, 10, 9], True, (5, True), 0.8),
        ([5, 4, 6], [30, 20, 90], False, (3, True), 2.0),
        ([12, 12, 12], [30, 20, 90], False, (3, True), 0.8333),
        ([1.5, 1, 9], [1, 1, 1], False, (3, False), 2.0),
        ([4, 4, 4], [1, 1, 1], False, (3, False), 0.75),
    ],
)
def test_an_aim_is_met_by_the_middle_round(
    ours: list[float], chp: list[float], more: bool, aim: tuple[float, bool], factor: float
) -> None:
    found = Aim(row("x", "s", rounds(ours, chp), "figure", more_is_better=more), *aim)
    assert found.factor == pytest.approx(factor, abs=1e-4)
    assert found.met is (factor >= 1)


def test_what_was_not_measured_has_no_verdict() -> None:
    each = {"seconds": 2, "thread_seconds": 1, "median": 1}
    part = {"ours": [each], "chp": [each]}
    figures = {"options": {"few": 10, "many": 20}, "adding": {"add": part, "add-one-by-one": part}}
    assert [(aim.row.what, aim.met) for aim in aims(figures)] == [("10 routes added at once", True)]


def test_failed_requests_of_both_proxies_are_counted() -> None:
    figures = {"one": {"small": {"ours": [{"failed": 1}, {"failed": 0}], "chp": [{"failed": 2}]}}, "options": {"x": 3}}
    assert failures(figures) == 3


def test_the_plot_shows_each_proxy_with_its_middle_figure() -> None:
    names = Names("ours", "theirs")
    drawn = plot([row("a < b", "s", rounds([1, 2, 3], [40, 50, 60]), "figure")], "title", names, ROUNDS)
    assert "a &lt; b: s, less is better; 25.0 times better" in drawn
    assert ">2.00</text>" in drawn
    assert ">50.0</text>" in drawn
