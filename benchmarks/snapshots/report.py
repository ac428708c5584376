"""Put the tables and the plot of a whole run into docs/, or print those of another. Usage: report FIGURES PLAN."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

from ansible_collections.campus.jupyterhub.benchmarks.bars import plot
from ansible_collections.campus.jupyterhub.benchmarks.comparison import Aim, Names, Row, aims_table, rows_table
from ansible_collections.campus.jupyterhub.benchmarks.page import cell, draw, head, number, put, row
from ansible_collections.campus.jupyterhub.benchmarks.proxy.machine import Figures, spread

HERE = Path(__file__).resolve().parent
NAMES = Names("Role's flags", "Usual flags")
OURS, USUAL = "role's flags", "usual flags"
"""How the figures name the two."""
RATE, SECONDS, SPACE = "disks a second", "seconds", "KiB a snapshot"


def rows(figures: Figures) -> Iterator[Row]:
    """What was measured, each once."""
    ours, usual = figures[OURS], figures[USUAL]
    yield _row("disks made", RATE, figures["make"], None)
    for what, step in (("snapshots taken", "snapshot"), ("snapshots removed", "prune")):
        yield _row(what, RATE, ours[step], usual[step])
        yield _row(what, SECONDS, ours[step], usual[step])
    yield _row("snapshots taken again", RATE, ours["again"], None)
    # The flags have no part in it.
    yield _row("space of snapshots", SPACE, ours["snapshot"], None)
    yield _row("disks made from snapshots", RATE, ours["restore"], None)


def _row(what: str, unit: str, ours: Figures, usual: Figures | None) -> Row:
    return Row(what, unit, spread([ours[unit]]), spread([usual[unit]]) if usual else None, unit == RATE)


def aims(figures: Figures, plan: Figures) -> list[Aim]:
    """What was aimed at: 300 snapshots in a minute, five times the usual flags, and a plan for 5000 in two seconds."""
    found = {(each.what, each.unit): each for each in rows(figures)}
    wanted = [Aim(found["snapshots taken", RATE], 5, True)]
    if figures["plan"]["disks"] >= 300:
        wanted.insert(0, Aim(found["snapshots taken", SECONDS], 60, False))
    most = plan["plan"][-1]
    about = f"plan for {most['students']} disks with {most['snapshots each']} snapshots each"
    return [*wanted, Aim(Row(about, "s", most, None, False), 2, False)]


def thinking(plan: Figures) -> list[str]:
    """How long a run thinks before it acts."""
    lines = (
        row(f"{each['students']:,}", each["snapshots each"], cell(each), number(each["microseconds a student"]))
        for each in plan["plan"]
    )
    return [head("Disks", "Snapshots each", "Plan, s", "Microseconds a disk"), *lines]


def tables(figures: Figures, plan: Figures) -> str:
    """All of it, as Markdown."""
    machine, options = figures["machine"], figures["plan"]
    lines = [
        f"**{options['disks']} disks with {options['content']} MiB each.** {machine['processors']} cores of "
        f"{machine['processor']}, which carry Kubernetes too; one run, {options['parallel']} snapshots under way at "
        f"once; {options['restored']} snapshots were made into disks again.",
        "",
        *aims_table(aims(figures, plan), NAMES),
        "",
        "All that was measured:",
        "",
        *rows_table(rows(figures), NAMES),
        "",
        "How long the plan takes, without a cluster; the middle of several, with the least and the most in brackets:",
        "",
        *thinking(plan),
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Write into docs/ what is in the benchmark's own file, print what is in another."""
    path = Path(sys.argv[1]).resolve()
    figures, plan = json.loads(path.read_text()), json.loads(Path(sys.argv[2]).read_text())
    if path != HERE / "figures.json":
        print(tables(figures, plan))
        return
    compared = [each for each in rows(figures) if each.peer and each.unit != SECONDS]
    title = f"Snapshots of {figures['plan']['disks']} disks, in one run"
    draw("snapshots-performance", plot(compared, title, NAMES, "Flags of the snapshot controller and its sidecars."))
    put("snapshots", tables(figures, plan))


if __name__ == "__main__":
    main()
