"""Ports of loopback for servers that tests start."""

from __future__ import annotations

import itertools
import os
import socket
from functools import cache
from pathlib import Path

LOWEST, HIGHEST = 10_000, 65_535
KERNELS_OWN = Path("/proc/sys/net/ipv4/ip_local_port_range")

_numbers = itertools.count(os.getpid() * 211)
# One socket a port, open for as long as this process lives: its name tells other processes that the port is taken.
_reservations: list[socket.socket] = []


def free_port() -> int:
    """Return a TCP port of loopback that is free and that no test of this machine was or will be given meanwhile."""
    ports = _ports()
    return next(port for number in _numbers if _reserve(port := ports[number % len(ports)]))


@cache
def _ports() -> list[int]:
    return outside(*(int(number) for number in KERNELS_OWN.read_text(encoding="ascii").split()))


def outside(first: int, last: int) -> list[int]:
    """Return the ports beside those from first to last, which the kernel hands out by itself.

    One of those may be given to a connection, or to another test, before its server listens, and HAProxy would even
    share it without a word. Where the kernel leaves too few, all have to do.
    """
    every = range(LOWEST, HIGHEST + 1)
    beside = [port for port in every if not first <= port <= last]
    return beside if len(beside) >= 1000 else list(every)


def _reserve(port: int) -> bool:
    """Say whether the port is free and was free to be reserved."""
    reservation = socket.socket(socket.AF_UNIX)
    try:
        reservation.bind(f"\0campus-jupyterhub-test-port-{port}")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
    except OSError:
        reservation.close()
        return False
    _reservations.append(reservation)
    return True
