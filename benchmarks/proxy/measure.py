"""Measure the replicated proxy beside configurable-http-proxy, in alternating rounds of one run, and write JSON.

Nothing is asserted. `report` makes the table and the plot in docs/ of it.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from ansible_collections.campus.jupyterhub.benchmarks.proxy import chp, memory, routes, throughput
from ansible_collections.campus.jupyterhub.benchmarks.proxy.backend import Backends
from ansible_collections.campus.jupyterhub.benchmarks.proxy.machine import Figures, allow_many_files

REPLICAS = 2


def machine() -> Figures:
    """What was measured, and on what."""
    model = next(line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name"))
    return {
        "processors": os.cpu_count(),
        "processor": model.partition(": ")[2],
        "haproxy": _first_line("haproxy", "-v").split()[2],
        "configurable_http_proxy": chp.version(),
        "node": _first_line("node", "--version"),
        "python": platform.python_version(),
    }


def _first_line(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()[0]


def measures(backends: Backends, options: argparse.Namespace) -> dict[str, Callable[[], Figures]]:
    """All measurements by name."""
    rounds, seconds, few, many = options.rounds, options.seconds, options.few, options.many
    return {
        f"one_thread_{few}": lambda: throughput.one_thread(backends, few, rounds, seconds),
        f"one_thread_{many}": lambda: throughput.one_thread(backends, many, rounds, seconds),
        "own_servers": lambda: throughput.own_servers(backends, rounds, seconds),
        "several": lambda: throughput.several(backends, few, rounds, seconds, REPLICAS),
        "adding": lambda: routes.adding(backends, few, rounds, REPLICAS),
        "checking": lambda: routes.checking(backends, many, rounds, options.samples),
        "memory": lambda: memory.memory(backends, many, many, rounds),
    }


def rounded(figures: Figures) -> Figures:
    """The same with four digits behind the point."""
    parsed: Figures = json.loads(json.dumps(figures), parse_float=lambda text: round(float(text), 4))
    return parsed


def main() -> None:
    """Measure; the file is written anew after each part."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", type=Path, help="file for the figures")
    parser.add_argument("--rounds", default=3, type=int)
    parser.add_argument("--seconds", default=3.0, type=float, help="of each round of load; wrk takes whole ones")
    parser.add_argument("--few", default=1000, type=int, help="routes of the smaller site")
    parser.add_argument("--many", default=5000, type=int, help="routes, and websockets, of the larger site")
    parser.add_argument("--samples", default=200, type=int, help="routes whose propagation is timed, each round")
    parser.add_argument("--only", default="", help="names that begin with this")
    options = parser.parse_args()
    for tool in ("wrk", "haproxy", "taskset"):
        if not shutil.which(tool):
            sys.exit(f"{tool} is missing: apt-get install wrk haproxy util-linux, then run this again.")
    allow_many_files()
    signal.signal(signal.SIGTERM, lambda *_unused: sys.exit("ended"))
    figures: Figures = {
        "machine": machine(),
        "options": {key: value for key, value in vars(options).items() if key != "output"},
    }
    with TemporaryDirectory() as run_dir:
        backends = Backends(Path(run_dir))
        try:
            backends.start()
            for name, measure in measures(backends, options).items():
                if name.startswith(options.only):
                    began = time.monotonic()
                    figures[name] = measure()
                    print(f"{name}: {time.monotonic() - began:.0f} s", flush=True)
                    options.output.write_text(json.dumps(rounded(figures), indent=1) + "\n")
        finally:
            backends.stop()


if __name__ == "__main__":
    main()
