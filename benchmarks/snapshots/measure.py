"""Snapshot, prune and restore many disks at a running site, with the role's flags and with the usual ones; write JSON.

Nothing is asserted. The site is one for measuring: its snapshot controller is changed and changed back.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

from ansible_collections.campus.jupyterhub.benchmarks.scale.summary import machine
from ansible_collections.campus.jupyterhub.benchmarks.snapshots.disks import MIB, Disks, Flags
from ansible_collections.campus.jupyterhub.tests.cluster.support import Kube, Site
from ansible_collections.campus.jupyterhub.tests.snapshots.world import World

Figures = dict[str, Any]

NAMESPACE = "measured-disks"


class Run:
    """One measurement after the other, on the same disks."""

    def __init__(self, world: World, disks: Disks, count: int, parallel: int) -> None:
        self._world = world
        self._disks = disks
        self._count = count
        self._parallel = parallel

    def snapshot(self) -> Figures:
        """Take a snapshot of every disk."""
        before = self._disks.used()
        figures = self._timed("taken", keep_last=None)
        return {**figures, "KiB a snapshot": round((self._disks.used() - before) / self._count / 1024, 1)}

    def prune(self) -> Figures:
        """Remove all but the newest of every disk."""
        return self._timed("removed", keep_last=1, take=False)

    def restore(self, count: int) -> Figures:
        """Make a disk of so many snapshots."""
        snapshots = self._world.snapshots()[:count]
        begun = time.monotonic()
        made = self._disks.restore((snapshot.name, snapshot.disk) for snapshot in snapshots)
        return rate(made, time.monotonic() - begun)

    def _timed(self, what: str, **options: Any) -> Figures:
        begun = time.monotonic()
        result = self._world.module("student_disk_snapshot", parallel=self._parallel, timeout=900, **options)
        return rate(result[what], time.monotonic() - begun)


def rate(count: int, seconds: float) -> Figures:
    """How many in how many seconds."""
    return {"disks": count, "seconds": round(seconds, 1), "disks a second": round(count / seconds, 2)}


def measure(site: Site, options: argparse.Namespace) -> Figures:
    """Measure first with the role's flags, then with the usual ones, on the same disks."""
    kube = Kube(site)
    flags = Flags(kube.apps)
    with tempfile.TemporaryDirectory() as folder, Disks(kube, NAMESPACE, options.size) as disks:
        world = World(site, kube, Path(folder))
        world.namespace = NAMESPACE
        begun = time.monotonic()
        disks.make(options.disks)
        figures: Figures = {"make": rate(options.disks, time.monotonic() - begun)}
        disks.fill(options.content)
        run = Run(world, disks, options.disks, options.parallel)
        figures["role's flags"] = {"snapshot": run.snapshot(), "again": run.snapshot(), "prune": run.prune()}
        figures["role's flags"]["restore"] = run.restore(options.restored)
        flags.as_they_come()
        try:
            figures["usual flags"] = {"snapshot": run.snapshot(), "prune": run.prune()}
        finally:
            flags.as_set()
            run.prune()
            world.nothing_leaks()
    figures["times the usual flags"] = ratio(figures, "snapshot")
    return figures


def ratio(figures: Figures, what: str) -> float:
    """How many times as fast the role's flags are."""
    ours, usual = (figures[flags][what]["disks a second"] for flags in ("role's flags", "usual flags"))
    return float(round(ours / usual, 1))


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", type=Path, help="file for the figures")
    parser.add_argument("--site", default=Path("build/jupyterhub-snapshots/site.json"), type=Path)
    parser.add_argument("--disks", default=300, type=int)
    parser.add_argument("--size", default=48, type=int, help="MiB of a disk")
    parser.add_argument("--content", default=20, type=int, help="MiB on each disk")
    parser.add_argument("--restored", default=100, type=int, help="how many snapshots become disks")
    parser.add_argument("--parallel", default=20, type=int, help="snapshots under way at once")
    options = parser.parse_args()
    site = Site(json.loads(options.site.read_text()), options.site.parent)
    plan = {name: getattr(options, name) for name in ("disks", "size", "content", "restored", "parallel")}
    found = {"machine": machine(), "plan": plan, "bytes on a disk": options.content * MIB, **measure(site, options)}
    options.output.write_text(json.dumps(found, indent=1) + "\n")
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
