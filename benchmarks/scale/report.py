"""Put the tables and the plot of a whole run into docs/, or print those of another. Usage: report FIGURES."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from ansible_collections.campus.jupyterhub.benchmarks.proxy.machine import spread
from ansible_collections.campus.jupyterhub.benchmarks.proxy.plot import number
from ansible_collections.campus.jupyterhub.benchmarks.scale.plot import plot
from ansible_collections.campus.jupyterhub.benchmarks.scale.summary import Figures, elsewhere

HERE = Path(__file__).resolve().parent
DOCS = HERE.parents[1] / "docs"
PLACE = re.compile(r"(<!-- scale -->\n).*(<!-- end of scale -->)", re.DOTALL)
ROWS = 6
AIM_SERVERS, AIM_SECONDS = 1000, 15.0
"""A hub with so many servers is to answer again after so many seconds."""


def row(*cells: object) -> str:
    """One line of a table."""
    return f"| {' | '.join(map(str, cells))} |"


def head(*cells: str) -> str:
    """The first two lines of a table; all cells but the first hold numbers."""
    return f"{row(*cells)}\n{row('---', *['---:'] * (len(cells) - 1))}"


def caption(text: str) -> tuple[str, str]:
    """What stands above a table."""
    return text, ""


def shown(waves: list[Figures]) -> list[Figures]:
    """At most ROWS waves, evenly spread, the last among them."""
    step = -(-len(waves) // ROWS) or 1
    return waves[::-1][::step][::-1]


def seconds(value: float | None) -> str:
    """A figure, or a dash where nothing was measured."""
    return "-" if value is None else number(value)


def starts(waves: list[Figures]) -> Iterator[str]:
    """What students notice of a wave."""
    yield from caption("From the click until the server is ready; some waves of all:")
    yield head(
        "Servers running", "Starts/s", "p50, s", "p99, s", "Told to wait", "Failed", "Route acknowledged by all, mean s"
    )
    for wave in shown(waves):
        acknowledged = seconds(wave["route_acknowledged_mean"])
        counts = (wave["told_to_wait"], wave["failed"])
        yield row(
            wave["running"],
            number(wave["starts_a_second"]),
            seconds(wave["p50"]),
            seconds(wave["p99"]),
            *counts,
            acknowledged,
        )


def costs(waves: list[Figures]) -> Iterator[str]:
    """What a start costs."""
    yield from caption("Processor time of a start, all replicas together:")
    kinds = ("hub", "routes agent", "HAProxy", "API server", "etcd")
    yield head("Servers running", *(f"{kind}, ms" for kind in kinds), "API requests", "Rest of the machine, cores")
    for wave in shown(waves):
        used = (number(wave["cpu"][kind] / wave["students"] * 1000) for kind in kinds)
        requests = number(sum(wave["api_requests"].values()) / wave["students"])
        yield row(wave["running"], *used, requests, number(elsewhere(wave["cpu"]) / wave["wall"]))


def memory(waves: list[Figures]) -> Iterator[str]:
    """Memory of the largest container of each kind."""
    yield from caption("Memory, of the larger replica:")
    kinds = ("hub", "routes agent", "HAProxy", "API server", "etcd")
    yield head("Servers running", *(f"{kind}, MiB" for kind in kinds), "Routes of each replica")
    for wave in shown(waves):
        yield row(wave["running"], *(number(wave["mib"][kind]) for kind in kinds), ", ".join(map(str, wave["routes"])))


def idle(parts: list[Figures]) -> Iterator[str]:
    """What running servers cost when nobody starts or stops one."""
    yield from caption("Processor time while nobody starts or stops a server:")
    kinds = ("hub", "routes agent", "HAProxy", "API server", "etcd")
    yield head("Servers running", *(f"{kind}, % of a core" for kind in kinds), "API requests/s")
    for part in parts:
        used = (number(part["cpu"][kind] / part["seconds"] * 100) for kind in kinds)
        yield row(part["running"], *used, number(sum(part["api_requests"].values()) / part["seconds"]))


def restarts(parts: list[Figures]) -> Iterator[str]:
    """How long the hub was away, and what working students noticed."""
    yield from caption("The hub's pod deleted while students work:")
    yield head(
        "Servers running",
        "Restarts",
        "Hub answers again, s",
        "Knows every server, s",
        "Requests meanwhile",
        "Failed",
        "Aim",
    )
    for running in sorted({part["running"] for part in parts}):
        these = [part for part in parts if part["running"] == running]
        away, knows = (spread(part[key] for part in these) for key in ("answers_after", "knows_all_after"))
        requests, failed = (sum(part[key] for part in these) for key in ("requests", "failed_requests"))
        met = "met" if away["median"] <= AIM_SECONDS else "**missed**"
        aim = f"≤ {AIM_SECONDS:g} s: {met}" if running == AIM_SERVERS else "-"
        yield row(running, len(these), cell(away), cell(knows), requests, failed, aim)


def cell(figures: Figures) -> str:
    """The middle, and in brackets the least and the most."""
    return f"{number(figures['median'])} ({number(figures['min'])} to {number(figures['max'])})"


def stop(part: Figures) -> str:
    """One sentence on the end of all."""
    return (
        f"All {part['servers']} stopped: every request answered after {number(part['all_asked_after'])} s, "
        f"the last pod gone after {number(part['pods_gone_after'])} s, "
        f"the last route after {number(part['routes_gone_after'])} s; failed: {part['failed']}. "
        f"Containers of hub and proxy that ended by themselves in the whole run: {part['containers_begun_anew']}."
    )


def tables(figures: Figures) -> str:
    """All of it, as Markdown."""
    machine, versions = figures["machine"], figures["versions"]
    parts = [
        f"**Simulated students.** {machine['processors']} cores of {machine['processor']}, "
        f"which carry Kubernetes and the load too; JupyterHub {versions['jupyterhub']}, "
        f"Kubernetes {versions['kubernetes']}; waves of {figures['plan']['wave']} who click at once.",
        *("\n".join(make(figures["waves"])) for make in (starts, costs, memory)),
        "\n".join(idle(figures["idle"])),
        "\n".join(restarts(figures["restarts"])),
    ]
    if "stop" in figures:
        parts.append(stop(figures["stop"]))
    return "\n\n".join(parts) + "\n"


def main() -> None:
    """Write into docs/ what is in the benchmark's own file, print what is in another."""
    path = Path(sys.argv[1]).resolve()
    figures = json.loads(path.read_text())
    if path != HERE / "figures.json":
        print(tables(figures))
        return
    (DOCS / "images" / "scale.svg").write_text(plot(figures))
    page = DOCS / "performance.md"
    page.write_text(PLACE.sub(lambda found: found[1] + tables(figures) + found[2], page.read_text()))


if __name__ == "__main__":
    main()
