"""Put the tables and the plot of a whole run into docs/, or print those of another. Usage: report FIGURES."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from functools import partial
from operator import itemgetter
from pathlib import Path
from statistics import median

from ansible_collections.campus.jupyterhub.benchmarks.page import cell, draw, head, number, put, row
from ansible_collections.campus.jupyterhub.benchmarks.proxy.machine import spread
from ansible_collections.campus.jupyterhub.benchmarks.scale.plot import plot
from ansible_collections.campus.jupyterhub.benchmarks.scale.summary import Figures, elsewhere, groups

HERE = Path(__file__).resolve().parent
KINDS = ("hub", "routes agent", "HAProxy", "API server", "etcd")
AIM_SERVERS, AIM_SECONDS = 1000, 15.0
"""A hub with so many servers is to answer again after so many seconds."""


def caption(text: str) -> tuple[str, str]:
    """What stands above a table."""
    return text, ""


def middle(group: list[Figures], value: Callable[[Figures], float | None]) -> str:
    """The middle of a figure of some waves, or a dash where nothing was measured."""
    found = [each for each in map(value, group) if each is not None]
    return number(median(found)) if found else "-"


def reach(group: list[Figures]) -> str:
    """How many servers ran at the end of each wave of a group."""
    first, last = (f"{wave['running']:,}" for wave in (group[0], group[-1]))
    return first if len(group) == 1 else f"{first} to {last}"


def starts(waves: list[Figures]) -> Iterator[str]:
    """What students notice of a wave."""
    yield from caption(
        "From the click until the server is ready; the middle of the waves, and how many students were turned away:"
    )
    yield head(
        "Servers running", "Starts/s", "p50, s", "p99, s", "Told to wait", "Failed", "Route acknowledged by all, mean s"
    )
    for group in groups(waves):
        figures = (middle(group, itemgetter(key)) for key in ("starts_a_second", "p50", "p99"))
        counts = (sum(wave[key] for wave in group) for key in ("told_to_wait", "failed"))
        yield row(reach(group), *figures, *counts, middle(group, itemgetter("route_acknowledged_mean")))


def costs(waves: list[Figures]) -> Iterator[str]:
    """What a start costs."""
    yield from caption("Processor time of a start, all replicas together; the middle of the waves:")
    yield head("Servers running", *(f"{kind}, ms" for kind in KINDS), "API requests", "Rest of the machine, cores")
    for group in groups(waves):
        yield row(
            reach(group),
            *(middle(group, partial(milliseconds, kind)) for kind in KINDS),
            middle(group, lambda wave: sum(wave["api_requests"].values()) / wave["students"]),
            middle(group, lambda wave: elsewhere(wave["cpu"]) / wave["wall"]),
        )


def milliseconds(kind: str, wave: Figures) -> float:
    """Processor time of a start."""
    return float(wave["cpu"][kind] / wave["students"] * 1000)


def memory(waves: list[Figures]) -> Iterator[str]:
    """Memory of the largest container of each kind."""
    yield from caption("Memory, of the larger replica, at the end of some waves:")
    yield head("Servers running", *(f"{kind}, MiB" for kind in KINDS), "Routes of each replica")
    for *_unused, wave in groups(waves):
        routes = ", ".join(f"{count:,}" for count in wave["routes"])
        yield row(f"{wave['running']:,}", *(number(wave["mib"][kind]) for kind in KINDS), routes)


def idle(parts: list[Figures]) -> Iterator[str]:
    """What running servers cost when nobody starts or stops one."""
    yield from caption("Processor time while nobody starts or stops a server:")
    yield head("Servers running", *(f"{kind}, % of a core" for kind in KINDS), "API requests/s")
    for part in parts:
        used = (number(part["cpu"][kind] / part["seconds"] * 100) for kind in KINDS)
        yield row(f"{part['running']:,}", *used, number(sum(part["api_requests"].values()) / part["seconds"]))


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
        yield row(f"{running:,}", len(these), cell(away), cell(knows), f"{requests:,}", failed, aim)


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
    draw("scale", plot(figures))
    put("scale", tables(figures))


if __name__ == "__main__":
    main()
