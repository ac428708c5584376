"""Print which aims were met, and put the table and the plot of a whole run into docs/. Usage: report FIGURES."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

from ansible_collections.campus.jupyterhub.benchmarks.proxy.aims import Aim, Row, aims, failures, load_rows, route_rows
from ansible_collections.campus.jupyterhub.benchmarks.proxy.machine import Figures
from ansible_collections.campus.jupyterhub.benchmarks.proxy.plot import number, plot

DOCS = Path(__file__).resolve().parents[2] / "docs"
PLACE = re.compile(r"(<!-- figures -->\n).*(<!-- end of figures -->)", re.DOTALL)


def cell(spread: Figures | None) -> str:
    """The middle, and in brackets the least and the most."""
    if not spread:
        return ""
    return f"{number(spread['median'])} ({number(spread['min'])} to {number(spread['max'])})"


def aim_line(aim: Aim) -> str:
    """One line of the table of aims."""
    row = aim.row
    sense = "times as many" if row.more_is_better else "of the peer's" if aim.bound != 1 else "the peer's"
    if not aim.against_peer:
        wanted = f"≤ {aim.bound:g}"
    elif row.more_is_better:
        wanted = f"≥ {aim.bound:g} {sense}"
    else:
        wanted = f"≤ 1/{aim.bound:g} {sense}" if aim.bound != 1 else f"below {sense}"
    verdict = "met" if aim.met else "**missed**"
    factor = f"{aim.factor:.2f}"
    ours, chp = cell(row.ours), cell(row.chp)
    return f"| {row.what}: {row.unit} | {wanted} | {ours} | {chp} | {row.ratio:.1f} | {verdict} | {factor} |"


def table(figures: Figures) -> str:
    """All tables, as Markdown."""
    machine, options = figures["machine"], figures["options"]
    versions = (
        f"HAProxy {machine['haproxy']}, configurable-http-proxy {machine['configurable_http_proxy']} "
        f"on Node.js {machine['node'].lstrip('v')}, Python {machine['python']}"
    )
    head = (
        f"{machine['processors']} cores of {machine['processor']}; {versions}; {options['rounds']} rounds, those with "
        f"load of {options['seconds']:g} s. Each figure is the middle of the rounds, with the least and the most in "
        f"brackets. Failed requests, both proxies, all rounds: {failures(figures)}."
    )
    lines = [
        head,
        "",
        "| Aim | Wanted | Ours | configurable-http-proxy | Times better | Verdict | Result ÷ aim |",
        "| --- | --- | --- | --- | --- | --- | --- |",
        *(aim_line(aim) for aim in aims(figures)),
        "",
        "All that was measured:",
        "",
        "| What | Unit | Ours | configurable-http-proxy | Times better |",
        "| --- | --- | --- | --- | --- |",
    ]
    for row in [*load_rows(figures), *route_rows(figures)]:
        lines.append(f"| {row.what} | {row.unit} | {cell(row.ours)} | {cell(row.chp)} | {row.ratio:.2f} |")
    return "\n".join(lines) + "\n"


def shown(figures: Figures) -> list[Row]:
    """The rows of the plot: those with an aim, each once."""
    rows: list[Row] = []
    for aim in aims(figures):
        if aim.row not in rows:
            rows.append(aim.row)
    return rows


def main() -> None:
    """Print the aims and, unless parts were left out, write into docs/."""
    figures = json.loads(Path(sys.argv[1]).read_text())
    for aim in aims(figures):
        verdict = "met" if aim.met else "MISSED"
        peer = f", peer {cell(aim.row.chp)}" if aim.row.chp else ""
        print(f"{verdict:6} by {aim.factor:5.2f}  {aim.row.what}: {cell(aim.row.ours)} {aim.row.unit}{peer}")
    if figures["options"]["only"]:
        return
    (DOCS / "images" / "proxy-performance.svg").write_text(plot(shown(figures), "The proxy and its peer, in one run"))
    page = DOCS / "performance.md"
    page.write_text(PLACE.sub(lambda found: found[1] + table(figures) + found[2], page.read_text()))


if __name__ == "__main__":
    main()
