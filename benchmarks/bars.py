"""A plot as SVG, in plain Python: a panel a comparison, two bars each, with a line from the least to the most."""

from __future__ import annotations

from html import escape

from ansible_collections.campus.jupyterhub.benchmarks.comparison import Names, Row, Spread
from ansible_collections.campus.jupyterhub.benchmarks.page import number

COLOURS = ("#2a6f97", "#c9a227")
WIDTH, PANEL, BAR, LEFT, RIGHT = 860, 76, 20, 170, 190
TOP = 64
ROUNDS = "Bars: the middle of the rounds; lines: from the least to the most."


def plot(rows: list[Row], title: str, names: Names, note: str) -> str:
    """The whole picture; ``note`` says below the title what the bars are."""
    height = TOP + PANEL * len(rows)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif"',
        'font-size="12">',
        f'<rect width="{WIDTH}" height="{height}" fill="white"/>',
        f'<text x="16" y="24" font-size="16" font-weight="bold">{escape(title)}</text>',
        f'<text x="16" y="44" fill="#555">{escape(note)}</text>',
    ]
    for index, row in enumerate(rows):
        parts += _panel(row, names, TOP + PANEL * index)
    return "\n".join([*parts, "</svg>", ""])


def _panel(row: Row, names: Names, y: int) -> list[str]:
    bars = [(names.ours, row.ours), *([(names.peer, row.peer)] if row.peer else [])]
    most = max(float(each["max"]) for _name, each in bars) or 1.0
    scale = (WIDTH - LEFT - RIGHT) / most
    better = f"{row.ratio:.1f} times better" if row.ratio >= 1 else f"{1 / row.ratio:.1f} times worse"
    words = escape(f"{row.what}: {row.unit}, {'more' if row.more_is_better else 'less'} is better; {better}")
    parts = [f'<text x="16" y="{y + 14}" font-weight="bold">{words}</text>']
    for line, (colour, (name, each)) in enumerate(zip(COLOURS, bars, strict=False)):
        parts += _bar(name, colour, each, y + 22 + line * (BAR + 2), scale)
    return parts


def _bar(name: str, colour: str, each: Spread, y: int, scale: float) -> list[str]:
    end, middle = LEFT + each["median"] * scale, y + BAR / 2
    least, most = LEFT + each["min"] * scale, LEFT + each["max"] * scale
    return [
        f'<text x="{LEFT - 8}" y="{middle + 4:.0f}" text-anchor="end" fill="#333">{escape(name)}</text>',
        f'<rect x="{LEFT}" y="{y}" width="{max(end - LEFT, 1):.1f}" height="{BAR}" fill="{colour}"/>',
        f'<path d="M{least:.1f} {middle}H{most:.1f}" stroke="black" stroke-width="1.5"/>',
        f'<text x="{max(end, most) + 6:.1f}" y="{middle + 4:.0f}">{number(each["median"])}</text>',
    ]
