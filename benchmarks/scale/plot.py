"""A plot as SVG, in plain Python: three panels over the number of running servers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from html import escape
from statistics import median

from ansible_collections.campus.jupyterhub.benchmarks.page import number
from ansible_collections.campus.jupyterhub.benchmarks.scale.summary import Figures, groups

WIDTH, PANEL, LEFT, RIGHT, TOP = 860, 190, 70, 190, 60
HEIGHT = 130
COLOURS = ("#2a6f97", "#c9a227", "#7b2d26", "#4f772d")

Points = list[tuple[float, float]]


def series(waves: list[Figures], value: Callable[[Figures], float | None]) -> Points:
    """One point a wave, where there is a value."""
    found = ((float(wave["running"]), value(wave)) for wave in waves)
    return [(running, float(each)) for running, each in found if each is not None]


def panels(figures: Figures) -> dict[str, dict[str, Points]]:
    """What is drawn: title of the panel, name of the line, points."""
    waves = figures["waves"]
    kinds = ("hub", "routes agent", "HAProxy", "API server")
    return {
        "from click to ready, seconds": {
            "p50": series(waves, lambda wave: wave["p50"]),
            "p99": series(waves, lambda wave: wave["p99"]),
        },
        "processor time of a start, ms; the middle of some waves": {
            kind: [(float(group[-1]["running"]), middle(group, kind)) for group in groups(waves)] for kind in kinds
        },
        "memory, MiB": {kind: series(waves, lambda wave, kind=kind: wave["mib"][kind]) for kind in kinds},  # type: ignore[misc]
    }


def middle(group: list[Figures], kind: str) -> float:
    """Processor time of a start in the middle one of some waves, in milliseconds."""
    return float(median(wave["cpu"][kind] / wave["students"] * 1000 for wave in group))


def plot(figures: Figures) -> str:
    """The whole picture."""
    drawn = panels(figures)
    height = TOP + PANEL * len(drawn) + 20
    title = f"Waves of {figures['plan']['wave']} simulated students"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif"',
        'font-size="12">',
        f'<rect width="{WIDTH}" height="{height}" fill="white"/>',
        f'<text x="16" y="24" font-size="16" font-weight="bold">{escape(title)}</text>',
        '<text x="16" y="44" fill="#555">Across: servers that run when the wave is over.</text>',
    ]
    for index, (name, lines) in enumerate(drawn.items()):
        parts += _panel(name, lines, TOP + PANEL * index)
    return "\n".join([*parts, "</svg>", ""])


def _panel(name: str, lines: Mapping[str, Points], y: int) -> list[str]:
    points = [point for line in lines.values() for point in line] or [(1.0, 1.0)]
    widest, highest = max(x for x, _unused in points), max(value for _unused, value in points) or 1.0
    across, up = (WIDTH - LEFT - RIGHT) / widest, HEIGHT / highest
    floor = y + 24 + HEIGHT
    parts = [
        f'<text x="16" y="{y + 14}" font-weight="bold">{escape(name)}</text>',
        f'<path d="M{LEFT} {floor - HEIGHT}V{floor}H{WIDTH - RIGHT}" fill="none" stroke="#999"/>',
        f'<text x="{LEFT - 6}" y="{floor - HEIGHT + 10}" text-anchor="end">{number(highest)}</text>',
        f'<text x="{LEFT - 6}" y="{floor}" text-anchor="end">0</text>',
        f'<text x="{WIDTH - RIGHT}" y="{floor + 16}" text-anchor="end">{widest:,.0f}</text>',
    ]
    for index, ((label, line), colour) in enumerate(zip(lines.items(), COLOURS, strict=False)):
        path = " ".join(f"{LEFT + x * across:.1f},{floor - value * up:.1f}" for x, value in line)
        last = f", {number(line[-1][1])} at the end" if line else ""
        parts += [
            f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>',
            f'<text x="{WIDTH - RIGHT + 12}" y="{floor - HEIGHT + 14 + index * 18}" fill="{colour}">'
            f"{escape(label + last)}</text>",
        ]
    return parts
