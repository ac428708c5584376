"""The report says what the checker found, in every form."""

from __future__ import annotations

import json
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest
from ansible_collections.campus.jupyterhub.tests.faults.checker import judge
from ansible_collections.campus.jupyterhub.tests.faults.page import page, write
from ansible_collections.campus.jupyterhub.tests.faults.records import Kind, Limit, Measure, Record, Window
from ansible_collections.campus.jupyterhub.tests.faults.report import Report
from ansible_collections.campus.jupyterhub.tests.faults.timeline import (
    MOST_TICKS,
    TICKS,
    Chart,
    draw,
    height_of,
    open_times,
    step,
)
from ansible_collections.campus.jupyterhub.tests.unit.faults.logs import (
    DIGESTS,
    START,
    answered,
    dropped,
    opened,
    refused,
    window,
)
from hypothesis import given
from hypothesis import strategies as st

LOG = [opened(0), answered(0.5), answered(1, "anna"), dropped(3), refused(3.5), opened(4, after=1.0), answered(7)]
BROKEN = window(2, 8, name="a <fault>", limits=(Limit(Measure.FAILED, 0), Limit(Measure.RECONNECT, 5, 0.5)))


def report(log: list[Record], *windows: Window) -> Report:
    """The report of a log."""
    return Report("short", judge(log, windows, DIGESTS), log, "2 processors")


def test_as_data_it_has_every_measure_with_budget_and_aim() -> None:
    found = report(LOG, BROKEN).as_json()
    assert found["held"] is False
    assert found["requests"] == 4
    (fault,) = found["faults"]
    assert (fault["name"], fault["begin"], fault["end"], fault["held"]) == ("a <fault>", 2.0, 8.0, False)
    failed, reconnect = fault["measures"]
    assert (failed["value"], failed["budget"], failed["held"]) == (1, 0, False)
    assert (reconnect["value"], reconnect["budget"], reconnect["aim"]) == (1.0, 5, 0.5)
    assert (reconnect["held"], reconnect["met"]) == (True, False)


def test_as_a_table_it_names_what_was_not_held() -> None:
    lines = report(LOG, BROKEN).table()
    assert lines[0] == "1. a <fault>: NOT HELD"
    assert any(line.split() == ["failed", "requests", "1", "0", "0"] for line in lines)
    assert any("no connection: refused" in line for line in lines)
    assert report([answered(1), answered(2)], window()).table()[0] == "1. a fault: held"


def test_in_markdown_every_row_has_as_many_cells_as_the_head() -> None:
    lines = report(LOG, BROKEN).markdown().splitlines()
    assert len(lines) == 4
    assert {line.count("|") for line in lines} == {7}


def test_the_page_needs_nothing_else_and_escapes_what_it_shows(tmp_path: Path) -> None:
    path = write(report(LOG, BROKEN), tmp_path)
    text = path.read_text()
    assert "a &lt;fault&gt;" in text
    assert "a <fault>" not in text
    assert re.findall(r"(?:src|href)=|@import|url\(", text) == []
    assert json.loads((tmp_path / "report.json").read_text())["form"] == "short"


def test_a_run_without_a_fault_or_a_record_has_a_page() -> None:
    assert "0 faults, 0 requests" in page(report([]))


def shapes(svg: str, kind: str) -> list[str]:
    """The paths of a class that draw something."""
    root = ElementTree.fromstring(svg)
    found = [path.get("d", "") for path in root.iter("{http://www.w3.org/2000/svg}path") if path.get("class") == kind]
    return [path for path in found if path]


def test_the_timeline_shows_every_answer_failure_and_fault() -> None:
    svg = draw(Chart(START, START + 10, 800, START), LOG, [BROKEN])
    assert sum(path.count("M") for path in shapes(svg, "new")) == 3
    assert sum(path.count("M") for path in shapes(svg, "failed")) == 1
    assert sum(path.count("M") for path in shapes(svg, "open")) == 2
    assert svg.count('class="fault"') == 1
    assert "a &lt;fault&gt;" in svg


CHART = Chart(START, START + 10, 800, START)


@given(st.lists(st.floats(-100, 200), min_size=2))
def test_what_is_later_is_never_drawn_further_left(times: list[float]) -> None:
    places = [CHART.x(START + at) for at in sorted(times)]
    assert places == sorted(places)
    assert all(0 < place < 800 for place in places)


@given(st.floats(0, 1000), st.floats(0, 1000))
def test_what_takes_longer_is_never_drawn_lower(one: float, other: float) -> None:
    assert 0 <= height_of(min(one, other)) <= height_of(max(one, other)) <= 1


@given(st.floats(0.1, MOST_TICKS * TICKS[-1]))
def test_an_axis_has_few_ticks(seconds: float) -> None:
    assert seconds / step(seconds) <= MOST_TICKS


@pytest.mark.parametrize(
    ("records", "times"),
    [
        ([], []),
        ([opened(1)], [(1, 10)]),
        ([opened(-5), dropped(2), opened(4), dropped(6)], [(0, 2), (4, 6)]),
        ([opened(1), dropped(20)], [(1, 10)]),
        ([dropped(1)], []),
    ],
)
def test_a_websocket_is_open_until_it_is_dropped(records: list[Record], times: list[tuple[float, float]]) -> None:
    found = open_times(records, START, START + 10)
    assert found == [(START + begin, START + end) for begin, end in times]


@given(st.lists(st.tuples(st.sampled_from([Kind.OPENED, Kind.DROPPED]), st.floats(-20, 20))))
def test_open_times_never_overlap(events: list[tuple[Kind, float]]) -> None:
    records = [Record(START + at, "ann", kind) for kind, at in sorted(events, key=lambda event: event[1])]
    found = open_times(records, START, START + 10)
    edges = [edge for pair in found for edge in pair]
    assert edges == sorted(edges)
