"""Bad input that can be seen without a cluster is refused with the right words, and nothing changes."""

from __future__ import annotations

import pytest
from ansible_collections.campus.jupyterhub.tests.bad_input.runner import Answer, Case, cases, run_cases

CASES = cases(needs_cluster=False)


@pytest.fixture(scope="module")
def answers() -> dict[str, Answer]:
    """Run all cases in one process."""
    return run_cases(CASES)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.title)
def test_bad_input(case: Case, answers: dict[str, Answer]) -> None:
    assert answers[case.title].complaint(case) == ""
