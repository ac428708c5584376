"""Students work, and one thing after the other breaks."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from ansible_collections.campus.jupyterhub.tests.cluster.support import Student
from ansible_collections.campus.jupyterhub.tests.faults.clients import SENTINEL, Clients
from ansible_collections.campus.jupyterhub.tests.faults.fault import Fault
from ansible_collections.campus.jupyterhub.tests.faults.forms import FORM, FORMS
from ansible_collections.campus.jupyterhub.tests.faults.proof import Proof


@pytest.mark.parametrize("fault", FORMS[FORM](), ids=lambda fault: fault.name)
def test_a_fault_costs_no_more_than_its_budget(proof: Proof, fault: Fault) -> None:
    verdict = proof.run(fault)
    assert not verdict.violations, "\n".join([*map(str, verdict.violations), *verdict.reasons])


def test_through_all_of_it_nothing_was_mixed_up_or_lost(
    proof: Proof, clients: Clients, at_work: list[Student], log_in: Callable[[str], Student]
) -> None:
    for student in at_work:
        # Who went home has no server to read it from.
        if student.name not in clients.at_work():
            continue
        proof.look_at_file(student.name, log_in(student.name).read(SENTINEL))
    proof.look_at_disks()
    clients.stop()
    assert clients.broken is None
    violations = proof.report(FORM).judgement.violations
    assert not violations, "\n".join(map(str, violations))
