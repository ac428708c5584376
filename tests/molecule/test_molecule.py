"""The default Molecule scenario: a real cluster is made, used, looked at and removed."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
CLUSTER = os.environ.get("JUPYTERHUB_TEST_CLUSTER") or "jupyterhub-molecule"
LOGS = CHECKOUT / "build" / CLUSTER
LONGEST_LOG = 4000
SCENARIO_SECONDS = 4500
"""Far more than a scenario takes, even with all images still to build."""


@pytest.mark.parametrize("scenario", ["default"])
def test_scenario(run: Callable[..., str], scenario: str) -> None:
    # An interrupted run leaves a cluster behind, and Molecule takes it for a new one.
    run("molecule", "destroy", "--scenario-name", scenario)
    for log in LOGS.glob("*.log"):
        log.unlink()
    try:
        run("molecule", "test", "--scenario-name", scenario, show=True, seconds=SCENARIO_SECONDS)
    except pytest.fail.Exception as failure:
        pytest.fail("\n\n".join([str(failure), *map(failures_in, LOGS.glob("*.log"))]), pytrace=False)
    assert [*containers(), *disks()] == []


def failures_in(log: Path) -> str:
    """Return what the tests inside a scenario said of their failures; Molecule's own last words come long after."""
    summary = re.findall(r"^(?:E  |FAILED |ERROR |=+ .* in .*=$).*", log.read_text(), re.MULTILINE)
    return f"{log.name}:\n" + "\n".join(summary)[-LONGEST_LOG:]


def containers() -> list[str]:
    """Return the nodes of the test's cluster."""
    command = ["ps", "--all", "--quiet", "--filter", f"label=io.x-k8s.kind.cluster={CLUSTER}"]
    # Docker's client may be there without an engine, and then says nothing.
    runs = [subprocess.run([each, *command], capture_output=True, text=True, check=False) for each in runtimes()]
    return " ".join(each.stdout for each in runs).split()


def runtimes() -> list[str]:
    """Return what may run nodes on this machine."""
    return [each for each in ("docker", "podman") if shutil.which(each)]


def disks() -> list[str]:
    """Return the loop devices of students' disks that are gone."""
    backing = {path.parts[3]: path.read_text() for path in Path("/sys/block").glob("loop*/loop/backing_file")}
    return [name for name, file in backing.items() if "campus-jupyterhub" in file and "(deleted)" in file]
