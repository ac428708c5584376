"""What was aimed at, and what came out. Pure: figures in, rows out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ansible_collections.campus.jupyterhub.benchmarks.comparison import Aim, Row
from ansible_collections.campus.jupyterhub.benchmarks.proxy.machine import Figures, spread

Rounds = dict[str, list[Figures]]
"""By proxy, ours or chp: the figures of each round."""


def row(what: str, unit: str, rounds: Rounds, key: str, *, more_is_better: bool = False, scale: float = 1.0) -> Row:
    """A row of one figure of all rounds."""
    ours, chp = (spread(each[key] * scale for each in rounds[peer]) for peer in ("ours", "chp"))
    return Row(what, unit, ours, chp, more_is_better)


def load_rows(figures: Figures) -> Iterator[Row]:
    """Requests and messages, for each way in which the proxies were started."""
    few, many = figures["options"]["few"], figures["options"]["many"]
    names = {
        f"one_thread_{few}": f"{few} routes",
        f"one_thread_{many}": f"{many} routes",
        "own_servers": "1000 routes, a server each",
        "several": f"{few} routes, 2 replicas, cores shared with the clients",
    }
    for name, where in names.items():
        for kind, what in (("small", "small answers"), ("large", "answers of 1 MiB"), ("websocket", "websockets")):
            rounds = figures.get(name, {}).get(kind)
            if not rounds:
                continue
            unit = "messages/s" if kind == "websocket" else "requests/s"
            yield row(f"{what}, {where}", unit, rounds, "rate", more_is_better=True)
            yield row(f"{what}, {where}", f"{unit} a core used", rounds, "rate_per_core", more_is_better=True)
            yield row(f"{what}, {where}", "p99, ms", rounds, "p99_ms")


def route_rows(figures: Figures) -> Iterator[Row]:
    """Routes and memory."""
    few, many = figures["options"]["few"], figures["options"]["many"]
    if adding := figures.get("adding"):
        yield row(f"{few} routes added at once", "s", adding["add"], "seconds")
        yield row(f"{few} routes added at once, hub's thread", "s", adding["add"], "thread_seconds")
        yield row("a route added, one after the other", "median, ms", adding["add-one-by-one"], "median", scale=1000)
    if checking := figures.get("checking"):
        yield row(f"a route served, {many} routes", "p50, ms", checking["propagation"], "p50_ms")
        yield row(f"a route served, {many} routes", "p99, ms", checking["propagation"], "p99_ms")
        yield row(
            f"check_routes, {many} routes", "ms of the hub's thread", checking["check"], "thread_seconds", scale=1000
        )
        yield row(f"check_routes, {many} routes", "ms at a stretch", checking["check"], "longest_hold", scale=1000)
    if memory := figures.get("memory"):
        yield row(f"memory, {many} routes", "MiB a replica", memory, "with_routes_mib")
        yield row(f"memory, {many} routes and {many} websockets", "MiB a replica", memory, "with_sockets_mib")


def aims(figures: Figures) -> list[Aim]:
    """What the proxy is meant to reach, as far as it was measured."""
    few, many = figures["options"]["few"], figures["options"]["many"]
    wanted: list[tuple[str, str, float, bool]] = [
        (f"small answers, {few} routes", "requests/s", 5, True),
        (f"small answers, {many} routes", "requests/s", 5, True),
        (f"small answers, {few} routes", "requests/s a core used", 5, True),
        (f"small answers, {many} routes", "requests/s a core used", 5, True),
        (f"small answers, {few} routes", "p99, ms", 3, True),
        (f"small answers, {many} routes", "p99, ms", 3, True),
        (f"websockets, {few} routes", "messages/s", 3, True),
        (f"websockets, {many} routes", "messages/s", 3, True),
        (f"websockets, {few} routes", "messages/s a core used", 3, True),
        (f"websockets, {many} routes", "messages/s a core used", 3, True),
        (f"{few} routes added at once", "s", 3, False),
        (f"a route served, {many} routes", "p99, ms", 100, False),
        (f"check_routes, {many} routes", "ms of the hub's thread", 200, False),
        (f"memory, {many} routes and {many} websockets", "MiB a replica", 1, True),
    ]
    by_name = {(each.what, each.unit): each for each in [*load_rows(figures), *route_rows(figures)]}
    return [
        Aim(by_name[what, unit], bound, against) for what, unit, bound, against in wanted if (what, unit) in by_name
    ]


def failures(figures: Any) -> int:
    """Requests that failed in any round, of either proxy."""
    if isinstance(figures, dict):
        return int(figures.get("failed", 0)) + sum(failures(value) for value in figures.values())
    return sum(failures(value) for value in figures) if isinstance(figures, list) else 0
