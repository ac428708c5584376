"""The driver as a process of this machine; without root or the tools of the file systems these tests are skipped."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.campus.jupyterhub.scripts import csi_sanity

HERE = Path(__file__).resolve().parent

subprocess.run([sys.executable, csi_sanity.IMAGE / "generate.py", csi_sanity.PROTOCOL], check=True)
sys.path.insert(0, str(csi_sanity.PROTOCOL))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what cannot run here, and say why."""
    reason = csi_sanity.missing()
    if reason:
        for item in items:
            if HERE in item.path.parents:
                item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture
def driver() -> Iterator[csi_sanity.HostDriver]:
    """A running driver with an empty pool of 2 GiB."""
    with csi_sanity.host_driver() as running:
        yield running
