"""Disks are deleted only when all is as it should be and the words are right; then their storage is given back."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.campus.jupyterhub.plugins.module_utils import _release_run
from ansible_collections.campus.jupyterhub.tests.unit.plugins.module_utils.fake_cluster import (
    CLAIM,
    NAMESPACE,
    POD,
    VOLUME,
    FakeCluster,
)
from ansible_collections.campus.jupyterhub.tests.unit.plugins.module_utils.release_world import (
    policy_of,
    refusal,
    run,
    world,
)


@pytest.fixture
def cluster() -> FakeCluster:
    """The world of every test."""
    return world()


def test_a_course_goes_and_its_snapshots_stay(cluster: FakeCluster) -> None:
    answer = run(cluster, courses=["data8"], confirm="delete 2 disks")
    assert [(row["student"], row["state"]) for row in answer["disks"]] == [("ann", "released"), ("bob", "released")]
    assert (answer["changed"], answer["failed_disks"], answer["msg"]) == (True, 0, "")
    assert cluster.names(CLAIM) == ["claim-eve"]
    assert cluster.names(VOLUME) == ["pv-claim-eve"]
    assert len(cluster.names("VolumeSnapshot")) == 3
    assert cluster.data["claim-ann-20261125-090000"] == "old"


def test_snapshots_go_when_that_is_said_too(cluster: FakeCluster) -> None:
    answer = run(cluster, students=["ann"], snapshots=True, confirm="delete 1 disk and 1 snapshots")
    assert answer["disks"][0]["snapshots"] == ["claim-ann-20261125-090000"]
    assert cluster.names("VolumeSnapshot") == ["claim-bob-20261125-090000", "claim-eve-20261125-090000"]
    assert "snapcontent-claim-ann-20261125-090000" not in cluster.names("VolumeSnapshotContent")


@pytest.mark.parametrize(
    "words", ["", "yes", "delete 1 disk", "delete 3 disks", "Delete 2 disks", "delete 2 disks and 2 snapshots"]
)
def test_other_words_delete_nothing(cluster: FakeCluster, words: str) -> None:
    said = refusal(cluster, courses=["data8"], confirm=words)
    assert said == (
        "Nothing was deleted: this deletes for good what ann, bob had. If that is meant, confirm it with the words "
        "'delete 2 disks'."
    )


def test_the_words_for_disks_are_not_those_for_snapshots_too(cluster: FakeCluster) -> None:
    said = refusal(cluster, courses=["data8"], snapshots=True, confirm="delete 2 disks")
    assert said.endswith("'delete 2 disks and 2 snapshots'.")


def test_somebody_has_to_be_named(cluster: FakeCluster) -> None:
    assert refusal(cluster, confirm="delete 3 disks").startswith("Whose disks are to be deleted is not said")
    assert "did you mean ann" in refusal(cluster, students=["anne"], confirm="delete 1 disk")


def test_one_in_use_keeps_all(cluster: FakeCluster) -> None:
    cluster.server("claim-bob")
    said = refusal(cluster, courses=["data8"], confirm="delete 2 disks")
    assert said == "The disk of bob is in use; stop the server first. Nothing was deleted."


@pytest.mark.parametrize("hours", [10.9, 0])
def test_one_without_a_young_snapshot_keeps_all(cluster: FakeCluster, hours: float) -> None:
    said = refusal(cluster, courses=["data8"], hours=hours, confirm="delete 2 disks")
    assert said.startswith("The disk of ann, bob has no good snapshot since 2026-11-25T")
    assert run(cluster, check_mode=True, courses=["data8"], hours=11.1)["changed"]


@pytest.mark.parametrize("trouble", ["failed", "not ready", "of no time", "of another disk"])
def test_a_snapshot_that_keeps_nothing_of_it_does_not_count(cluster: FakeCluster, trouble: str) -> None:
    item = cluster.found("VolumeSnapshot", "claim-ann-20261125-090000")
    if trouble == "failed":
        item["status"].update(readyToUse=False, error={"message": "broken"})
    elif trouble == "not ready":
        item["status"]["readyToUse"] = False
    elif trouble == "of no time":
        item["status"]["creationTime"] = "0001-01-01"
    else:
        cluster.found(CLAIM, "claim-ann")["metadata"]["uid"] = "another"
    assert "The disk of ann has no good snapshot" in refusal(cluster, students=["ann"], confirm="delete 1 disk")


def test_a_snapshot_of_a_clock_that_was_ahead_is_not_young(cluster: FakeCluster) -> None:
    made = cluster.found("VolumeSnapshot", "claim-ann-20261125-090000")
    made["status"]["creationTime"] = "2026-11-25T20:05:01Z"
    assert "The disk of ann has no good snapshot" in refusal(cluster, students=["ann"], confirm="delete 1 disk")
    cluster.snapshot("2026-11-25T08:00:00Z")
    answer = run(cluster, check_mode=True, students=["ann"], snapshots=True)
    assert answer["disks"][0]["last_snapshot"] == "2026-11-25T08:00:00Z"
    assert answer["confirmation"] == "delete 1 disk and 2 snapshots"
    made["status"]["creationTime"] = "2026-11-25T20:05:00Z"
    assert run(cluster, check_mode=True, students=["ann"])["disks"][0]["last_snapshot"] == "2026-11-25T20:05:00Z"


def test_check_mode_says_the_words(cluster: FakeCluster) -> None:
    answer = run(cluster, check_mode=True, students=["eve"])
    assert (answer["confirmation"], answer["disks"][0]["state"]) == ("delete 1 disk", "planned")
    assert answer["disks"][0]["last_snapshot"] == "2026-11-25T09:00:00Z"
    assert answer["diff"]["before"] == f"eve pv-claim-eve {10 * 1024**3}\n"
    assert cluster.changes == 0


def test_a_volume_that_is_not_the_claims_is_let_be(cluster: FakeCluster) -> None:
    cluster.found(CLAIM, "claim-ann")["spec"]["volumeName"] = "pv-claim-eve"
    answer = run(cluster, students=["ann"], confirm="delete 1 disk")
    assert answer["disks"][0]["message"].startswith("The volume pv-claim-eve was given a claim meanwhile;")
    assert (cluster.home_of("claim-eve"), policy_of(cluster, "pv-claim-eve")) == ("present", "Retain")
    assert cluster.changes == 0


def test_a_claim_that_another_took_away_meanwhile_is_let_be(
    cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    planned = _release_run.found_of

    def then_removed(*words: Any) -> Any:
        found = planned(*words)
        cluster.delete(CLAIM, "claim-ann", NAMESPACE, "uid-claim-ann")
        return found

    monkeypatch.setattr(_release_run, "found_of", then_removed)
    answer = run(cluster, students=["ann"], confirm="delete 1 disk")
    assert answer["disks"][0]["message"].startswith("The disk claim-ann was removed meanwhile;")
    assert cluster.data["pv-claim-ann"] == "present"


def test_a_server_that_started_meanwhile_keeps_its_disk(cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    delete = cluster.delete

    def deleting(*words: Any) -> bool:
        cluster.server("claim-bob")
        return delete(*words)

    monkeypatch.setattr(cluster, "delete", deleting)
    answer = run(cluster, courses=["data8"], confirm="delete 2 disks")
    assert [row["state"] for row in answer["disks"]] == ["released", "failed"]
    assert answer["msg"].startswith("1 of 2 could not be deleted. bob: The disk claim-bob is in use by now;")
    assert cluster.home_of("claim-bob") == "present"
    assert policy_of(cluster, "pv-claim-bob") == "Retain"


def test_a_disk_that_somebody_still_holds_is_retained_again(
    cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    delete = cluster.delete

    def deleting(*words: Any) -> bool:
        cluster.server("claim-ann")
        return delete(*words)

    monkeypatch.setattr(cluster, "delete", deleting)
    answer = run(cluster, students=["ann"], confirm="delete 1 disk")
    assert answer["disks"][0]["message"].startswith("Deleting the PersistentVolumeClaim claim-ann took longer")
    assert policy_of(cluster, "pv-claim-ann") == "Retain"
    del cluster.objects[POD, NAMESPACE, "jupyter-claim-ann"]
    cluster.control()
    assert cluster.data["pv-claim-ann"] == "present"


def test_what_a_whole_restore_replaced_can_go(cluster: FakeCluster) -> None:
    replaced = cluster.found(VOLUME, "pv-claim-eve")
    replaced["metadata"] |= {"name": "old", "annotations": {"hub.jupyter.org/username": "ann"}}
    replaced["spec"]["capacity"] = {"storage": "10Gi"}
    replaced["status"]["phase"] = "Released"
    cluster.objects[VOLUME, "", "old"] = replaced
    del cluster.objects[VOLUME, "", "pv-claim-eve"]
    cluster.data["old"] = "older"
    assert run(cluster, check_mode=True, students=["ann"], replaced=True)["disks"] == []
    replaced["metadata"]["annotations"]["campus.jupyterhub/replaced"] = "{}"
    assert run(cluster, check_mode=True, students=["bob"], replaced=True)["disks"] == []
    assert refusal(cluster, students=["ann"], replaced=True, confirm="delete 1 disk").endswith(
        "'delete 1 replaced volume'."
    )
    run(cluster, students=["ann"], replaced=True, confirm="delete 1 replaced volume")
    assert cluster.names(VOLUME) == ["pv-claim-ann", "pv-claim-bob"]
    assert cluster.home_of("claim-ann") == "present"


@pytest.mark.parametrize(
    ("option", "value", "sentence"),
    [
        ("hours", -1.0, "hours is -1; it is between 0 and 87600. Nothing was deleted."),
        ("hours", float("nan"), "hours is nan; it is between 0 and 87600. Nothing was deleted."),
        ("hours", 1e300, "hours is 1e+300; it is between 0 and 87600. Nothing was deleted."),
        ("namespace", "", "namespace is empty; name the one that the hub is in, such as jupyterhub."),
        ("parallel", 0, "parallel is 0; it is at least 1."),
        ("timeout", 0, "timeout is 0; it is at least 1."),
    ],
)
def test_values_that_cannot_be_meant(cluster: FakeCluster, option: str, value: Any, sentence: str) -> None:
    options = {"students": ["ann"], "confirm": "delete 1 disk", option: value}
    assert refusal(cluster, **options) == sentence


def test_snapshots_of_another_student_who_had_a_claim_of_that_name_stay(cluster: FakeCluster) -> None:
    other = cluster.snapshot("2025-11-25T09:00:00Z", student="ann")
    other["metadata"]["annotations"] |= {"hub.jupyter.org/username": "an.n", "campus.jupyterhub/claim-uid": "earlier"}
    run(cluster, students=["ann"], snapshots=True, confirm="delete 1 disk and 1 snapshots")
    assert "claim-ann-20251125-090000" in cluster.names("VolumeSnapshot")
    assert "claim-ann-20261125-090000" not in cluster.names("VolumeSnapshot")


def test_a_disk_that_a_restore_replaced_meanwhile_is_let_be(
    cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    planned = _release_run.found_of

    def then_replaced(*words: Any) -> Any:
        found = planned(*words)
        cluster.found(CLAIM, "claim-ann")["metadata"]["uid"] = "of the restore"
        return found

    monkeypatch.setattr(_release_run, "found_of", then_replaced)
    answer = run(cluster, students=["ann"], confirm="delete 1 disk")
    assert answer["disks"][0]["message"].startswith("The disk claim-ann was replaced meanwhile;")
    assert policy_of(cluster, "pv-claim-ann") == "Retain"
    assert cluster.home_of("claim-ann") == "present"


def test_a_replaced_volume_that_is_claimed_meanwhile_is_let_be(
    cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    volume = cluster.found(VOLUME, "pv-claim-eve")
    volume["metadata"]["annotations"] = {"hub.jupyter.org/username": "ann", "campus.jupyterhub/replaced": "{}"}
    volume["status"]["phase"] = "Released"
    planned = _release_run.found_of

    def then_claimed(*words: Any) -> Any:
        found = planned(*words)
        volume["status"]["phase"] = "Bound"
        return found

    monkeypatch.setattr(_release_run, "found_of", then_claimed)
    answer = run(cluster, students=["ann"], replaced=True, confirm="delete 1 replaced volume")
    assert answer["disks"][0]["message"].startswith("The volume pv-claim-eve was given a claim meanwhile;")
    assert policy_of(cluster, "pv-claim-eve") == "Retain"


def test_a_replaced_volume_of_a_student_whose_disk_is_gone_can_go(cluster: FakeCluster) -> None:
    volume = cluster.found(VOLUME, "pv-claim-eve")
    volume["metadata"]["annotations"] = {"hub.jupyter.org/username": "eve", "campus.jupyterhub/replaced": "{}"}
    volume["status"]["phase"] = "Released"
    del cluster.objects[CLAIM, NAMESPACE, "claim-eve"]
    planned = run(cluster, check_mode=True, students=["eve"], replaced=True)
    assert [row["volume"] for row in planned["disks"]] == ["pv-claim-eve"]
    assert run(cluster, check_mode=True, courses=["data8"], replaced=True)["disks"] == []
    both = run(cluster, check_mode=True, students=["eve", "ann"], courses=["data8"], replaced=True)
    assert [row["student"] for row in both["disks"]] == ["eve"]
    assert "No student 'eve'" in refusal(cluster, students=["eve"], query="student != ''", replaced=True)
    assert "No student 'zoe'" in refusal(cluster, students=["eve", "zoe"], replaced=True)
    run(cluster, students=["eve"], replaced=True, confirm="delete 1 replaced volume")
    assert cluster.names(VOLUME) == ["pv-claim-ann", "pv-claim-bob"]
