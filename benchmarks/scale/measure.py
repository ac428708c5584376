"""Start thousands of simulated students at a running site, restart the hub among them, stop them all; write JSON.

Nothing is asserted. `report` makes the table and the plot in docs/ of it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import sys
import time
from pathlib import Path

from ansible_collections.campus.jupyterhub.benchmarks.proxy.machine import allow_many_files
from ansible_collections.campus.jupyterhub.benchmarks.scale.run import Plan, Run
from ansible_collections.campus.jupyterhub.benchmarks.scale.simulation import Simulation
from ansible_collections.campus.jupyterhub.benchmarks.scale.students import Hub
from ansible_collections.campus.jupyterhub.benchmarks.scale.summary import machine, rounded
from ansible_collections.campus.jupyterhub.tests.cluster.support import STUDENTS, Kube, Site


async def measure(site: Site, plan: Plan, output: Path) -> None:
    """Simulate, measure, and clean up."""
    kube = Kube(site)
    if kube.pods(STUDENTS):
        sys.exit("Servers of students run at this site: stop them, then run this again.")
    simulation = Simulation(site, kube)
    figures = {"machine": machine(), "versions": site.facts["versions"], "plan": vars(plan)}

    def write(found: dict[str, object]) -> None:
        output.write_text(json.dumps(rounded({**figures, **found}), indent=1) + "\n")

    begun = time.monotonic()
    try:
        simulation.start(plan.students)
        async with Hub(site.url, (site.folder / "token").read_text().strip()) as hub:
            await Run(kube, hub, simulation, plan, write).run()
    finally:
        simulation.stop()
    print(f"All of it: {time.monotonic() - begun:.0f} s", flush=True)


def main() -> None:
    """Measure; the file is written anew after each part."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", type=Path, help="file for the figures")
    parser.add_argument("--site", default=Path("build/jupyterhub-scale/site.json"), type=Path)
    parser.add_argument("--students", default=5000, type=int)
    parser.add_argument("--wave", default=250, type=int, help="students who click at the same moment")
    parser.add_argument("--restart-at", default=[1000, 5000], type=int, nargs="*", help="numbers of running servers")
    parser.add_argument("--rounds", default=3, type=int, help="restarts of the hub at each of these numbers")
    options = parser.parse_args()
    allow_many_files()
    signal.signal(signal.SIGTERM, lambda *_unused: sys.exit("ended"))
    site = Site(json.loads(options.site.read_text()), options.site.parent)
    plan = Plan(options.students, options.wave, options.restart_at, options.rounds)
    asyncio.run(measure(site, plan, options.output))


if __name__ == "__main__":
    main()
