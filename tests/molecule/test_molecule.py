"""The default Molecule scenario: a real cluster is made, used, looked at and removed."""

from __future__ import annotations

from collections.abc import Callable

import pytest

SCENARIO_SECONDS = 7200
"""Far more than a scenario takes, even with all images still to build."""


@pytest.mark.parametrize("scenario", ["default"])
def test_scenario(run: Callable[..., str], scenario: str) -> None:
    # An interrupted run leaves a cluster behind, and Molecule takes it for a new one.
    run("molecule", "destroy", "--scenario-name", scenario)
    run("molecule", "test", "--scenario-name", scenario, show=True, seconds=SCENARIO_SECONDS)
