"""What the benchmark of snapshots says about its figures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.campus.jupyterhub.benchmarks import page
from ansible_collections.campus.jupyterhub.benchmarks.snapshots import report
from ansible_collections.campus.jupyterhub.benchmarks.snapshots.measure import rate
from ansible_collections.campus.jupyterhub.benchmarks.snapshots.plan import spread
from ansible_collections.campus.jupyterhub.benchmarks.snapshots.report import aims, rows, tables

Json = dict[str, Any]


@pytest.fixture
def plan() -> Json:
    """A plan, small enough to be made here."""
    return {"plan": [spread(2, 30, 2), {**spread(3, 30, 2), "median": 1.5}]}


def run(seconds: float = 40.0, disks: int = 300, usual: float = 240.0) -> Json:
    """The figures of a run as the benchmark writes them."""
    space = {"KiB a snapshot": 61.5}
    return {
        "machine": {"processors": 2, "processor": "test"},
        "plan": {"disks": disks, "size": 48, "content": 20, "restored": 100, "parallel": 20},
        "make": rate(disks, 90),
        "role's flags": {
            "snapshot": rate(disks, seconds) | space,
            "again": rate(disks, 50) | space,
            "prune": rate(disks, 60),
            "restore": rate(100, 33),
        },
        "usual flags": {"snapshot": rate(disks, usual) | space, "prune": rate(disks, 300)},
    }


@pytest.mark.parametrize(
    ("figures", "met"),
    [
        (run(), [True, True, True]),
        (run(seconds=61, usual=400), [False, True, True]),
        (run(usual=190), [True, False, True]),
        (run(disks=20, seconds=2, usual=11), [True, True]),
    ],
)
def test_an_aim_is_for_as_many_disks_as_were_aimed_at(figures: Json, met: list[bool], plan: Json) -> None:
    assert [each.met for each in aims(figures, plan)] == met


def test_a_plan_that_takes_too_long_is_a_miss(plan: Json) -> None:
    plan["plan"][-1]["median"] = 2.1
    assert [each.met for each in aims(run(), plan)][-1] is False


def test_what_was_measured_with_one_set_of_flags_is_compared_with_nothing() -> None:
    alone = {each.what for each in rows(run()) if each.peer is None}
    assert alone == {"disks made", "snapshots taken again", "space of snapshots", "disks made from snapshots"}


def test_the_tables_hold_every_figure(plan: Json) -> None:
    text = tables(run(), plan)
    assert "| snapshots taken: seconds | ≤ 60 | 40.0 | 240 | 6.0 | met | 1.50 |" in text
    assert "| snapshots taken | disks a second | 7.50 | 1.25 | 6.00 |" in text
    assert "| disks made from snapshots | disks a second | 3.03 |  |  |" in text
    assert "| 2 | 30 |" in text


def test_tables_and_plot_of_the_benchmarks_own_run_go_onto_the_page(
    tmp_path: Path, plan: Json, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "images").mkdir()
    text = tmp_path / "performance.md"
    text.write_text("before\n<!-- snapshots -->\nold\n<!-- end of snapshots -->\nafter\n")
    for name, content in (("figures", run()), ("plan", plan)):
        (tmp_path / f"{name}.json").write_text(json.dumps(content))
    monkeypatch.setattr("sys.argv", ["report", str(tmp_path / "figures.json"), str(tmp_path / "plan.json")])
    monkeypatch.setattr(page, "DOCS", tmp_path)
    report.main()
    assert "snapshots taken" in capsys.readouterr().out
    assert "old" in text.read_text()
    monkeypatch.setattr(report, "HERE", tmp_path)
    report.main()
    assert text.read_text() == f"before\n<!-- snapshots -->\n{tables(run(), plan)}<!-- end of snapshots -->\nafter\n"
    drawn = (tmp_path / "images" / "snapshots-performance.svg").read_text()
    assert "6.0 times better" in drawn
    assert drawn.count(">Usual flags<") == 2


def test_a_page_without_the_place_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page, "DOCS", tmp_path)
    (tmp_path / "performance.md").write_text("nothing\n")
    with pytest.raises(ValueError, match="has no place for snapshots"):
        page.put("snapshots", "text")
