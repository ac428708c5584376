"""Processes on their cores: start them, and read from the kernel what they used."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PACKAGE = "ansible_collections.campus.jupyterhub.benchmarks.proxy"
TICKS = os.sysconf("SC_CLK_TCK")
PROXY_CORE = frozenset({0})
"""The proxy that is measured has a core of its own; clients and backends share the others."""
LOAD_CORES = frozenset(range(1, os.cpu_count() or 1)) or PROXY_CORE
ALL_CORES = PROXY_CORE | LOAD_CORES

Figures = dict[str, Any]


def begin(command: list[str], cores: frozenset[int], env: dict[str, str] | None = None) -> subprocess.Popen[bytes]:
    """Start a process on these cores."""
    process = subprocess.Popen(command, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    os.sched_setaffinity(process.pid, cores)
    return process


def module(name: str, *arguments: str) -> list[str]:
    """The command that runs a module of this benchmark."""
    return [sys.executable, "-m", f"{PACKAGE}.{name}", *arguments]


def allow_many_files() -> None:
    """Let this process, and those that it starts, open as many files as the machine allows."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def end(process: subprocess.Popen[bytes]) -> None:
    """End a process of ours and wait for it."""
    process.send_signal(signal.SIGKILL)
    process.wait()


def wait_for_port(port: int, process: subprocess.Popen[bytes], seconds: float = 120) -> None:
    """Wait until a port of loopback accepts connections. Raises RuntimeError."""
    wait_until(f"port {port}", lambda: _accepts(port), process, seconds)


def wait_until(what: str, done: Callable[[], bool], process: subprocess.Popen[bytes], seconds: float = 120) -> None:
    """Wait until something is so. Raises RuntimeError when the process ends before, or the time is up."""
    deadline = time.monotonic() + seconds
    while not done():
        if process.poll() is not None:
            raise RuntimeError(f"{what}: the process has ended with {process.returncode}: {process.args!r:.200}")
        if time.monotonic() > deadline:
            raise RuntimeError(f"{what}: nothing within {seconds:.0f} s")
        time.sleep(0.02)


def _accepts(port: int) -> bool:
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", port)) == 0


def rss_mib(pid: int) -> float:
    """Resident memory of a process, in MiB."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * resource.getpagesize() / (1 << 20)


def cpu_seconds(pids: Iterable[int]) -> float:
    """Processor time that processes have used, in seconds."""
    used = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        used += int(fields[11]) + int(fields[12])
    return used / TICKS


@dataclass
class Used:
    """What was used while something was measured: seconds of wall time and of processor time."""

    wall: float = 0.0
    cpu: float = 0.0


@contextlib.contextmanager
def usage(pids: Iterable[int]) -> Iterator[Used]:
    """Measure what processes use meanwhile; read the result afterwards."""
    watched, used = list(pids), Used()
    cpu, wall = cpu_seconds(watched), time.monotonic()
    yield used
    used.wall, used.cpu = time.monotonic() - wall, cpu_seconds(watched) - cpu


def spread(values: Iterable[float]) -> Figures:
    """Least, middle and most."""
    ordered = sorted(values)
    return {
        "min": round(ordered[0], 3),
        "median": round(statistics.median(ordered), 3),
        "max": round(ordered[-1], 3),
        "rounds": len(ordered),
    }
