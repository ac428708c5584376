"""Requests and messages a second, and how long they take."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable

from ansible_collections.campus.jupyterhub.benchmarks.proxy import wrk
from ansible_collections.campus.jupyterhub.benchmarks.proxy.backend import OWN, Backends, Target
from ansible_collections.campus.jupyterhub.benchmarks.proxy.machine import (
    ALL_CORES,
    LOAD_CORES,
    PROXY_CORE,
    Figures,
    module,
    usage,
)
from ansible_collections.campus.jupyterhub.benchmarks.proxy.peers import Peer, both, in_turn

CONNECTIONS = 100
KIND = 100
"""How many students have a large page, and how many a websocket; all others have a small page."""

Measure = Callable[[Peer, float], Figures]


def layout(backends: Backends, students: int) -> tuple[list[Target], dict[str, range]]:
    """The server of each student, and which students have which kind of it."""
    small = students - 2 * KIND
    targets = [backends.target("small")] * small + [backends.target("large")] * KIND + [backends.target("echo")] * KIND
    return targets, {
        "small": range(small),
        "large": range(small, small + KIND),
        "websocket": range(small + KIND, students),
    }


def requests(peer: Peer, students: range, seconds: float) -> Figures:
    """Plain requests as fast as they are answered, on kept-alive connections."""
    with usage(peer.data_plane) as used:
        seen = wrk.load(peer.ports, students, seconds, CONNECTIONS)
    return {
        "rate": seen.rate,
        "mib_per_second": seen.mib,
        "p50_ms": seen.p50,
        "p99_ms": seen.p99,
        "failed": seen.failed,
        "cores": used.cpu / used.wall,
        "rate_per_core": seen.rate * used.wall / max(used.cpu, 0.01),
    }


def messages(peer: Peer, students: range, seconds: float) -> Figures:
    """Messages through open websockets, each sent when the one before has come back."""
    ports = ",".join(map(str, peer.ports))
    words = [ports, str(students[0]), str(students[-1]), str(CONNECTIONS), str(seconds)]
    cores = ",".join(map(str, sorted(LOAD_CORES)))
    command = ["taskset", "-c", cores, *module("sockets", *words)]
    with usage(peer.data_plane) as used:
        output = subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout
    seen = json.loads(output)
    return {
        "rate": seen["rate"],
        "p99_ms": seen["p99"],
        "cores": used.cpu / seconds,
        "rate_per_core": seen["rate"] * seconds / max(used.cpu, 0.01),
    }


def one_thread(backends: Backends, students: int, rounds: int, seconds: float) -> Figures:
    """One replica against one process, the one that is measured alone on a core."""
    with both(backends, PROXY_CORE) as peers:
        return _all_kinds(backends, peers, students, rounds, seconds)


def several(backends: Backends, students: int, rounds: int, seconds: float, replicas: int) -> Figures:
    """Several replicas against as many processes, which share all cores with the clients and the backends."""
    with both(backends, ALL_CORES, replicas) as peers:
        return _all_kinds(backends, peers, students, rounds, seconds)


def own_servers(backends: Backends, rounds: int, seconds: float) -> Figures:
    """As one_thread, but each student has a server of their own, at an address of its own."""
    with both(backends, PROXY_CORE) as peers:
        for peer in peers:
            peer.route(backends.own_targets())
        kinds: dict[str, Measure] = {"small": lambda peer, each: requests(peer, range(OWN), each)}
        return _alternate(peers, kinds, rounds, seconds)


def _all_kinds(backends: Backends, peers: list[Peer], students: int, rounds: int, seconds: float) -> Figures:
    targets, kinds = layout(backends, students)
    for peer in peers:
        peer.route(targets)
    measures: dict[str, Measure] = {
        "small": lambda peer, each: requests(peer, kinds["small"], each),
        "large": lambda peer, each: requests(peer, kinds["large"], each),
        "websocket": lambda peer, each: messages(peer, kinds["websocket"], each),
    }
    return _alternate(peers, measures, rounds, seconds)


def _alternate(peers: list[Peer], measures: dict[str, Measure], rounds: int, seconds: float) -> Figures:
    figures: Figures = {kind: {peer.key: [] for peer in peers} for kind in measures}
    for kind, measure in measures.items():
        # A runtime that compiles while it works is slow at first.
        for peer in peers:
            measure(peer, 1)
        for number in range(rounds):
            for peer in in_turn(peers, number):
                figures[kind][peer.key].append(measure(peer, seconds))
    return figures
