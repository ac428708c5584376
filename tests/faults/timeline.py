"""Draws a log as an SVG: the faults as bands, a dot for every request, a line for every websocket. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

from ansible_collections.campus.jupyterhub.tests.faults.records import Kind, Record, Window

LEFT, RIGHT, TOP, BOTTOM = 74.0, 14.0, 26.0, 26.0
LANE, GAP, SOCKET, NAME = 60.0, 40.0, 10.0, 16.0
FASTEST, SLOWEST = 0.001, 10.0
"""Seconds at the bottom and the top of a lane; what fails is drawn at the top."""

TICKS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800)
MOST_TICKS = 12


@dataclass(frozen=True)
class Chart:
    """The stretch of time that is drawn.

    Attributes:
        begin, end: times at the left and the right edge, in seconds since the epoch.
        width: of the whole picture, in pixels.
        origin: the time that the axis calls 0.
    """

    begin: float
    end: float
    width: float
    origin: float

    def x(self, at: float) -> float:
        """Where a time is drawn; one outside is drawn at the edge."""
        share = (min(max(at, self.begin), self.end) - self.begin) / (self.end - self.begin)
        return round(LEFT + share * (self.width - LEFT - RIGHT), 1)


def height_of(latency: float) -> float:
    """Where a latency is drawn in its lane, from 0 at the bottom to 1 at the top."""
    bounded = min(max(latency, FASTEST), SLOWEST)
    return math.log(bounded / FASTEST) / math.log(SLOWEST / FASTEST)


def step(seconds: float) -> int:
    """The distance of the axis' ticks for a stretch of time, in seconds."""
    return next((tick for tick in TICKS if seconds / tick <= MOST_TICKS), TICKS[-1])


def open_times(records: Iterable[Record], begin: float, end: float) -> list[tuple[float, float]]:
    """When a student's websocket was open between two times."""
    found: list[tuple[float, float]] = []
    opened: float | None = None
    for record in records:
        if record.kind is Kind.OPENED and opened is None:
            opened = record.at
        elif record.kind is Kind.DROPPED and opened is not None:
            found.append((opened, record.at))
            opened = None
    if opened is not None:
        found.append((opened, math.inf))
    return [(max(first, begin), min(last, end)) for first, last in found if first < end and last > begin]


def dots(chart: Chart, records: Iterable[Record], top: float) -> str:
    """Points of a path, one for each answered request."""
    points = [(chart.x(record.at), round(top + LANE * (1 - height_of(record.latency)), 1)) for record in records]
    return "".join(f"M{x:g} {y:g}h0" for x, y in points)


def strokes(chart: Chart, records: Iterable[Record], top: float) -> str:
    """Points of a path, a stroke over the whole lane for each failed request."""
    return "".join(f"M{chart.x(record.at):g} {top:g}v{LANE:g}" for record in records)


def lane(chart: Chart, name: str, records: Sequence[Record], top: float) -> list[str]:
    """One student: the name, the requests, the websocket."""
    requests = [record for record in records if record.is_request and chart.begin <= record.at <= chart.end]
    failed = [record for record in requests if record.reason]
    right = chart.width - RIGHT
    parts = [f'<text class="name" x="{LEFT - 10:g}" y="{top - 3:g}">{escape(name)}</text>']
    for latency, words in ((0.01, "10 ms"), (0.1, "0.1 s"), (1.0, "1 s")):
        y = round(top + LANE * (1 - height_of(latency)), 1)
        parts.append(f'<path class="grid" d="M{LEFT:g} {y:g}H{right:g}"/>')
        parts.append(f'<text class="unit" x="{LEFT - 10:g}" y="{y + 3:g}">{words}</text>')
    for kind, shape in ((Kind.NEW, "new"), (Kind.KEPT, "kept")):
        fine = [record for record in requests if record.kind is kind and not record.reason]
        parts.append(f'<path class="{shape}" d="{dots(chart, fine, top)}"/>')
    parts.append(f'<path class="failed" d="{strokes(chart, failed, top)}"/>')
    y = top + LANE + SOCKET
    known = [record.at for record in records]
    if known:
        first, last = chart.x(min(known)), chart.x(max(known))
        parts.append(f'<path class="away" d="M{first:g} {y:g}H{last:g}"/>')
        lines = "".join(
            f"M{chart.x(begin):g} {y:g}H{chart.x(min(end, max(known))):g}"
            for begin, end in open_times(records, chart.begin, chart.end)
        )
        parts.append(f'<path class="open" d="{lines}"/>')
    parts.append(f'<text class="unit" x="{LEFT - 10:g}" y="{y + 3:g}">websocket</text>')
    return parts


def bands(chart: Chart, windows: Sequence[Window], height: float, numbered: bool) -> list[str]:
    """The faults: a band until everything was set right, a paler one until the site was whole again."""
    parts = []
    for number, window in enumerate(windows, 1):
        if window.end <= chart.begin or window.begin >= chart.end:
            continue
        left, healed, right = chart.x(window.begin), chart.x(window.healed), chart.x(window.end)
        title = f"<title>{escape(window.name)}: {escape(window.done)}</title>"
        box = f'y="{TOP:g}" height="{height:g}"'
        parts.append(f'<rect class="fault" x="{left:g}" width="{healed - left:.1f}" {box}>{title}</rect>')
        parts.append(f'<rect class="after" x="{healed:g}" width="{right - healed:.1f}" {box}>{title}</rect>')
        if numbered:
            parts.append(f'<text class="number" x="{(left + right) / 2:.1f}" y="{TOP - 8:g}">{number}</text>')
    return parts


def axis(chart: Chart, y: float) -> list[str]:
    """Ticks in minutes and seconds since the run began."""
    distance = step(chart.end - chart.begin)
    first = math.ceil((chart.begin - chart.origin) / distance)
    last = math.floor((chart.end - chart.origin) / distance)
    parts = []
    for seconds in (number * distance for number in range(first, last + 1)):
        x = chart.x(chart.origin + seconds)
        words = f"{seconds // 60}:{seconds % 60:02d}"
        parts.append(f'<path class="grid" d="M{x:g} {TOP:g}V{y:g}"/>')
        parts.append(f'<text class="tick" x="{x:g}" y="{y + 16:g}">{words}</text>')
    return parts


def draw(chart: Chart, log: Sequence[Record], windows: Sequence[Window], numbered: bool = True) -> str:
    """The SVG of a stretch of a log; an empty stretch is drawn without a dot."""
    students = sorted({record.student for record in log})
    height = len(students) * (LANE + GAP)
    parts = [*bands(chart, windows, height, numbered), *axis(chart, TOP + height)]
    for place, student in enumerate(students):
        own = [record for record in log if record.student == student]
        parts += lane(chart, student, own, TOP + place * (LANE + GAP) + NAME)
    size = f"{chart.width:g} {TOP + height + BOTTOM:g}"
    return f'<svg viewBox="0 0 {size}" role="img" xmlns="http://www.w3.org/2000/svg">{"".join(parts)}</svg>'
