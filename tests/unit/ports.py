"""Ports of loopback for servers that tests start."""

from __future__ import annotations

import itertools
import os
import socket

# Below the ports that the kernel hands out by itself: one of those may be given to a connection, or to another test,
# before its server listens, and HAProxy would even share it without a word.
FIRST, LAST = 10_000, 32_767
_numbers = itertools.count(os.getpid() * 211)


def free_port() -> int:
    """Return a TCP port of loopback that is free and that this process was not given lately."""
    ports = (FIRST + number % (LAST - FIRST) for number in _numbers)
    return next(port for port in ports if _is_free(port))


def _is_free(port: int) -> bool:
    with socket.socket() as sock:
        try:
            sock.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
