"""Run the table of bad inputs: each one has to be refused with its own sentence, before anything changes.

A file of the table names a playbook and its cases: name, options, environment variables, what is said, whether it takes
a cluster, and which tasks of the role are run instead of its preflight. Options may speak of the surroundings that the
run makes: peer_port, old_kubernetes.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from ansible_collections.campus.jupyterhub.tests.bad_input.peer import peer
from ansible_collections.campus.jupyterhub.tests.unit.ports import free_port

ROOT = Path(__file__).resolve().parent.parent.parent
TABLE = sorted(Path(__file__).parent.glob("*.yml"))
UNREACHABLE = Path(__file__).parent / "unreachable.kubeconfig"
PLAYBOOK = Path(__file__).parent / "play" / "preflight.yml"
RECAP = re.compile(r"^(case-\d+)\s*: .*?changed=(\d+).*?failed=(\d+)", re.MULTILINE)
STORAGE_IMAGES = ("csi", "csi_provisioner", "csi_resizer", "csi_snapshotter", "snapshot_controller")
IMAGES = ("hub", "singleuser", "proxy", "jobs", "pause", *STORAGE_IMAGES)


@dataclass(frozen=True)
class Case:
    """One bad input of a part, and what has to be said about it."""

    part: str
    name: str
    options: dict[str, Any]
    environment: dict[str, str]
    says: str
    needs_cluster: bool
    tasks: str

    @property
    def title(self) -> str:
        """The case in words."""
        return f"{self.part}: {self.name}"


@dataclass(frozen=True)
class Answer:
    """What was said about a case, and how many tasks changed something."""

    said: str
    changed: int

    def complaint(self, case: Case) -> str:
        """Return what is wrong with the answer, empty when nothing is."""
        if not self.said:
            return f"{case.title}: was not refused"
        if case.says not in self.said:
            return f"{case.title}: said {self.said!r}, not {case.says!r}"
        if "Traceback" in self.said:
            return f"{case.title}: ended with a traceback: {self.said}"
        return f"{case.title}: {self.changed} tasks changed something" if self.changed else ""


def cases(needs_cluster: bool) -> list[Case]:
    """Return the cases that need a cluster, or those that do not."""
    found = []
    for path in TABLE:
        table = yaml.safe_load(path.read_text(encoding="utf-8"))
        part = table["playbook"].rpartition(".")[2]
        for case in table["cases"]:
            needs = case.get("needs_cluster", False)
            environment = case.get("environment", {})
            options, tasks = case.get("options", {}), case.get("tasks", "preflight")
            found.append(Case(part, case["name"], options, environment, case["says"], needs, tasks))
    return [case for case in found if case.needs_cluster == needs_cluster]


def inventory_of(chosen: list[Case], folder: Path, peer_port: int) -> dict[str, Any]:
    """Return an inventory with a host for each case, whose answers and cache are kept in a folder."""
    images = {name: f"registry.invalid/campus/{name}:1" for name in IMAGES}
    hosts = {}
    for number, case in enumerate(chosen):
        facts = {"case": case.title, "part": case.part, "surroundings": case.environment, "looks_at": case.tasks}
        hosts[f"case-{number}"] = {**facts, **case.options}
    python = "{{ ansible_playbook_python }}"
    shared = {
        "ansible_python_interpreter": python,
        "said_dir": str(folder / "said"),
        "jupyterhub_images": images,
        "images_cache_dir": str(folder / "cache"),
        "images_local_registry_port": free_port(),
        "peer_port": peer_port,
        "old_kubernetes": str(folder / "old.kubeconfig"),
    }
    return {"all": {"children": {"bad_input": {"hosts": hosts, "vars": shared}}}}


def run_cases(chosen: list[Case], *arguments: str) -> dict[str, Answer]:
    """Return the answers by the cases' titles; ``arguments`` go to ansible-playbook, such as more inventories."""
    with tempfile.TemporaryDirectory() as folder, peer() as peer_port:
        said = Path(folder) / "said"
        said.mkdir()
        tools = Path(folder) / "tools"
        tools.mkdir()
        # What the machine has must not matter: a Docker that does not run, and a podman that has nothing.
        for tool, code in (("docker", 1), ("podman", 0)):
            (tools / tool).write_text(f"#!/bin/sh\nexit {code}\n", encoding="ascii")
            (tools / tool).chmod(0o700)
        inventory = Path(folder) / "cases.json"
        inventory.write_text(json.dumps(inventory_of(chosen, Path(folder), peer_port)), encoding="utf-8")
        kubeconfig = UNREACHABLE.read_text(encoding="utf-8").replace(
            "https://127.0.0.1:1", f"http://127.0.0.1:{peer_port}"
        )
        (Path(folder) / "old.kubeconfig").write_text(kubeconfig, encoding="utf-8")
        command = [str(Path(sys.executable).with_name("ansible-playbook")), "-i", "inventories/kind", *arguments]
        search = f"{tools}{os.pathsep}{os.environ.get('PATH', '')}"
        environment = {**os.environ, "PATH": search, "ANSIBLE_NOCOLOR": "1", "ANSIBLE_FORKS": "2"}
        done = subprocess.run(
            [*command, "-i", str(inventory), str(PLAYBOOK)],
            cwd=ROOT,
            env=environment,
            check=False,
            capture_output=True,
            text=True,
            timeout=1800,
        )
        changed = {host: int(count) for host, count, _unused in RECAP.findall(done.stdout)}
        if len(changed) != len(chosen):
            raise AssertionError(f"the play did not end well:\n{done.stdout[-4000:]}\n{done.stderr[-2000:]}")
        answers = {}
        for number, case in enumerate(chosen):
            path = said / f"case-{number}"
            text = path.read_text(encoding="utf-8") if path.exists() else ""
            answers[case.title] = Answer(text, changed[f"case-{number}"])
        return answers
