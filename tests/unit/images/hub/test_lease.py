"""What a candidate does, by table."""

from __future__ import annotations

import pytest
from campus_hub.lease import Candidate, Record, Step, Times

TIMES = Times(duration=6, deadline=4, retry=1)


def candidate(*, strict: bool = True) -> Candidate:
    return Candidate("me", TIMES, strict)


def holder(*, strict: bool = True) -> Candidate:
    """A candidate that asked for the Lease at 100 and got it."""
    found = candidate(strict=strict)
    found.saw(None, 99)
    found.wrote(Record("1", "me", 6), 100)
    return found


@pytest.mark.parametrize(
    ("record", "moment", "step"),
    [
        pytest.param(None, 10, Step.WRITE, id="there is no Lease"),
        pytest.param(Record("7", "", 1), 10, Step.WRITE, id="it was released"),
        pytest.param(Record("7", "me", 6), 10, Step.WRITE, id="an earlier run of this pod held it"),
        pytest.param(Record("7", "other", 6), 10, Step.WAIT, id="seen for the first time"),
        pytest.param(Record("7", "other", 6), 15.9, Step.WAIT, id="unchanged, but not for long enough"),
        pytest.param(Record("7", "other", 6), 16, Step.WRITE, id="unchanged for its duration"),
        pytest.param(Record("7", "other", 15), 16, Step.WAIT, id="the holder's duration counts, not ours"),
    ],
)
def test_a_candidate_takes_only_what_is_free(record: Record | None, moment: float, step: Step) -> None:
    one = candidate()
    one.saw(record, 10)
    assert one.plan(moment) is step


def test_a_lease_that_changes_is_alive() -> None:
    one = candidate()
    for second in range(10, 30, 5):
        one.saw(Record(str(second), "other", 6), second)
        assert one.plan(second + 5) is Step.WAIT
    one.saw(Record("25", "other", 6), 30)
    assert one.plan(31) is Step.WRITE


def test_a_candidate_looks_again_when_the_lease_may_be_free() -> None:
    one = candidate()
    one.saw(Record("7", "other", 6), 10)
    assert one.pause(10) == 1
    assert one.pause(15.75) == 0.25
    assert one.pause(17) == 1


@pytest.mark.parametrize(("strict", "step"), [(True, Step.GIVE_UP), (False, Step.WRITE)])
def test_only_a_strict_holder_gives_up_at_its_deadline(strict: bool, step: Step) -> None:
    one = holder(strict=strict)
    assert one.plan(103.9) is Step.WRITE
    assert one.plan(104) is step


@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize("now", ["other", ""])
def test_a_holder_gives_up_when_the_lease_is_not_its_own_any_more(strict: bool, now: str) -> None:
    one = holder(strict=strict)
    one.saw(Record("2", now, 6), 101)
    assert one.plan(101) is Step.GIVE_UP


def test_the_deadline_counts_from_the_question_not_from_the_answer() -> None:
    one = holder()
    one.wrote(Record("2", "me", 6), 102)
    assert one.until == 106


def test_a_strict_holder_does_not_sleep_beyond_its_deadline() -> None:
    assert holder().pause(103.5) == 0.5
    assert holder(strict=False).pause(103.5) == 1
