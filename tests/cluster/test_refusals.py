"""Bad input that only a cluster can show is refused with the right words, and nothing changes."""

from __future__ import annotations

import json

import pytest
from ansible_collections.campus.jupyterhub.tests.bad_input.runner import Answer, Case, cases, run_cases
from ansible_collections.campus.jupyterhub.tests.cluster.support import Site

CASES = cases(needs_cluster=True)


@pytest.fixture(scope="module")
def answers(site: Site) -> dict[str, Answer]:
    """Run all cases in one process."""
    facts = site.facts
    options = {
        "jupyterhub_kubeconfig": facts["kubeconfig"],
        "jupyterhub_context": facts["context"],
        "jupyterhub_namespace": facts["namespace"],
        "cluster_name": facts["context"].removeprefix("kind-"),
        "cluster_kubeconfig": facts["kubeconfig"],
    }
    return run_cases(CASES, "-e", json.dumps(options))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.title)
def test_bad_input(case: Case, answers: dict[str, Answer]) -> None:
    assert answers[case.title].complaint(case) == ""
