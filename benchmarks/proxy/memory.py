"""Memory with many routes and many open websockets."""

from __future__ import annotations

import subprocess
import time

from ansible_collections.campus.jupyterhub.benchmarks.proxy.backend import Backends
from ansible_collections.campus.jupyterhub.benchmarks.proxy.machine import ALL_CORES, Figures, module, rss_mib
from ansible_collections.campus.jupyterhub.benchmarks.proxy.peers import Peer, both, in_turn

SETTLE_SECONDS = 1.0
"""Both proxies give memory back a moment after it was used."""


def memory(backends: Backends, students: int, sockets: int, rounds: int) -> Figures:
    """MiB of a replica's processes together: with the routes, then with the sockets open as well, each used once."""
    figures: Figures = {"ours": [], "chp": []}
    for number in range(rounds):
        with both(backends, ALL_CORES) as peers:
            for peer in in_turn(peers, number):
                peer.route([backends.target("echo")] * students)
                figures[peer.key].append(_measure(peer, students, sockets))
    return figures


def _measure(peer: Peer, students: int, sockets: int) -> Figures:
    routed = sum(rss_mib(pid) for pid in peer.pids)
    words = [str(peer.ports[0]), "0", str(students - 1), str(sockets), "0"]
    with subprocess.Popen(module("sockets", *words), stdin=subprocess.PIPE, stdout=subprocess.PIPE) as clients:
        assert clients.stdout
        if clients.stdout.readline() != b"open\n":
            raise RuntimeError(f"{sockets} websockets cannot be opened through {peer.key}")
        time.sleep(SETTLE_SECONDS)
        each = [rss_mib(pid) for pid in peer.pids]
        clients.communicate(b"")
    return {"with_routes_mib": routed, "with_sockets_mib": sum(each), "of_that_data_plane_mib": each[0]}
