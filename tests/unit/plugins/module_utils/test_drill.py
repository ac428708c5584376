"""A drill finds what cannot be restored or is not what it was, and leaves nothing behind."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from ansible_collections.campus.jupyterhub.plugins.module_utils._cluster import ClusterError
from ansible_collections.campus.jupyterhub.plugins.module_utils._drill import COMPARE, MARK, READER, RECORD, trials
from ansible_collections.campus.jupyterhub.plugins.module_utils._drill_run import ARGUMENTS, drill
from ansible_collections.campus.jupyterhub.plugins.module_utils._manifest import (
    MANIFEST,
    Comparison,
    comparison_of,
)
from ansible_collections.campus.jupyterhub.plugins.module_utils._side_disk import LABELS
from ansible_collections.campus.jupyterhub.plugins.module_utils._side_disk_run import RestoreError, SideDisks
from ansible_collections.campus.jupyterhub.plugins.module_utils._snapshot_remove import Clock
from ansible_collections.campus.jupyterhub.plugins.module_utils._student_disks import SelectionError
from ansible_collections.campus.jupyterhub.tests.unit.plugins.module_utils.fake_cluster import (
    CLAIM,
    NAMESPACE,
    POD,
    SNAPSHOT,
    VOLUME,
    FakeCluster,
    KilledError,
)
from ansible_collections.campus.jupyterhub.tests.unit.plugins.module_utils.student_objects import disk, snapshot
from hypothesis import given
from hypothesis import strategies as st

Json = dict[str, Any]

NOW = datetime(2026, 11, 26, 10, tzinfo=UTC)
STUDENTS = ("ann", "bob", "eve")


@pytest.fixture
def cluster() -> FakeCluster:
    """Three students with a snapshot each; a pod reports what is on its side disk."""
    made = FakeCluster()
    for student in STUDENTS:
        made.disk(student)
        made.snapshot(student=student, data=f"work of {student}")

    def answer(pod: Json) -> Json:
        claim = pod["spec"]["volumes"][0]["persistentVolumeClaim"]["claimName"]
        text = made.home_of(claim)
        return {"root": text, "files": 1, "folders": 0, "links": 0, "bytes": len(text), "parts": {"essay": text}}

    made.answers = answer
    return made


def run(cluster: FakeCluster, check_mode: bool = False, now: datetime = NOW, **options: Any) -> Json:
    defaults = {name: each.get("default") for name, each in ARGUMENTS.items()}
    given_options = {**defaults, "students": [], "courses": [], "namespace": NAMESPACE, **options}
    sides = SideDisks(cluster, NAMESPACE, 100, Clock(cluster.clock, cluster.sleep))
    return drill(cluster, given_options, check_mode, sides, now)


def states(answer: Json) -> list[tuple[str, str]]:
    return [(row["student"], row["state"]) for row in answer["disks"]]


def leftovers(cluster: FakeCluster) -> dict[str, list[str]]:
    return {kind: cluster.names(kind) for kind in (CLAIM, VOLUME, POD)}


def test_what_was_recorded_is_found_again(cluster: FakeCluster) -> None:
    before = leftovers(cluster)
    first = run(cluster)
    assert states(first) == [("ann", "recorded"), ("bob", "recorded"), ("eve", "recorded")]
    assert (first["changed"], first["failed_trials"]) == (True, 0)
    second = run(cluster)
    assert states(second) == [("ann", "equal"), ("bob", "equal"), ("eve", "equal")]
    assert (second["changed"], second["failed_trials"]) == (True, 0)
    assert second["msg"] == "3 snapshots were restored and are what was recorded; 0 were recorded anew."
    assert leftovers(cluster) == before


def test_a_snapshot_that_has_changed_is_named(cluster: FakeCluster) -> None:
    run(cluster)
    cluster.data["claim-bob-20261125-090000"] = "rotten"
    answer = run(cluster)
    assert states(answer) == [("ann", "equal"), ("bob", "different"), ("eve", "equal")]
    assert answer["disks"][1]["differs"] == ["essay"]
    assert answer["msg"] == "1 of 3 trials failed. claim-bob-20261125-090000 of bob: differs in essay."
    assert answer["failed_trials"] == 1
    (event,) = [cluster.found("Event", name) for name in cluster.names("Event")]
    assert (event["reason"], event["involvedObject"]["name"]) == ("SnapshotDiffers", "claim-bob")
    assert event["message"] == ("The snapshot claim-bob-20261125-090000 is not what was recorded of it: essay.")


def test_what_a_comparison_found_stays_with_the_snapshot(cluster: FakeCluster) -> None:
    run(cluster)
    items = {each: cluster.found(SNAPSHOT, f"claim-{each}-20261125-090000") for each in ("ann", "bob")}
    assert [comparison_of(item) for item in items.values()] == [None, None]
    cluster.data["claim-bob-20261125-090000"] = "rotten"
    run(cluster)
    assert noted(cluster) == {"ann": Comparison(NOW, True), "bob": Comparison(NOW, False), "eve": Comparison(NOW, True)}
    cluster.data["claim-bob-20261125-090000"] = "work of bob"
    run(cluster)
    assert noted(cluster)["bob"] == Comparison(NOW, True)


def noted(cluster: FakeCluster) -> dict[str, Comparison | None]:
    return {each: comparison_of(cluster.found(SNAPSHOT, f"claim-{each}-20261125-090000")) for each in STUDENTS}


def test_a_comparison_that_may_not_be_noted_counts_all_the_same(
    cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(cluster)

    def forbidden(*_arguments: Any) -> Json:
        raise ClusterError("change", "it", "forbidden", "Grant it.", 403)

    monkeypatch.setattr(cluster, "patch", forbidden)
    assert states(run(cluster)) == [("ann", "equal"), ("bob", "equal"), ("eve", "equal")]


@pytest.mark.parametrize("after", [False, True], ids=["before a change", "after it"])
def test_whenever_a_drill_is_killed_a_later_one_leaves_nothing(cluster: FakeCluster, after: bool) -> None:
    before = leftovers(cluster)
    run(cluster, students=["ann"])
    for change in range(cluster.changes):
        cluster.found(SNAPSHOT, "claim-ann-20261125-090000")["metadata"]["annotations"].pop(MANIFEST, None)
        cluster.changes, cluster.kill_at, cluster.kill_after = 0, change, after
        with pytest.raises(KilledError):
            run(cluster, students=["ann"], sample=1)
        cluster.revive()
        # At once, it may still go on; later nobody comes back to a snapshot that is in no sample again.
        later = datetime(2026, 11, 26, 12, tzinfo=UTC)
        run(cluster, students=["bob"], now=later)
        assert leftovers(cluster) == before


def test_side_disks_that_somebody_else_made_stay(cluster: FakeCluster) -> None:
    old = {"creationTimestamp": "2026-11-25T10:00:00Z", "namespace": NAMESPACE}
    restored = {"kind": CLAIM, "metadata": {**old, "name": "restore-1", "labels": dict(LABELS)}}
    foreign = {"kind": CLAIM, "metadata": {**old, "name": "mine", "labels": {MARK: READER}}}
    for item in (restored, foreign):
        cluster.put({**item, "spec": {"volumeName": "v"}, "status": {"phase": "Bound"}})
    run(cluster)
    assert {"restore-1", "mine"} <= set(cluster.names(CLAIM))


def test_what_goes_on_elsewhere_is_left_alone(cluster: FakeCluster) -> None:
    meta = {"name": "restore-2", "namespace": NAMESPACE, "labels": {**LABELS, MARK: READER}}
    made = {"kind": CLAIM, "metadata": {**meta, "creationTimestamp": "2026-11-26T09:55:00Z"}}
    cluster.put({**made, "spec": {"volumeName": "v"}, "status": {"phase": "Bound"}})
    run(cluster)
    assert "restore-2" in cluster.names(CLAIM)
    run(cluster, now=datetime(2026, 11, 26, 12, tzinfo=UTC))
    assert "restore-2" not in cluster.names(CLAIM)


def test_a_drill_marks_what_it_makes(cluster: FakeCluster) -> None:
    run(cluster, students=["ann"])
    (reader,) = cluster.pods_run
    assert reader["metadata"]["labels"] == {**LABELS, MARK: READER}


def test_each_hour_has_a_sample_of_its_own(cluster: FakeCluster) -> None:
    def sample(hour: int) -> str:
        (row,) = run(cluster, check_mode=True, sample=1, now=datetime(2026, 11, 26, hour, 37, tzinfo=UTC))["disks"]
        return str(row["student"])

    assert sample(8) == sample(8)
    assert len({sample(hour) for hour in range(24)}) == len(STUDENTS)


def test_one_that_cannot_be_restored_does_not_stop_the_others(cluster: FakeCluster) -> None:
    before = leftovers(cluster)
    healthy = cluster.answers

    def answer(pod: Json) -> Json:
        broken = cluster.home_of(pod["spec"]["volumes"][0]["persistentVolumeClaim"]["claimName"]) == "work of ann"
        return {"error": "Input/output error"} if broken else healthy(pod)

    cluster.answers = answer
    found = run(cluster)
    assert states(found) == [("ann", "failed"), ("bob", "recorded"), ("eve", "recorded")]
    assert found["msg"] == "1 of 3 trials failed. claim-ann-20261125-090000 of ann: Input/output error."
    assert leftovers(cluster) == before


def test_the_newest_snapshot_is_recorded_and_the_newest_record_compared(cluster: FakeCluster) -> None:
    run(cluster, students=["ann"])
    cluster.snapshot("2026-11-26T09:00:00Z", "new work")
    answer = run(cluster, students=["ann"])
    assert [(row["action"], row["taken"], row["state"]) for row in answer["disks"]] == [
        ("compare", "2026-11-25T09:00:00Z", "equal"),
        ("record", "2026-11-26T09:00:00Z", "recorded"),
    ]
    (row,) = run(cluster, students=["ann"])["disks"]
    assert (row["taken"], row["state"]) == ("2026-11-26T09:00:00Z", "equal")


def test_check_mode_tells_and_does_nothing(cluster: FakeCluster) -> None:
    answer = run(cluster, check_mode=True, sample=2)
    assert [state for _student, state in states(answer)] == ["planned", "planned"]
    assert answer["msg"] == "2 snapshots would be restored to side disks."
    assert cluster.changes == 0


def test_only_one_action(cluster: FakeCluster) -> None:
    assert run(cluster, actions=["compare"])["disks"] == []
    assert len(run(cluster, actions=["record"])["disks"]) == 3


def test_what_cannot_be_meant(cluster: FakeCluster) -> None:
    with pytest.raises(RestoreError, match="There is no StorageClass none to make side disks in"):
        run(cluster, scratch_class="none")
    with pytest.raises(SelectionError, match="No student 'anna' has a disk here"):
        run(cluster, students=["anna"])
    assert cluster.changes == 0


@given(st.integers(0, 12), st.integers(0, 15), st.text())
def test_a_sample_is_as_large_as_asked_and_the_same_for_the_same_seed(count: int, sample: int, seed: str) -> None:
    names = [f"s{number:02}" for number in range(count)]
    items = [snapshot(student=name) for name in names]
    for item in items[::2]:
        item["metadata"]["annotations"][MANIFEST] = json.dumps({"root": "r"})
    found = trials([disk(name) for name in names], items, [COMPARE, RECORD], sample, seed)
    for action, there in ((COMPARE, len(names[::2])), (RECORD, len(names[1::2]))):
        assert sum(each.action == action for each in found) == (min(sample, there) if sample else there)
    assert found == trials([disk(name) for name in names], items, [COMPARE, RECORD], sample, seed)
    assert len({each.disk.name for each in found}) == len(found)


def test_bad_snapshots_are_no_proof() -> None:
    items = [snapshot(ready=False), snapshot("2026-11-24T09:00:00Z", error="broken")]
    assert trials([disk("ann")], items, [COMPARE, RECORD], 0, "") == []


@pytest.mark.parametrize(
    ("option", "value", "sentence"),
    [("sample", -1, "sample is -1; it is at least 0."), ("timeout", 0, "timeout is 0; it is at least 1.")],
)
def test_numbers_that_cannot_be_meant(cluster: FakeCluster, option: str, value: int, sentence: str) -> None:
    options: Json = {option: value}
    with pytest.raises(SelectionError) as raised:
        run(cluster, **options)
    assert (str(raised.value), cluster.changes) == (sentence, 0)


def test_a_class_that_would_keep_the_copies_is_refused(cluster: FakeCluster) -> None:
    with pytest.raises(RestoreError, match="The StorageClass jupyterhub retains its volumes"):
        run(cluster, scratch_class="jupyterhub")
    assert cluster.changes == 0
