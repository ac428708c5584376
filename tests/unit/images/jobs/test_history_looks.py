"""Who looks into which snapshot: one each, not too many, not for longer than needed, and nothing left behind."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from typing import Any

import pytest
from ansible_collections.campus.jupyterhub.plugins.module_utils._cluster import ClusterError
from ansible_collections.campus.jupyterhub.plugins.module_utils._disk_snapshots import Snapshot, snapshot_of
from ansible_collections.campus.jupyterhub.plugins.module_utils._side_disk_run import RestoreError
from ansible_collections.campus.jupyterhub.tests.unit.images.jobs.history_world import until
from ansible_collections.campus.jupyterhub.tests.unit.plugins.module_utils.student_objects import snapshot
from campus_history.looks import FAILED, MOST_EACH, NO_ANSWER, PREPARING, READY, BusyError, Looks
from campus_history.put_backs import DONE, PutBacks
from campus_history.put_backs import FAILED as NOT_BACK

IDLE = 600.0


class Disks:
    """Makes nothing, and says what it would have made."""

    def __init__(self) -> None:
        self.there: set[str] = set()
        self.gate = threading.Event()
        self.gate.set()
        self.errors: list[Exception] = []

    def open(self, student: str, snapshot: Snapshot, name: str, token: str) -> str:
        self.there.add(name)
        assert self.gate.wait(10)
        for error in self.errors:
            raise error
        return f"http://{student}/{snapshot.name}"

    def close(self, name: str) -> None:
        self.there.discard(name)

    def put_back(self, student: str, snapshot: Snapshot, path: str, begun: Any) -> dict[str, Any]:
        begun(f"run-{student}")
        assert self.gate.wait(10)
        for error in self.errors:
            raise error
        return {"target": f"restored/{path}", "files": 2}


class Clock:
    """A clock that stands still."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def disks() -> Disks:
    return Disks()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def looks(disks: Disks, clock: Clock) -> AsyncIterator[Looks]:
    made = Looks(disks, 2, IDLE, clock)
    yield made
    disks.gate.set()
    await made.end_all()
    assert disks.there == made.names == set()


def one(student: str = "ann", day: int = 25) -> Snapshot:
    return snapshot_of(snapshot(f"2026-11-{day}T09:00:00Z", student=student))


async def ready(looks: Looks, student: str = "ann", day: int = 25) -> Any:
    found = looks.look(student, one(student, day))
    await until(lambda: found.state != PREPARING)
    return found


async def test_a_second_request_finds_the_same(looks: Looks, disks: Disks) -> None:
    disks.gate.clear()
    first = looks.look("ann", one())
    assert first.state == PREPARING
    assert looks.look("ann", one()) is first
    disks.gate.set()
    await until(lambda: first.state == READY)
    assert first.address == "http://ann/claim-ann-20261125-090000"
    assert disks.there == {first.name}


async def test_another_snapshot_ends_the_first(looks: Looks, disks: Disks) -> None:
    await ready(looks)
    second = await ready(looks, day=26)
    await until(lambda: disks.there == {second.name})


async def test_one_that_is_not_wanted_any_more_goes_as_soon_as_it_is_there(looks: Looks, disks: Disks) -> None:
    disks.gate.clear()
    first = looks.look("ann", one())
    second = looks.look("ann", one(day=26))
    await until(lambda: disks.there == {first.name, second.name})
    disks.gate.set()
    await until(lambda: second.state == READY and disks.there == {second.name})
    assert looks.look("ann", one(day=26)) is second


async def test_a_student_who_goes_from_one_to_the_next_leaves_room_for_others(disks: Disks, clock: Clock) -> None:
    looks = Looks(disks, 10, IDLE, clock)
    disks.gate.clear()
    for day in range(11, 11 + MOST_EACH):
        looks.look("ann", one(day=day))
    last = looks.look("ann", one(day=10 + MOST_EACH))
    with pytest.raises(BusyError, match="still being closed"):
        looks.look("ann", one(day=25))
    assert not last.unwanted
    looks.look("ben", one("ben"))
    disks.gate.set()
    await until(lambda: len(looks.names) == 2)
    looks.look("ann", one(day=25))
    await looks.end_all()
    assert disks.there == set()


async def test_no_more_than_so_many_at_once(looks: Looks) -> None:
    for student in ("ann", "ben"):
        await ready(looks, student)
    with pytest.raises(BusyError, match="Many students"):
        looks.look("cem", one("cem"))
    looks.end(looks.look("ann", one()))
    await until(lambda: len(looks.names) == 1)
    assert (await ready(looks, "cem")).state == READY


async def test_what_nobody_uses_goes_and_what_is_read_stays(looks: Looks, disks: Disks, clock: Clock) -> None:
    ann, ben = await ready(looks, "ann"), await ready(looks, "ben")
    with looks.reading(ben):
        clock.seconds = IDLE + 1
        looks.end_idle()
        await until(lambda: disks.there == {ben.name})
    looks.end_idle()
    assert looks.look("ben", one("ben")) is ben
    clock.seconds += IDLE + 1
    looks.end_idle()
    await until(lambda: not disks.there)
    assert ann.unwanted


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (RestoreError("There is no room."), "There is no room."),
        (ClusterError("make", "a disk", "internal.name refused", ""), NO_ANSWER),
    ],
)
async def test_a_failure_is_told_once_and_tried_anew(looks: Looks, disks: Disks, error: Exception, why: str) -> None:
    disks.errors = [error]
    assert (await ready(looks)).state == FAILED
    await until(lambda: not disks.there)
    found = looks.look("ann", one())
    assert (found.state, found.why) == (FAILED, why)
    disks.errors = []
    assert (await ready(looks)).state == READY


async def test_tokens_and_names_are_of_one_look(looks: Looks) -> None:
    ann, ben = await ready(looks, "ann"), await ready(looks, "ben")
    assert len({ann.token, ben.token}) == len({ann.name, ben.name}) == 2
    assert len(ann.token) > 30


async def test_what_was_put_back_is_told(disks: Disks) -> None:
    backs = PutBacks(disks, 1)
    assert backs.last("ann") is None
    disks.gate.clear()
    backs.begin("ann", one(), "hw")
    await until(lambda: backs.names == {"run-ann"})
    with pytest.raises(BusyError, match="still being copied"):
        backs.begin("ann", one(), "hw")
    with pytest.raises(BusyError, match="Much is being put back"):
        backs.begin("ben", one("ben"), "hw")
    disks.gate.set()
    last = backs.last("ann")
    assert last is not None
    await until(lambda: last.state == DONE)
    assert (last.target, last.files, backs.names) == ("restored/hw", 2, set())
    assert backs.last("ben") is None


@pytest.mark.parametrize("error", [RestoreError("No room."), ClusterError("a", "b", "c", "")])
async def test_why_nothing_was_put_back_is_told(disks: Disks, error: Exception) -> None:
    backs = PutBacks(disks, 1)
    disks.errors = [error]
    backs.begin("ann", one(), "hw")
    last = backs.last("ann")
    assert last is not None
    await until(lambda: last.state == NOT_BACK)
    assert last.why == (str(error) if isinstance(error, RestoreError) else NO_ANSWER)
    await asyncio.sleep(0)
