"""What a restore is going to do, and what it refuses."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from ansible_collections.campus.jupyterhub.plugins.module_utils._disk_snapshots import (
    CLAIM_UID,
    Snapshot,
    snapshot_of,
)
from ansible_collections.campus.jupyterhub.plugins.module_utils._restore_plan import (
    PATH,
    SIDE,
    WHOLE,
    Plan,
    home_path,
    plan,
    request_of,
    snapshot_for,
)
from ansible_collections.campus.jupyterhub.plugins.module_utils._student_disks import Disk, SelectionError
from ansible_collections.campus.jupyterhub.tests.unit.plugins.module_utils.student_objects import disk, snapshot
from hypothesis import given
from hypothesis import strategies as st

NOW = datetime(2026, 11, 26, 10, tzinfo=UTC)
DISKS = [disk("ann"), disk("bob"), disk("bob", name="claim-bob--lab"), disk("eve")]
TAKEN = [
    snapshot("2026-11-23T09:00:00Z"),
    snapshot("2026-11-24T09:00:00Z"),
    snapshot("2026-11-25T09:00:00Z", ready=False, name="unready"),
    snapshot("2026-11-25T10:00:00Z", error="disk on fire", name="failed"),
    snapshot("2026-11-25T09:00:00Z", student="bob"),
    snapshot("2026-11-25T09:00:00Z", student="eve", ready=False),
    snapshot("2026-11-20T09:00:00Z", student="gone"),
]


def planned(**options: Any) -> Plan:
    request = request_of({"student": "ann", **options}, NOW)
    return plan(request, DISKS, map(snapshot_of, TAKEN))


@pytest.mark.parametrize(
    ("options", "taken"),
    [
        ({}, "2026-11-24T09:00:00Z"),
        ({"time": "2026-11-24T10:00:00+01:00"}, "2026-11-24T09:00:00Z"),
        ({"time": "2026-11-24T09:59:59+01:00"}, "2026-11-23T09:00:00Z"),
        ({"time": "2026-11-26T09:00:00Z"}, "2026-11-24T09:00:00Z"),
        ({"snapshot": "claim-ann-20261123-090000"}, "2026-11-23T09:00:00Z"),
        ({"student": "bob", "disk": "claim-bob"}, "2026-11-25T09:00:00Z"),
        ({"student": "gone"}, "2026-11-20T09:00:00Z"),
    ],
)
def test_which_snapshot(options: dict[str, str], taken: str) -> None:
    assert planned(**options).as_dict()["taken"] == taken


FUTURE = snapshot("2026-11-26T10:05:01Z", name="future")
AHEAD = snapshot("2026-11-26T10:05:00Z", name="a-little-ahead")


@pytest.mark.parametrize(
    ("options", "items", "chosen"),
    [
        ({}, [*TAKEN, FUTURE], "claim-ann-20261124-090000"),
        ({}, [*TAKEN, AHEAD, FUTURE], "a-little-ahead"),
        ({"time": "2026-11-26T10:00:00Z"}, [*TAKEN, AHEAD, FUTURE], "claim-ann-20261124-090000"),
        ({"snapshot": "future"}, [*TAKEN, FUTURE], "future"),
    ],
)
def test_a_snapshot_that_is_dated_in_the_future_is_not_the_newest(
    options: dict[str, Any], items: list[dict[str, Any]], chosen: str
) -> None:
    found = plan(request_of({"student": "ann", **options}, NOW), DISKS, map(snapshot_of, items))
    assert found.snapshot.name == chosen


def test_snapshots_that_are_all_dated_in_the_future() -> None:
    with pytest.raises(SelectionError, match="are dated in the future, so the newest is not known; name one by snap"):
        plan(request_of({"student": "ann"}, NOW), DISKS, [snapshot_of(FUTURE)])


def of_claim(name: str, student: str, taken: str, uid: str = "an earlier claim") -> Snapshot:
    """A snapshot of a claim that was this student's then."""
    item = snapshot(taken, student=student)
    item["spec"]["source"]["persistentVolumeClaimName"] = name
    item["metadata"]["annotations"][CLAIM_UID] = uid
    return snapshot_of(item)


@pytest.mark.parametrize("disks", [[disk("ann")], []], ids=["claim is there", "claim is gone"])
@pytest.mark.parametrize("order", [1, -1])
def test_of_a_claim_that_was_another_students_before_only_the_own_snapshots(disks: list[Disk], order: int) -> None:
    taken = [
        of_claim("claim-ann", "ann", "2026-11-22T09:00:00Z"),
        of_claim("claim-ann", "bob", "2026-11-23T09:00:00Z"),
    ][::order]
    found = plan(request_of({"student": "ann"}, NOW), disks, taken)
    assert (found.disk, found.snapshot.student) == ("claim-ann", "ann")
    named = request_of({"student": "ann", "snapshot": "claim-bob-20261123-090000"}, NOW)
    with pytest.raises(SelectionError, match="ann has no snapshot 'claim-bob-20261123-090000'"):
        plan(named, disks, taken)


def test_a_snapshot_of_the_very_claim_is_the_students_whatever_its_name_was() -> None:
    taken = [of_claim("claim-ann", "ann.b", "2026-11-22T09:00:00Z", disk("ann").uid)]
    assert plan(request_of({"student": "ann"}, NOW), [disk("ann")], taken).snapshot.student == "ann.b"


def test_where_a_path_goes() -> None:
    found = planned(path="hw//./lab3.ipynb", timezone="Europe/Berlin")
    assert (found.mode, found.path, found.into) == (PATH, "hw/lab3.ipynb", "restored/2026-11-24 1000")
    assert found.keep_side_disk is False
    assert planned(path="hw", into="back/").into == "back"
    assert planned(path="hw", keep_side_disk=True).keep_side_disk is True
    assert found.sentence() == (
        "'hw/lab3.ipynb' of snapshot claim-ann-20261124-090000 of 2026-11-24T09:00:00Z goes into the folder "
        "'restored/2026-11-24 1000' of ann's home."
    )


def test_a_side_disk_is_kept() -> None:
    found = planned(to="ann-in-november")
    assert (found.mode, found.side_disk, found.keep_side_disk, found.into) == (SIDE, "ann-in-november", True, "")
    assert found.size == 10 * 1024**3


def test_a_whole_disk_gets_no_smaller_than_it_is() -> None:
    large = disk("ann", size="20Gi")
    request = request_of({"student": "ann", "whole_disk": True, "time": "2026-11-26T09:00:00Z"}, NOW)
    found = plan(request, [large], map(snapshot_of, TAKEN))
    assert (found.mode, found.size, found.keep_side_disk) == (WHOLE, 20 * 1024**3, False)


def test_a_driver_that_does_not_say_how_much_a_snapshot_needs() -> None:
    item = snapshot()
    del item["status"]["restoreSize"]
    request = request_of({"student": "ann"}, NOW)
    assert plan(request, [disk("ann", size="3Gi")], [snapshot_of(item)]).size == 3 * 1024**3


def test_the_same_restore_has_the_same_name_and_another_has_another() -> None:
    variants: list[dict[str, Any]] = [
        {},
        {"path": "hw"},
        {"path": "hw", "into": "back"},
        {"path": "hw", "to": "side"},
        {"path": "hw", "snapshot": "claim-ann-20261123-090000"},
        {"whole_disk": True, "snapshot": "claim-ann-20261123-090000"},
    ]
    names = [planned(**each).run for each in variants]
    assert len(set(names)) == len(variants)
    assert names == [planned(**each).run for each in variants]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"student": "anna"}, "No student 'anna' has a disk here; did you mean ann?"),
        ({"student": "zzzzz"}, "No student 'zzzzz' has a disk here; there are ann, bob, eve, gone."),
        ({"student": "bob"}, "bob has 2 disks; name one by disk: claim-bob, claim-bob--lab."),
        (
            {"student": "bob", "disk": "claim-ann"},
            "bob has no disk 'claim-ann'; did you mean claim-bob or claim-bob--lab?",
        ),
        (
            {"time": "2026-11-01T00:00:00Z"},
            "ann has no snapshot of 2026-11-01T00:00:00Z or before; the first is of 2026-11-23T09:00:00Z.",
        ),
        ({"time": "yesterday"}, "'yesterday' is no time; write it as 2026-11-25T09:00:00+01:00."),
        ({"time": "0001-01-01T00:00:00+14:00"}, "'0001-01-01T00:00:00+14:00' is no time;"),
        ({"time": "9999-12-31T23:59:59-14:00"}, "'9999-12-31T23:59:59-14:00' is no time;"),
        ({"time": "2026-11-24T09:00:00"}, "'2026-11-24T09:00:00' does not say which time zone;"),
        ({"time": "2027-01-01T00:00:00Z"}, "'2027-01-01T00:00:00Z' has not been yet;"),
        ({"snapshot": "unready"}, "The snapshot unready is not ready yet;"),
        ({"snapshot": "failed"}, "The snapshot failed failed (disk on fire);"),
        (
            {"snapshot": "claim-ann-20261123"},
            "ann has no snapshot 'claim-ann-20261123'; did you mean claim-ann-2026112",
        ),
        ({"student": "eve"}, "eve has no good snapshot yet, of 1 that were begun."),
        ({"student": "gone", "path": "hw"}, "gone has no disk to restore into; use whole_disk"),
        ({"path": "/etc/passwd"}, "path '/etc/passwd' is not inside the home;"),
        ({"path": "hw/../../x"}, "path 'hw/../../x' is not inside the home;"),
        ({"path": "."}, "path '.' is the whole home;"),
        ({"path": "hw", "into": "../x"}, "into '../x' is not inside the home;"),
        ({"path": "hw", "whole_disk": True}, "path and whole_disk exclude each other;"),
        ({"time": "2026-11-24T09:00:00Z", "snapshot": "x"}, "snapshot and time exclude each other;"),
        ({"whole_disk": True}, "A whole disk is replaced only when the snapshot or the time is named."),
        ({"to": "Ann's"}, "'Ann's' is no name for a side disk;"),
        ({"to": "claim-bob--lab"}, "'claim-bob--lab' is the name of a student's disk; choose another name by to."),
        ({"to": "claim-gone", "path": "hw"}, "'claim-gone' is the name of a student's disk; choose another"),
        ({"timezone": "Mars/Base"}, "'Mars/Base' is no time zone;"),
        ({"timezone": "../../etc/passwd"}, "'../../etc/passwd' is no time zone;"),
    ],
)
def test_refusals(options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(SelectionError) as raised:
        planned(**options)
    assert str(raised.value).startswith(sentence)
    assert "\n" not in str(raised.value)


@given(st.text(st.sampled_from("./ab\0ü\n"), max_size=12))
def test_a_path_is_inside_the_home_or_refused(text: str) -> None:
    try:
        found = home_path(text, "path")
    except SelectionError:
        names = text.split("/")
        assert text.startswith("/") or ".." in names or "\0" in text or not set(names) - {"", "."}
    else:
        assert not found.startswith("/")
        assert not {"", ".", "..", "\0"} & set(found.split("/"))


@given(st.lists(st.tuples(st.integers(0, 50), st.booleans(), st.booleans())), st.integers(0, 60))
def test_the_newest_good_one_at_the_time_or_before(taken: list[tuple[int, bool, bool]], asked: int) -> None:
    begin = datetime(2026, 11, 1, tzinfo=UTC)
    items = [
        snapshot(
            f"{begin + timedelta(hours=hour):%Y-%m-%dT%H:%M:%SZ}",
            name=f"s{index}",
            ready=ready,
            error="broken" if broken else "",
        )
        for index, (hour, ready, broken) in enumerate(taken)
    ]
    own = sorted(map(snapshot_of, items), key=lambda each: (each.taken, each.name))
    request = request_of({"student": "ann", "time": f"{begin + timedelta(hours=asked):%Y-%m-%dT%H:%M:%SZ}"}, NOW)
    good = [hour for hour, ready, _broken in taken if ready and hour <= asked]
    if good:
        assert snapshot_for(request, own).taken == begin + timedelta(hours=max(good))
    else:
        with pytest.raises(SelectionError):
            snapshot_for(request, own)
