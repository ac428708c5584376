"""Adding, propagating and checking routes."""

from __future__ import annotations

import json
import statistics
import subprocess
import time
from http.client import HTTPConnection

from ansible_collections.campus.jupyterhub.benchmarks.proxy.apiserver import student
from ansible_collections.campus.jupyterhub.benchmarks.proxy.backend import SMALL, Backends
from ansible_collections.campus.jupyterhub.benchmarks.proxy.machine import ALL_CORES, Figures, cpu_seconds, module
from ansible_collections.campus.jupyterhub.benchmarks.proxy.peers import Peer, both, in_turn

PATIENCE = 10.0
"""Seconds after which a route that is not served fails the benchmark."""


def hub(peer: Peer, task: str, students: range, port: int) -> Figures:
    """Let a hub of this peer do something with its students. Raises CalledProcessError."""
    cpu = cpu_seconds(peer.pids)
    command = module("hub", peer.key, peer.api_url, task, str(students[0]), str(len(students)), str(port))
    figures: Figures = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)
    return {**figures, "proxy_cpu_seconds": cpu_seconds(peer.pids) - cpu}


def adding(backends: Backends, students: int, rounds: int, replicas: int) -> Figures:
    """Routes added through the hub's own class: one after the other, then all at the same moment.

    Each of our replicas acknowledges each route. The peer is one process: JupyterHub's class knows no more.
    """
    one_by_one = students // 10
    tasks = {"add-one-by-one": range(one_by_one), "add": range(one_by_one, one_by_one + students)}
    figures: Figures = {task: {"ours": [], "chp": []} for task in tasks}
    target = backends.target("small")
    for number in range(rounds):
        with both(backends, ALL_CORES, replicas) as peers:
            for peer in in_turn(peers, number):
                peer.students([target] * tasks["add"].stop)
                for task, some in tasks.items():
                    figures[task][peer.key].append(hub(peer, task, some, target[1]))
    return figures


def checking(backends: Backends, students: int, rounds: int, samples: int) -> Figures:
    """With so many routes: how long a further one takes to be served, and how long the hub's check takes."""
    figures: Figures = {name: {"ours": [], "chp": []} for name in ("propagation", "check")}
    target = backends.target("small")
    with both(backends, ALL_CORES) as peers:
        for peer in peers:
            peer.route([target] * students)
        for number in range(rounds):
            for peer in in_turn(peers, number):
                figures["check"][peer.key].append(hub(peer, "check", range(students), target[1]))
        for number in range(rounds):
            for peer in in_turn(peers, number):
                first = students + number * samples
                figures["propagation"][peer.key].append(propagation(peer, backends, first, samples))
    return figures


def propagation(peer: Peer, backends: Backends, first: int, samples: int) -> Figures:
    """Milliseconds from the write of a route until a request goes to the student's server, one after the other."""
    times = []
    connection = HTTPConnection("127.0.0.1", peer.ports[0], timeout=PATIENCE)
    for number in range(first, first + samples):
        began = time.perf_counter()
        peer.route_one(backends.target("small"), number)
        while _answer(connection, number) != SMALL.encode():
            if time.perf_counter() > began + PATIENCE:
                raise RuntimeError(f"the route of {student(number)} is not served after {PATIENCE:.0f} s")
        times.append((time.perf_counter() - began) * 1000)
    connection.close()
    return {"p50_ms": statistics.median(times), "p99_ms": statistics.quantiles(times, n=100)[-1]}


def _answer(connection: HTTPConnection, number: int) -> bytes:
    connection.request("GET", f"/user/{student(number)}/api/status")
    return connection.getresponse().read()
