"""Who asks for how much: what HAProxy counts for each student's server.

For staff, who look at one student or at the busiest. Prometheus is not told: each student would be a series of its own.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from campus_proxy.haproxy import batches, command
from campus_proxy.routes import Route

TABLE = "per_student"
"""HAProxy's table, of which a key is a value of the route map."""

_ENTRY = re.compile(r"key=(\S+) (.*)")
_COUNT = re.compile(r"(\w+?)(?:\(\d+\))?=(\d+)")


@dataclass(frozen=True, slots=True)
class Use:
    """What came for one server since its route is there, or since HAProxy began."""

    open: int = 0
    """Requests and websockets that are open now."""
    requests: int = 0
    refused: int = 0
    """Answers 400 to 499."""
    failed: int = 0
    """Answers 500 and above, the proxy's own among them."""
    bytes_in: int = 0
    bytes_out: int = 0


COUNTERS = {
    "conn_cur": "open",
    "http_req_cnt": "requests",
    "http_err_cnt": "refused",
    "http_fail_cnt": "failed",
    "bytes_in_cnt": "bytes_in",
    "bytes_out_cnt": "bytes_out",
}
"""HAProxy's words for the fields of Use."""


def parse(text: str) -> dict[str, Use]:
    """The uses by value of the route map, from what `show table` says."""
    found: dict[str, Use] = {}
    for key, rest in _ENTRY.findall(text):
        counts = {COUNTERS[word]: int(count) for word, count in _COUNT.findall(rest) if word in COUNTERS}
        found[key] = Use(**counts)
    return found


async def read(socket: str) -> dict[str, Use]:
    """Ask the HAProxy that listens on `socket`. Raises HaproxyError."""
    return parse(await command(socket, f"show table {TABLE}"))


async def forget(socket: str, values: Iterable[str]) -> None:
    """Begin anew for addresses that the next student may get. Raises HaproxyError.

    HAProxy keeps an entry that is in use, which it says; then the counts go on.
    """
    for batch in batches((f"clear table {TABLE} key {value}" for value in values), ";"):
        await command(socket, batch)


def rows(routes: Iterable[tuple[Route, str]], uses: Mapping[str, Use], by: str) -> list[dict[str, Any]]:
    """The uses of students' servers, those with the most of the field `by` first.

    `routes` has each route with its value in the map.
    """
    found = [
        {"student": route.data["user"], "server": route.data.get("server_name", ""), "routespec": route.routespec}
        | asdict(uses.get(value, Use()))
        for route, value in routes
        if "user" in route.data
    ]
    return sorted(found, key=lambda row: (-row[by], row["routespec"]))
