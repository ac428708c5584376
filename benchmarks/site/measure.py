"""Measure a running site and print the figures as JSON: least, middle and most of several rounds.

    build/venv-test/bin/python benchmarks/site/measure.py --site build/site.json --inventory inventories/kind --rounds 3

Nothing is asserted. Seconds are wall time; memory is the working set that the kubelets report, in MiB. Run it while no
student is logged in. The students that it logs in itself, bench-…, keep their disks.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

CHECKOUT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(CHECKOUT / "build" / "collections"))

from ansible_collections.campus.jupyterhub.tests.browser.student import Student, chromium  # noqa: E402 - after the path is set
from ansible_collections.campus.jupyterhub.tests.cluster.support import STUDENTS, Kube, Site, wait_until  # noqa: E402 - after the path is set

MEBI = 1 << 20
STOP_SECONDS = 60.0
# What the collection brings along; the rest is Kubernetes itself.
OWN = "app.kubernetes.io/managed-by=campus.jupyterhub"


def spread(values: Iterable[float]) -> dict[str, float]:
    """Least, middle and most."""
    ordered = sorted(values)
    return {
        "min": round(ordered[0], 2),
        "median": round(statistics.median(ordered), 2),
        "max": round(ordered[-1], 2),
        "rounds": len(ordered),
    }


def second_run(inventory: str, extra: list[str]) -> dict[str, Any]:
    """Seconds of one more run of site.yml without the smoke test, and what it changed."""
    command = [str(Path(sys.executable).with_name("ansible-playbook")), "-i", inventory, "site.yml"]
    begun = time.monotonic()
    run = subprocess.run(
        [*command, "-e", "verify_enabled=false", *extra], cwd=CHECKOUT, capture_output=True, text=True, check=False
    )
    seconds = time.monotonic() - begun
    if run.returncode:
        sys.exit(f"The run failed:\n{run.stdout[-4000:]}{run.stderr[-2000:]}")
    return {"seconds": seconds, "changed": sum(map(int, re.findall(r"changed=(\d+)", run.stdout)))}


def first_output(site: Site, name: str, password: str) -> float:
    """Seconds from the click on the login button to the first cell's output, in a new browser."""
    with chromium() as browser, Student(browser, site.url, name) as student:
        seconds = student.first_output(password)
        student.stop_server()
    return seconds


def memory(kube: Kube) -> dict[str, float]:
    """Working set in MiB of the collection's pods, by component, and of the whole nodes."""
    used: dict[tuple[str, str], float] = {}
    nodes = 0.0
    for node in kube.core.list_node().items:
        summary = json.loads(node_summary(kube, node.metadata.name))
        nodes += summary["node"]["memory"]["workingSetBytes"]
        for pod in summary["pods"]:
            reference = (pod["podRef"]["namespace"], pod["podRef"]["name"])
            used[reference] = pod.get("memory", {}).get("workingSetBytes", 0)
    own: dict[str, float] = {}
    for pod in kube.core.list_pod_for_all_namespaces(label_selector=OWN).items:
        component = str(pod.metadata.labels.get("component", pod.metadata.name))
        own[component] = own.get(component, 0) + used.get((pod.metadata.namespace, pod.metadata.name), 0)
    figures = {f"{component}_mib": size / MEBI for component, size in sorted(own.items())}
    return {"all_pods_mib": sum(figures.values()), **figures, "nodes_with_kubernetes_mib": nodes / MEBI}


def node_summary(kube: Kube, node: str) -> str:
    """The kubelet's own account of a node, as JSON text."""
    answer = kube.core.connect_get_node_proxy_with_path(node, "stats/summary", _preload_content=False)
    return str(answer.data.decode())


def settled(kube: Kube) -> None:
    """Wait until no student's server is left."""
    wait_until("no student's server runs", lambda: not kube.pods(STUDENTS), STOP_SECONDS)


def rounds(count: int, measure: Callable[[int], float]) -> dict[str, float]:
    """Measure several times; the measure is told the round's number, from 1."""
    return spread(measure(number) for number in range(1, count + 1))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--site", default=CHECKOUT / "build" / "site.json", type=Path)
    parser.add_argument("--inventory", default="inventories/kind")
    parser.add_argument("--rounds", default=3, type=int)
    parser.add_argument("extra", nargs="*", help="further arguments for ansible-playbook, after --")
    options = parser.parse_args()
    site = Site(json.loads(options.site.read_text()), options.site.parent)
    kube = Kube(site)
    password = kube.secret(site.facts["login"]["secret"], site.facts["login"]["key"])
    settled(kube)
    students = [f"bench-{os.getpid()}-{number}" for number in range(1, options.rounds + 1)]
    runs = [second_run(options.inventory, options.extra) for _unused in range(options.rounds)]
    memories = [memory(kube) for _unused in range(options.rounds)]
    figures = {
        "processors": os.cpu_count(),
        "second_run_seconds": spread(run["seconds"] for run in runs),
        "second_run_changed": spread(run["changed"] for run in runs),
        "login_to_first_output_new_disk_seconds": rounds(
            options.rounds, lambda number: first_output(site, students[number - 1], password)
        ),
        "login_to_first_output_seconds": rounds(
            options.rounds, lambda _unused: first_output(site, students[0], password)
        ),
        "memory_without_students": {key: spread(each[key] for each in memories) for key in memories[0]},
        "seconds_of_the_last_run": site.facts["seconds"],
    }
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
