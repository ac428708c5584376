"""Print which aims were met, and put the table and the plot of a whole run into docs/. Usage: report FIGURES."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from ansible_collections.campus.jupyterhub.benchmarks.bars import ROUNDS, plot
from ansible_collections.campus.jupyterhub.benchmarks.comparison import Names, Row, aims_table, rows_table
from ansible_collections.campus.jupyterhub.benchmarks.page import cell, draw, put
from ansible_collections.campus.jupyterhub.benchmarks.proxy.aims import aims, failures, load_rows, route_rows
from ansible_collections.campus.jupyterhub.benchmarks.proxy.machine import Figures

NAMES = Names("Ours", "configurable-http-proxy")


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
        *aims_table(aims(figures), NAMES),
        "",
        "All that was measured:",
        "",
        *rows_table([*load_rows(figures), *route_rows(figures)], NAMES),
    ]
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
        peer = f", peer {cell(aim.row.peer)}" if aim.row.peer else ""
        print(f"{verdict:6} by {aim.factor:5.2f}  {aim.row.what}: {cell(aim.row.ours)} {aim.row.unit}{peer}")
    if figures["options"]["only"]:
        return
    names = Names("campus.jupyterhub", NAMES.peer)
    draw("proxy-performance", plot(shown(figures), "The proxy and its peer, in one run", names, ROUNDS))
    put("figures", table(figures))


if __name__ == "__main__":
    main()
