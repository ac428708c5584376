"""The checker finds what is wrong in a log, and nothing else."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest
from ansible_collections.campus.jupyterhub.tests.faults.checker import (
    Invariant,
    State,
    Violation,
    judge,
    judge_fault,
    lost_disks,
    measure,
    shown,
)
from ansible_collections.campus.jupyterhub.tests.faults.records import (
    ASKED_TO_LOG_IN,
    Kind,
    Limit,
    Measure,
    Record,
    Window,
)
from ansible_collections.campus.jupyterhub.tests.unit.faults.logs import (
    DIGESTS,
    START,
    STUDENTS,
    answered,
    dropped,
    opened,
    refused,
    window,
)
from hypothesis import given
from hypothesis import strategies as st

TIMES = st.floats(min_value=0, max_value=9.9)
FINE = st.lists(
    st.builds(answered, TIMES, st.sampled_from(STUDENTS), st.sampled_from([Kind.NEW, Kind.KEPT])), min_size=1
)


def found(log: list[Record], *windows: Window) -> set[Invariant]:
    """Which invariants a log violates."""
    judgement = judge(sorted(log, key=lambda record: record.at), windows, DIGESTS)
    return {each.invariant for each in (*judgement.violations, *(v for w in judgement.verdicts for v in w.violations))}


@given(FINE)
def test_a_log_in_which_all_is_well_violates_nothing(log: list[Record]) -> None:
    assert found(log, window()) == set()


@pytest.mark.parametrize(
    ("spoil", "invariant"),
    [
        (lambda at: answered(at, "ann", owner="anna", digest=DIGESTS["anna"]), Invariant.OWN_SERVER),
        (lambda at: answered(at, "anna", owner="ann", digest=DIGESTS["ann"]), Invariant.OWN_SERVER),
        (lambda at: answered(at, digest="0" * 64), Invariant.FILES),
        (refused, Invariant.BUDGET),
        (dropped, Invariant.BUDGET),
        (lambda at: Record(START + at, "ann", Kind.HEARD, lost=1), Invariant.BUDGET),
    ],
)
@pytest.mark.parametrize("windows", [[window()], []], ids=["in a fault", "between faults"])
@given(log=FINE, at=TIMES)
def test_one_bad_record_among_good_ones_is_found(
    spoil: Callable[[float], Record], invariant: Invariant, windows: list[Window], log: list[Record], at: float
) -> None:
    assert invariant in found([*log, spoil(at)], *windows)


@given(begin=st.floats(0, 5), length=st.floats(0, 5), delay=st.floats(0, 20))
def test_a_request_belongs_to_the_fault_in_which_it_fails(begin: float, length: float, delay: float) -> None:
    early, late = window(0, 10), window(10, 100)
    record = refused(begin, latency=delay + length)
    assert (early.holds(record), late.holds(record)) == ((True, False) if record.over < START + 10 else (False, True))


LOG = [
    answered(0.1),
    refused(2, kind=Kind.KEPT),
    answered(2.5),
    refused(3),
    answered(3.2, "anna"),
    refused(5),
    answered(6),
    dropped(2),
    opened(3.5, after=1.5),
    Record(START + 5, "anna", Kind.HEARD, latency=2.5, number=30, lost=2),
]


@pytest.mark.parametrize(
    ("of", "value"),
    [
        (Measure.FAILED, 3),
        (Measure.OUTAGE, 3.0),
        (Measure.SHARE, 0.5),
        (Measure.DROPPED, 1),
        (Measure.RECONNECT, 1.5),
        (Measure.SILENCE, 2.5),
        (Measure.LOST, 2),
        (Measure.SPAWN, 7.0),
    ],
)
def test_what_is_measured(of: Measure, value: float) -> None:
    assert measure(LOG, window(measured={Measure.SPAWN: 7.0}))[of] == pytest.approx(value)


@given(value=st.floats(0, 100), bound=st.none() | st.floats(0, 100), aim=st.none() | st.floats(0, 100))
def test_more_than_the_budget_fails_and_more_than_the_aim_is_only_said(
    value: float, bound: float | None, aim: float | None
) -> None:
    fault = window(limits=(Limit(Measure.SPAWN, bound, aim),), measured={Measure.SPAWN: value})
    verdict = judge_fault([answered(1)], fault)
    assert verdict.held == (bound is None or value <= bound)
    wish = bound if aim is None else aim
    assert verdict.met == (wish is None or value <= wish)


def test_a_late_answer_is_trouble_but_no_failure() -> None:
    log = [answered(1, latency=0.1), answered(2, latency=6.0), answered(3, latency=7.0), answered(5, latency=0.1)]
    values = measure(log, window(end=20))
    assert (values[Measure.FAILED], values[Measure.OUTAGE], values[Measure.SHARE]) == (0, 1.0, 1.0)


def test_what_was_to_be_measured_and_was_not_is_a_violation() -> None:
    verdict = judge_fault([answered(1)], window(limits=(Limit(Measure.SPAWN, None),)))
    assert [each.invariant for each in verdict.violations] == [Invariant.BUDGET]


def test_a_fault_that_could_not_be_done_to_its_end_is_a_violation() -> None:
    assert judge_fault([answered(1)], window()).held
    verdict = judge_fault([answered(1)], window(error="not within 60 s: another replica is ready"))
    assert [each.text for each in verdict.violations] == ["a fault: not within 60 s: another replica is ready"]


def test_a_fault_without_a_request_proves_nothing() -> None:
    assert not judge_fault([opened(1)], window()).held


@pytest.mark.parametrize(
    ("record", "more"),
    [
        (refused(1), {"excused": frozenset({"ann"})}),
        (dropped(1), {"excused": frozenset({"ann"})}),
        (refused(1, reason=ASKED_TO_LOG_IN), {"logins": True}),
    ],
)
def test_what_is_excused_costs_nothing(record: Record, more: dict[str, Any]) -> None:
    others = [answered(2, "anna")]
    assert not judge_fault([record, *others], window()).held
    assert judge_fault([record, *others], window(**more)).held


def test_another_students_file_is_never_excused() -> None:
    wrong = answered(1, owner="anna", digest=DIGESTS["anna"], reason="answered with the file of anna")
    assert found([wrong, answered(2)], window(excused=frozenset({"ann"}))) == {Invariant.OWN_SERVER}


def test_many_violations_of_a_kind_are_counted_and_not_all_listed() -> None:
    judgement = judge([refused(number / 10) for number in range(50)], [], {})
    assert len(judgement.violations) == 6
    assert judgement.violations[-1].text == "and 45 more like this"


SERVERS = st.frozensets(st.sampled_from(["ann/", "anna/", "ben/", "ben/thesis"]))


@given(SERVERS, SERVERS, SERVERS, SERVERS)
def test_states_differ_unless_all_of_them_show_the_same_servers(
    pods: frozenset[str], servers: frozenset[str], routes: frozenset[str], replica: frozenset[str]
) -> None:
    state = State(pods, servers, routes, {"proxy-1": pods, "proxy-2": replica})
    assert (state.differences() == []) == (pods == servers == routes == replica)


def test_a_difference_names_the_part_and_the_server() -> None:
    state = State(frozenset({"ann/"}), frozenset(), frozenset({"ann/", "ben/"}), {"proxy-1": frozenset({"ann/"})})
    assert state.differences() == ["left over in the routes: ben/", "missing in the hub: ann/"]


def test_a_disk_that_is_gone_or_another_is_lost() -> None:
    before = {"claim-ann": "1", "claim-ben": "2", "claim-eve": "3"}
    after = {"claim-ann": "1", "claim-ben": "4", "claim-new": "5"}
    texts = ["the disk claim-ben was deleted", "the disk claim-eve was deleted"]
    assert lost_disks(before, after) == [Violation(Invariant.DISKS, text) for text in texts]
    assert lost_disks(before, dict(before)) == []


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "-"), (0, "0"), (12.0, "12"), (1.25, "1.2"), (0.034, "0.03"), (0.0004, "0"), (1, "1"), (300.04, "300.0")],
)
def test_numbers_are_short(value: float | None, text: str) -> None:
    assert shown(value) == text


def test_a_record_says_when_it_was_over() -> None:
    assert refused(1, latency=2.0).over == START + 3
    assert dataclasses.replace(opened(1), latency=2.0).over == START + 1


def test_a_wrong_answer_is_among_the_reasons() -> None:
    answers = ("302 /hub/user/ann/", "503 away", "503 away")
    verdict = judge_fault([answered(1)], window(measured={Measure.WRONG: 3}, wrong=answers))
    told = "a new server's address answered: "
    assert verdict.reasons == {f"{told}302 /hub/user/ann/": 1, f"{told}503 away": 2}
