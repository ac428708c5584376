"""What a run finds, while it goes on and at its end."""

from __future__ import annotations

from dataclasses import replace

from ansible_collections.campus.jupyterhub.tests.faults import records
from ansible_collections.campus.jupyterhub.tests.faults.checker import (
    Invariant,
    Verdict,
    Violation,
    judge,
    judge_fault,
    lost_disks,
)
from ansible_collections.campus.jupyterhub.tests.faults.clients import digest_of
from ansible_collections.campus.jupyterhub.tests.faults.fault import Fault, Runner
from ansible_collections.campus.jupyterhub.tests.faults.report import Report
from ansible_collections.campus.jupyterhub.tests.faults.world import World

SAME_SECONDS = 90.0


class Proof:
    """Does faults, and collects what is wrong.

    Attributes:
        machine: what it runs on, in words.
    """

    def __init__(self, world: World, runner: Runner, machine: str) -> None:
        self.machine = machine
        self._world = world
        self._runner = runner
        self._disks = world.disks()
        self._found: list[Violation] = []

    def run(self, fault: Fault) -> Verdict:
        """Do a fault and judge it."""
        window = self._runner.run(fault)
        if not fault.stays:
            differences = self._world.difference(SAME_SECONDS)
            self._found += [Violation(Invariant.SAME_STATE, f"after {fault.name}: {text}") for text in differences]
            # What was asked meanwhile belongs to the fault as well.
            window = self._runner.prolong(window)
        return judge_fault(records.read(self._world.clients.log), window)

    def look_at_disks(self) -> None:
        """I4: every disk of the beginning is there."""
        self._found += lost_disks(self._disks, self._world.disks())

    def look_at_file(self, student: str, text: str) -> None:
        """I5, once more at the end: what a student reads is what was written."""
        if text != self._world.clients.desks[student].expected:
            self._found.append(Violation(Invariant.FILES, f"the file of {student} is not as it was written"))

    def report(self, form: str) -> Report:
        """Judge the whole log."""
        log = records.read(self._world.clients.log)
        digests = {name: digest_of(desk.expected) for name, desk in self._world.clients.desks.items()}
        judgement = judge(log, self._runner.windows, digests)
        judgement = replace(judgement, violations=(*judgement.violations, *self._found))
        return Report(form, judgement, log, self.machine)
