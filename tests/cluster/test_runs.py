"""What further runs do on a hub that is up."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest
from ansible_collections.campus.jupyterhub.tests.cluster.support import (
    CHECKOUT,
    TOOLS,
    Kube,
    Student,
    playbook,
    recap_of,
    run_playbook,
)
from ansible_collections.campus.jupyterhub.tests.packaging.artifact import install


def test_a_dry_run_finds_nothing_to_change() -> None:
    recap = playbook("campus.jupyterhub.site", "--check", "--diff")
    assert (recap["changed"], recap["failed"]) == (0, 0)


def test_a_removal_by_the_way_is_refused(ann: Student, kube: Kube) -> None:
    before = kube.pod_of(ann.name).metadata.uid
    run = run_playbook("campus.jupyterhub.teardown")
    assert run.returncode != 0
    said = " ".join(run.stdout.split())
    assert "Students have disks or snapshots here" in said
    assert re.search(rf"\): .*\b{ann.name}\b.*Nothing was removed", said)
    assert "make down DELETE_DISKS=yes" in said
    assert recap_of(run.stdout)["changed"] == 0
    assert kube.pod_of(ann.name).metadata.uid == before


def test_the_built_collection_works_without_the_checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # With the checkout's settings ansible-galaxy would find the collection installed already.
    monkeypatch.delenv("ANSIBLE_CONFIG", raising=False)
    installed = install(tmp_path)
    inventories = [
        installed.home / "collections/ansible_collections/campus/jupyterhub/inventories/kind",
        # Only names, ports and sizes of this cluster.
        CHECKOUT / "molecule" / "inventory",
    ]
    environment = {
        **os.environ,
        "ANSIBLE_COLLECTIONS_PATH": str(installed.home / "collections"),
        "PYTHONPATH": "",
    }
    command = [
        str(TOOLS / "ansible-playbook"),
        *(f"--inventory={each}" for each in inventories),
        "campus.jupyterhub.site",
    ]
    run = subprocess.run(command, cwd=installed.home, env=environment, check=False, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout[-6000:] + run.stderr[-2000:]
    assert str(installed.home) in run.stdout
    assert str(CHECKOUT / "roles") not in run.stdout
    assert recap_of(run.stdout)["changed"] == 0
