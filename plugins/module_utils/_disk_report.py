# Copyright: campus.jupyterhub contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What student_disk_info found, as lines for a terminal and as a page with a plot. Pure.

Private to the collection: it may change in any release.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import Any, Final

Json = dict[str, Any]

NEARLY_FULL: Final = 0.8
FULL: Final = 0.95
HEAD: Final = ("student", "course", "used", "size", "full", "age", "snapshots", "unprotected")

_UNITS: Final = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")
_STYLE: Final = """
body { font: 15px/1.4 system-ui, sans-serif; margin: 2rem auto; max-width: 64rem; padding: 0 1rem; color: #222; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; padding: .25rem .6rem; border-bottom: 1px solid #ddd; white-space: nowrap; }
th { position: sticky; top: 0; background: #fff; }
td.number { text-align: right; font-variant-numeric: tabular-nums; }
.bar { background: #eee; width: 12rem; height: .8rem; }
.bar div { height: 100%; background: #4c8c4a; }
.bar .nearly { background: #d98c00; }
.bar .full { background: #c62828; }
"""


def in_order(rows: Iterable[Json]) -> list[Json]:
    """Return the disks, the fullest first, then those that were not measured, the longest unprotected first."""
    return sorted(rows, key=lambda row: (-(row["used_share"] or 0), -row["unprotected_seconds"], row["student"]))


def summary(rows: Sequence[Json]) -> list[str]:
    """Return the figures of all disks together, a sentence each."""
    if not rows:
        return ["There is no disk of a student."]
    measured = [row for row in rows if row["used"] is not None]
    without = sum(1 for row in rows if not row["snapshots"])
    oldest = max(rows, key=lambda row: row["unprotected_seconds"])
    lines = [
        f"{len(rows)} disks of {len({row['student'] for row in rows})} students,"
        f" {size(sum(row['size'] for row in rows))} promised.",
        f"{len(measured)} are in use now and could be measured: {size(sum(row['used'] for row in measured))} used,"
        f" {sum(1 for row in measured if row['used_share'] >= NEARLY_FULL)} at {NEARLY_FULL:.0%} or more.",
        f"Longest without a good snapshot: {oldest['student']}, {span(oldest['unprotected_seconds'])}.",
    ]
    if without:
        lines.append(f"{without} never had a good snapshot.")
    return lines


def table(rows: Iterable[Json]) -> list[str]:
    """Return a line of headings and one a disk, in columns."""
    cells = [HEAD, *(_cells(row) for row in in_order(rows))]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in cells]


def page(rows: Sequence[Json], title: str) -> str:
    """Return a page with the figures, and a line and a bar a disk; it needs nothing from elsewhere."""
    lines = "\n".join(_line(row) for row in in_order(rows))
    sentences = "".join(f"<p>{escape(text)}</p>" for text in summary(rows))
    head = "".join(f"<th>{escape(text)}</th>" for text in ("", *HEAD))
    return (
        f'<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n<title>{escape(title)}</title>\n'
        f"<style>{_STYLE}</style>\n<h1>{escape(title)}</h1>\n{sentences}\n"
        f"<table>\n<tr>{head}</tr>\n{lines}\n</table>\n</html>\n"
    )


def _line(row: Json) -> str:
    share = row["used_share"] or 0
    kind = "full" if share >= FULL else "nearly" if share >= NEARLY_FULL else "fine"
    drawn = f'<div class="bar"><div class="{kind}" style="width: {min(share, 1):.1%}"></div></div>'
    student, course, *numbers = _cells(row)
    cells = "".join(f'<td class="number">{escape(text)}</td>' for text in numbers)
    return f"<tr><td>{drawn}</td><td>{escape(student)}</td><td>{escape(course)}</td>{cells}</tr>"


def _cells(row: Json) -> tuple[str, ...]:
    known = row["used"] is not None
    return (
        row["student"],
        row["course"] or "-",
        size(row["used"]) if known else "-",
        size(row["size"]),
        f"{row['used_share']:.0%}" if known else "-",
        span(row["age_seconds"]),
        str(row["snapshots"]),
        span(row["unprotected_seconds"]),
    )


def size(count: float) -> str:
    """Return bytes in the unit that leaves at most four digits, such as 1.5 GiB."""
    power = 0
    while count >= 1024 and power < len(_UNITS) - 1:
        count /= 1024
        power += 1
    return f"{count:.0f} {_UNITS[power]}" if count >= 10 or power == 0 else f"{count:.1f} {_UNITS[power]}"


def span(seconds: float) -> str:
    """Return a length of time in one unit, such as 3 h."""
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"
