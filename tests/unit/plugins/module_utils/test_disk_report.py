"""What people see of the disks."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import Any

import pytest
from ansible_collections.campus.jupyterhub.plugins.module_utils._disk_report import page, size, span, summary, table

GIB = 1024**3
DAY = 86400


def row(student: str, used: int | None = None, **changes: Any) -> dict[str, Any]:
    """Return a disk of 10 GiB as student_disk_info tells it."""
    share = None if used is None else round(used / (10 * GIB), 3)
    values = {"student": student, "course": "", "size": 10 * GIB, "used": used, "used_share": share}
    return {**values, "age_seconds": 30 * DAY, "snapshots": 3, "unprotected_seconds": 3600, **changes}


ROWS = [
    row("ann", 3 * GIB, course="data8"),
    row("bob", snapshots=0, unprotected_seconds=30 * DAY),
    row("<b>eve</b>", int(9.6 * GIB), unprotected_seconds=7300),
]


def test_the_figures_of_all() -> None:
    assert summary(ROWS) == [
        "3 disks of 3 students, 30 GiB promised.",
        "2 are in use now and could be measured: 13 GiB used, 1 at 80% or more.",
        "Longest without a good snapshot: bob, 30 d.",
        "1 never had a good snapshot.",
    ]
    assert summary([]) == ["There is no disk of a student."]


def test_the_table_has_the_fullest_first_and_straight_columns() -> None:
    lines = table(ROWS)
    assert [line.split()[0] for line in lines] == ["student", "<b>eve</b>", "ann", "bob"]
    assert lines[1].split() == ["<b>eve</b>", "-", "9.6", "GiB", "10", "GiB", "96%", "30", "d", "3", "2", "h"]
    assert lines[3].split() == ["bob", "-", "-", "10", "GiB", "-", "30", "d", "0", "30", "d"]
    assert len({line.find(word) for line, word in zip(lines[:2], ("size", "10 GiB"), strict=True)}) == 1


class Reader(HTMLParser):
    """Collects the classes and the text of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def test_the_page_shows_names_as_they_are_and_a_bar_each() -> None:
    reader = Reader()
    reader.feed(page(ROWS, "Disks & more"))
    assert "<b>eve</b>" in reader.text
    assert "Disks & more" in reader.text
    bars = [attrs for tag, attrs in reader.tags if tag == "div" and attrs.get("style")]
    assert [(each["class"], each["style"]) for each in bars] == [
        ("full", "width: 96.0%"),
        ("fine", "width: 30.0%"),
        ("fine", "width: 0.0%"),
    ]
    assert not [tag for tag, attrs in reader.tags if tag in ("script", "link", "img", "b")]


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (10 * GIB, "10 GiB"),
        (1.5 * GIB, "1.5 GiB"),
        (2**70, "1048576 PiB"),
    ],
)
def test_sizes(count: float, text: str) -> None:
    assert size(count) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0 s"), (119, "119 s"), (120, "2 min"), (7200, "2 h"), (172800, "2 d")]
)
def test_spans(seconds: float, text: str) -> None:
    assert span(seconds) == text
