"""Bad input that only a cluster can show is refused with the right words, and nothing changes."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from ansible_collections.campus.jupyterhub.tests.bad_input.runner import Answer, Case, cases, run_cases
from ansible_collections.campus.jupyterhub.tests.cluster.support import Kube, Site
from ansible_collections.campus.jupyterhub.tests.unit.certificates import Pair, make_pair

CASES = cases(needs_cluster=True)


@pytest.fixture(scope="module")
def bad_certificates(kube: Kube) -> Iterator[None]:
    """Secrets with certificates that browsers would refuse."""
    host = "hub.example.org"
    pairs = {
        "test-tls-mismatch": Pair(make_pair(host).certificate, make_pair(host).key),
        "test-tls-expired": make_pair(host, days=-1),
        "test-tls-elsewhere": make_pair("elsewhere.example.org"),
    }
    for name, pair in pairs.items():
        data = {"tls.crt": pair.certificate, "tls.key": pair.key}
        kube.core.create_namespaced_secret(kube.namespace, {"metadata": {"name": name}, "stringData": data})
    yield
    for name in pairs:
        kube.core.delete_namespaced_secret(name, kube.namespace)


@pytest.fixture(scope="module")
def answers(site: Site, bad_certificates: None) -> dict[str, Answer]:
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
