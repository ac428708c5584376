"""What a benchmark puts into docs/: figures as text, lines of tables, and the place of these on the page."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

DOCS = Path(__file__).resolve().parents[1] / "docs"


def number(value: float) -> str:
    """A figure with three digits that count."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def cell(spread: Mapping[str, Any] | None) -> str:
    """The middle, and in brackets the least and the most where it was measured several times."""
    if not spread:
        return ""
    middle = number(spread["median"])
    return middle if spread["rounds"] == 1 else f"{middle} ({number(spread['min'])} to {number(spread['max'])})"


def row(*cells: object) -> str:
    """One line of a table."""
    return f"| {' | '.join(map(str, cells))} |"


def head(*cells: str) -> str:
    """The first two lines of a table; all cells but the first hold numbers."""
    return f"{row(*cells)}\n{row('---', *['---:'] * (len(cells) - 1))}"


def put(name: str, text: str) -> None:
    """Write text between the two comments of this name on the page; raises ValueError where these are not."""
    page = DOCS / "performance.md"
    place = re.compile(rf"(<!-- {name} -->\n).*(<!-- end of {name} -->)", re.DOTALL)
    written, places = place.subn(lambda found: found[1] + text + found[2], page.read_text())
    if places != 1:
        raise ValueError(f"{page} has no place for {name}.")
    page.write_text(written)


def draw(name: str, picture: str) -> None:
    """Write a picture for the page."""
    (DOCS / "images" / f"{name}.svg").write_text(picture)
