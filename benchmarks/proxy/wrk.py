"""The load of plain requests: wrk, from Debian."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.campus.jupyterhub.benchmarks.proxy.machine import LOAD_CORES

SCRIPT = Path(__file__).with_name("students.lua")


@dataclass(frozen=True)
class Load:
    """What a run of wrk saw. Rates are a second, times in milliseconds; failed counts everything but a 2xx or 3xx."""

    rate: float
    mib: float
    p50: float
    p99: float
    failed: int


def load(ports: list[int], students: range, seconds: float, connections: int = 100) -> Load:
    """Ask all the ports at the same time for pages of these students, the connections shared out among the ports.

    Raises RuntimeError when wrk fails.
    """
    runs = [_begin(port, students, seconds, connections // len(ports)) for port in ports]
    loads = [_read(run) for run in runs]
    return Load(
        rate=sum(each.rate for each in loads),
        mib=sum(each.mib for each in loads),
        p50=max(each.p50 for each in loads),
        p99=max(each.p99 for each in loads),
        failed=sum(each.failed for each in loads),
    )


def _begin(port: int, students: range, seconds: float, connections: int) -> subprocess.Popen[str]:
    cores = ",".join(map(str, sorted(LOAD_CORES)))
    # wrk counts whole seconds.
    options = ["-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s", "--timeout", "10s", "-s", str(SCRIPT)]
    command = [
        "taskset",
        "-c",
        cores,
        "wrk",
        *options,
        f"http://127.0.0.1:{port}",
        "--",
        str(students[0]),
        str(students[-1]),
    ]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def _read(run: subprocess.Popen[str]) -> Load:
    output, _none = run.communicate()
    found = re.search(r"^figures (.*)$", output, re.MULTILINE)
    if run.returncode or not found:
        raise RuntimeError(f"wrk ended with {run.returncode}: {output[-500:]}")
    figures = {key: int(value) for key, value in (pair.split("=") for pair in found[1].split())}
    seconds = figures["microseconds"] / 1e6
    return Load(
        rate=figures["requests"] / seconds,
        mib=figures["bytes"] / seconds / (1 << 20),
        p50=figures["p50"] / 1000,
        p99=figures["p99"] / 1000,
        failed=figures["failed"] + figures["status"],
    )
