"""Simulated nodes, KWOK which runs the students' pods on them, and the farm that is the server of each."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ansible_collections.campus.jupyterhub.benchmarks.scale import farm
from ansible_collections.campus.jupyterhub.tests.cluster.support import Kube, Site, ready, wait_until
from kubernetes import client

HERE = Path(__file__).resolve().parent
STAGES = sorted((HERE / "stages").glob("*.yaml"))
PODS_A_NODE = 110
"""As many as a kubelet takes unless told otherwise."""
FARM = "farm"
MARK = {"kwok.x-k8s.io/node": "fake"}
LABELS = {"type": "kwok"}


def nodes_for(students: int) -> int:
    """How many nodes so many students need."""
    return -(-students // PODS_A_NODE)


def node(number: int) -> dict[str, Any]:
    """A node that does not exist, with room for PODS_A_NODE students.

    It has no address, so that nobody keeps a network route to it.
    """
    name = f"simulated-{number}"
    room = {"cpu": "64", "memory": "512Gi", "pods": str(PODS_A_NODE), "ephemeral-storage": "1Ti"}
    return {
        "metadata": {"name": name, "annotations": MARK, "labels": {**LABELS, "kubernetes.io/hostname": name}},
        "spec": {"taints": [{"key": key, "value": value, "effect": "NoSchedule"} for key, value in MARK.items()]},
        "status": {"capacity": room, "allocatable": room},
    }


def farm_pod(image: str) -> dict[str, Any]:
    """The farm: the hub's image with the program from a ConfigMap."""
    tolerations = [{"key": "node-role.kubernetes.io/control-plane", "operator": "Exists", "effect": "NoSchedule"}]
    container = {
        "name": FARM,
        "image": image,
        "command": ["python3", "/farm/farm.py"],
        "ports": [{"containerPort": farm.PORT}],
        "readinessProbe": {"tcpSocket": {"port": farm.PORT}, "periodSeconds": 1},
        "volumeMounts": [{"name": FARM, "mountPath": "/farm"}],
    }
    return {
        "metadata": {"name": FARM},
        "spec": {
            "tolerations": tolerations,
            # Beside the API server, not beside the hub or a proxy.
            "nodeSelector": {"node-role.kubernetes.io/control-plane": ""},
            "containers": [container],
            "volumes": [{"name": FARM, "configMap": {"name": FARM}}],
        },
    }


def kwok() -> Path:
    """Build KWOK, unless it is there, and return the program."""
    program, pins = HERE.parents[1] / "build" / "bin" / "kwok", HERE / "go.sum"
    if not (program.exists() and program.stat().st_mtime > pins.stat().st_mtime):
        if not shutil.which("go"):
            sys.exit("Go is missing: install Go 1.26 or newer, then run this again.")
        program.parent.mkdir(parents=True, exist_ok=True)
        command = ["go", "build", "-trimpath", "-ldflags", "-s -w", "-o", str(program), "sigs.k8s.io/kwok/cmd/kwok"]
        subprocess.run(command, cwd=HERE, env={**os.environ, "CGO_ENABLED": "0"}, check=True)
    return program


class Simulation:
    """Everything that is simulated in one cluster, from start to stop."""

    def __init__(self, site: Site, kube: Kube) -> None:
        self._site = site
        self._kube = kube
        self._kwok: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """KWOK's process. Raises RuntimeError when it does not run."""
        if self._kwok is None or self._kwok.poll() is not None:
            raise RuntimeError(f"KWOK does not run; see {self._site.folder / 'kwok.log'}")
        return self._kwok.pid

    def start(self, students: int) -> None:
        """Make nodes and farm and begin to simulate."""
        address = self._start_farm()
        self._start_kwok(address)
        for number in range(nodes_for(students)):
            self._kube.core.create_node(node(number))
        wait_until("the simulated nodes are ready", lambda: self._ready_nodes() == nodes_for(students), 120)

    def stop(self) -> None:
        """Remove whatever start made; what is not there is fine. No student's pod may be left."""
        for each in self._nodes():
            self._kube.core.delete_node(each.metadata.name)
        if self._kwok is not None:
            self._kwok.terminate()
            self._kwok.wait()
            self._kwok = None
        gone(lambda: self._kube.core.delete_namespace(FARM))

    def _start_farm(self) -> str:
        core = self._kube.core
        core.create_namespace({"metadata": {"name": FARM}})
        program = {"metadata": {"name": FARM}, "data": {"farm.py": (HERE / "farm.py").read_text()}}
        core.create_namespaced_config_map(FARM, program)
        wait_until("there is a service account", lambda: core.list_namespaced_service_account(FARM).items, 60)
        core.create_namespaced_pod(FARM, farm_pod(self._site.facts["images"]["hub"]))
        (pod,) = wait_until("the farm answers", lambda: [*filter(ready, core.list_namespaced_pod(FARM).items)], 120)
        return str(pod.status.pod_ip)

    def _start_kwok(self, address: str) -> None:
        config = self._site.folder / "kwok.yaml"
        config.write_text("---\n".join(each.read_text() for each in STAGES).replace("FARM", address))
        selector = ",".join(f"{key}={value}" for key, value in MARK.items())
        command = [
            str(kwok()),
            f"--kubeconfig={self._site.facts['kubeconfig']}",
            f"--config={config}",
            f"--manage-nodes-with-annotation-selector={selector}",
            "--node-lease-duration-seconds=40",
        ]
        with (self._site.folder / "kwok.log").open("wb") as log:
            self._kwok = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT)

    def _nodes(self) -> list[Any]:
        selector = ",".join(f"{key}={value}" for key, value in LABELS.items())
        nodes: list[Any] = self._kube.core.list_node(label_selector=selector).items
        return nodes

    def _ready_nodes(self) -> int:
        return sum(
            any(each.type == "Ready" and each.status == "True" for each in node.status.conditions or [])
            for node in self._nodes()
        )


def gone(remove: Callable[[], Any]) -> None:
    """Remove something that may not be there."""
    try:
        remove()
    except client.ApiException as error:
        if error.status != 404:
            raise
