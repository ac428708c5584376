"""A release that is stopped anywhere takes no work that has a claim, and goes on when it is repeated."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from ansible_collections.campus.jupyterhub.plugins.module_utils._cluster import ClusterError
from ansible_collections.campus.jupyterhub.plugins.module_utils._student_disks import STUDENT
from ansible_collections.campus.jupyterhub.tests.unit.plugins.module_utils.fake_cluster import (
    CLAIM,
    NAMESPACE,
    VOLUME,
    FakeCluster,
    KilledError,
)
from ansible_collections.campus.jupyterhub.tests.unit.plugins.module_utils.release_world import (
    interrupted,
    policy_of,
    refusal,
    repeat,
    run,
    with_later_disk,
    world,
)
from ansible_collections.campus.jupyterhub.tests.unit.plugins.module_utils.student_objects import snapshot
from hypothesis import given, settings
from hypothesis import strategies as st

Json = dict[str, Any]


@pytest.fixture
def cluster() -> FakeCluster:
    """The world of every test."""
    return world()


@pytest.fixture
def begun(cluster: FakeCluster) -> FakeCluster:
    """The release of ann's disk was killed when the claim was gone."""
    interrupted(cluster, 1, True, students=["ann"], confirm="delete 1 disk")
    assert cluster.names(CLAIM) == ["claim-bob", "claim-eve"]
    assert cluster.data["pv-claim-ann"] == "present"
    return cluster


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("change", range(6))
def test_killed_anywhere_the_same_call_goes_on(cluster: FakeCluster, change: int, after: bool) -> None:
    interrupted(cluster, change, after, courses=["data8"], confirm="delete 2 disks")
    for name in cluster.names(CLAIM):
        assert policy_of(cluster, f"pv-{name}") == "Retain"
    if cluster.names(VOLUME) != ["pv-claim-eve"]:
        answer = repeat(cluster, courses=["data8"])
        assert {row["state"] for row in answer["disks"]} == {"released"}
    assert cluster.names(VOLUME) == ["pv-claim-eve"]
    assert cluster.names(CLAIM) == ["claim-eve"]


@pytest.mark.parametrize("policy", ["Retain", "Delete"])
def test_a_claim_that_cannot_be_deleted_keeps_its_work_though_nothing_answers_any_more(
    cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch, policy: str
) -> None:
    cluster.found(VOLUME, "pv-claim-ann")["spec"]["persistentVolumeReclaimPolicy"] = policy

    def down(*words: Any) -> Any:
        raise ClusterError("delete", " ".join(map(str, words)), "timed out", "")

    def lost(*words: Any) -> Any:
        for verb in ("get", "list", "patch"):
            monkeypatch.setattr(cluster, verb, down)
        return down(*words)

    with monkeypatch.context() as until_it_answers:
        until_it_answers.setattr(cluster, "delete", lost)
        answer = run(cluster, students=["ann"], confirm="delete 1 disk")
    monkeypatch.undo()
    assert (answer["failed_disks"], answer["disks"][0]["state"]) == (1, "failed")
    assert policy_of(cluster, "pv-claim-ann") == "Retain"
    assert cluster.home_of("claim-ann") == "present"


@pytest.mark.parametrize(
    "options",
    [{"students": ["ann"]}, {"courses": ["data8"], "query": "student == 'ann'"}, {"query": "created < '2026-10'"}],
)
def test_a_disk_whose_claim_a_run_took_away_is_found_as_it_was(begun: FakeCluster, options: Json) -> None:
    (row, *_rest) = run(begun, check_mode=True, **options)["disks"]
    assert (row["student"], row["disk"], row["volume"]) == ("ann", "claim-ann", "pv-claim-ann")
    assert (row["size"], row["last_snapshot"]) == (10 * 1024**3, "2026-11-25T09:00:00Z")


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("change", range(12))
def test_killed_anywhere_nothing_is_left_of_what_goes_with_its_snapshots(
    cluster: FakeCluster, change: int, after: bool
) -> None:
    options: Json = {"courses": ["data8"], "snapshots": True}
    interrupted(cluster, change, after, confirm="delete 2 disks and 2 snapshots", **options)
    for name in cluster.names(CLAIM):
        assert policy_of(cluster, f"pv-{name}") == "Retain"
    if cluster.names(VOLUME) != ["pv-claim-eve"]:
        assert {row["state"] for row in repeat(cluster, **options)["disks"]} == {"released"}
    assert cluster.names(CLAIM) == ["claim-eve"]
    assert cluster.names(VOLUME) == ["pv-claim-eve"]
    assert cluster.names("VolumeSnapshot") == ["claim-eve-20261125-090000"]
    assert cluster.names("VolumeSnapshotContent") == ["snapcontent-claim-eve-20261125-090000"]


def test_a_snapshot_that_does_not_go_keeps_the_volume_by_which_a_repeat_finds_it(
    cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    delete = cluster.delete

    def deleting(kind: str, *words: Any) -> bool:
        if kind == "VolumeSnapshot":
            raise ClusterError("delete", words[0], "timed out", "")
        return delete(kind, *words)

    options: Json = {"students": ["ann"], "snapshots": True}
    with monkeypatch.context() as timing_out:
        timing_out.setattr(cluster, "delete", deleting)
        answer = run(cluster, confirm="delete 1 disk and 1 snapshots", **options)
    assert answer["msg"].startswith("1 of 1 could not be deleted. ann: Could not delete claim-ann-20261125-090000:")
    assert cluster.data["pv-claim-ann"] == "present"
    assert repeat(cluster, **options)["confirmation"] == "delete 1 disk and 1 snapshots"
    assert "claim-ann-20261125-090000" not in cluster.data.keys() | set(cluster.names("VolumeSnapshot"))
    assert "pv-claim-ann" not in cluster.data


@pytest.mark.parametrize("labels", [{}, {STUDENT: "ann"}], ids=["no label", "label"])
def test_a_snapshot_that_the_schedule_took_meanwhile_goes_in_a_repeat(
    cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch, labels: dict[str, str]
) -> None:
    cluster.found(CLAIM, "claim-ann")["metadata"]["labels"].update(labels)
    delete = cluster.delete

    def deleting(kind: str, *words: Any) -> bool:
        if kind == CLAIM:
            cluster.snapshot("2026-11-25T20:00:00Z")["metadata"]["labels"].update(labels)
        return delete(kind, *words)

    options: Json = {"students": ["ann"], "snapshots": True}
    with monkeypatch.context() as meanwhile:
        meanwhile.setattr(cluster, "delete", deleting)
        answer = run(cluster, confirm="delete 1 disk and 1 snapshots", **options)
    assert answer["disks"][0]["message"] == (
        "1 snapshots of the disk claim-ann were taken meanwhile; run again to delete these too, and its volume."
    )
    assert repeat(cluster, **options)["confirmation"] == "delete 1 disk and 1 snapshots"
    assert not [name for name in cluster.data if "-ann" in name]


def test_a_snapshot_on_its_way_out_keeps_no_volume(cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    found = cluster.list

    def listing(kind: str, *words: Any) -> list[Json]:
        items = found(kind, *words)
        if kind == "VolumeSnapshot" and not any("-ann-" in each["metadata"]["name"] for each in items):
            going = snapshot(student="ann")
            going["metadata"]["deletionTimestamp"] = "2026-11-25T20:00:00Z"
            items.append(going)
        return items

    monkeypatch.setattr(cluster, "list", listing)
    answer = run(cluster, students=["ann"], snapshots=True, confirm="delete 1 disk and 1 snapshots")
    assert answer["disks"][0]["state"] == "released"


@pytest.mark.parametrize("uid", ["uid-claim-ann", "later"])
def test_no_volume_is_set_to_be_deleted_before_its_claim_is_known_to_be_gone(
    cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch, uid: str
) -> None:
    get = cluster.get
    patched: list[float] = []

    def still_bound(kind: str, name: str, *words: Any) -> Json | None:
        found = get(kind, name, *words)
        if found and kind == VOLUME and "claim-ann" not in cluster.names(CLAIM):
            found["status"]["phase"] = "Bound" if cluster.seconds < 20 else "Released"
            found["spec"]["claimRef"]["uid"] = uid
        return found

    def patch(kind: str, name: str, space: str | None, body: Json, *words: Any) -> Json:
        if body.get("spec") == {"persistentVolumeReclaimPolicy": "Delete"}:
            patched.append(cluster.seconds)
        return FakeCluster.patch(cluster, kind, name, space, body, *words)

    monkeypatch.setattr(cluster, "get", still_bound)
    monkeypatch.setattr(cluster, "patch", patch)
    (row,) = run(cluster, students=["ann"], confirm="delete 1 disk")["disks"]
    if uid == "later":
        assert row["message"].startswith("The volume pv-claim-ann was given a claim meanwhile;")
        assert (patched, cluster.data["pv-claim-ann"]) == ([], "present")
    else:
        assert (row["state"], [seconds >= 20 for seconds in patched]) == ("released", [True])


def test_a_disk_whose_claim_is_there_is_meant_once(cluster: FakeCluster) -> None:
    interrupted(cluster, 0, True, students=["ann"], confirm="delete 1 disk")
    cluster.found(VOLUME, "pv-claim-ann")["status"]["phase"] = "Released"
    assert run(cluster, check_mode=True, students=["ann"])["confirmation"] == "delete 1 disk"


def test_a_lost_claim_is_no_release_that_began(cluster: FakeCluster) -> None:
    """Its snapshots may be the only copy."""
    del cluster.objects[CLAIM, NAMESPACE, "claim-ann"]
    cluster.found(VOLUME, "pv-claim-ann")["status"]["phase"] = "Released"
    assert "No student 'ann' has a disk here" in refusal(cluster, students=["ann"], snapshots=True)
    answer = run(cluster, check_mode=True, courses=["data8"], snapshots=True)
    assert answer["confirmation"] == "delete 1 disk and 1 snapshots"


def test_a_volume_that_is_gone_too_early_does_not_keep_its_snapshots(
    cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    delete = cluster.delete

    def deleting(kind: str, *words: Any) -> bool:
        if kind == CLAIM:
            del cluster.objects[VOLUME, "", "pv-claim-ann"]
        return delete(kind, *words)

    monkeypatch.setattr(cluster, "delete", deleting)
    answer = run(cluster, students=["ann"], snapshots=True, confirm="delete 1 disk and 1 snapshots")
    assert answer["disks"][0]["state"] == "released"
    assert "claim-ann-20261125-090000" not in cluster.names("VolumeSnapshot")


def test_a_disk_that_has_no_volume_yet_goes_after_the_snapshots_of_its_name(cluster: FakeCluster) -> None:
    item = cluster.found(CLAIM, "claim-ann")
    item["metadata"]["uid"], item["status"]["phase"] = "later", "Pending"
    del item["spec"]["volumeName"], cluster.objects[VOLUME, "", "pv-claim-ann"]
    cluster.objects[CLAIM, NAMESPACE, "claim-ann"]["spec"]["resources"]["requests"]["storage"] = "900Gi"
    options: Json = {"students": ["ann"], "snapshots": True}
    interrupted(cluster, 2, False, confirm="delete 1 disk and 1 snapshots", **options)
    assert "claim-ann-20261125-090000" not in cluster.names("VolumeSnapshot")
    repeat(cluster, **options)
    assert cluster.names(CLAIM) == ["claim-bob", "claim-eve"]


@settings(max_examples=60, deadline=None)
@given(
    kills=st.lists(st.tuples(st.integers(0, 7), st.booleans()), max_size=6),
    with_snapshots=st.booleans(),
    parallel=st.sampled_from([1, 20]),
)
def test_killed_again_and_again_all_of_it_goes_and_nothing_else(
    kills: list[tuple[int, bool]], with_snapshots: bool, parallel: int
) -> None:
    cluster = world()
    cluster.snapshot("2026-11-25T08:00:00Z", student="bob")
    before = set(cluster.objects)
    options: Json = {"courses": ["data8"], "snapshots": with_snapshots, "parallel": parallel}
    for after_changes, after in kills:
        words = run(cluster, check_mode=True, **options)["confirmation"]
        cluster.kill_at, cluster.kill_after = cluster.changes + after_changes, after
        with suppress(KilledError):
            run(cluster, confirm=words, **options)
        cluster.revive()
        cluster.control()
        if cluster.names(VOLUME) == ["pv-claim-eve"]:
            break
    if cluster.names(VOLUME) != ["pv-claim-eve"]:
        repeat(cluster, **options)
    gone = before - set(cluster.objects)
    kinds = {CLAIM, VOLUME} | ({"VolumeSnapshot", "VolumeSnapshotContent"} if with_snapshots else set())
    assert gone == {key for key in before if key[0] in kinds and "-eve" not in key[2]}


def test_a_snapshot_as_new_as_the_one_that_made_it_safe_has_to_be_there(cluster: FakeCluster) -> None:
    """Killed when its snapshots began to go, and then released without them."""
    cluster.snapshot("2026-11-25T08:00:00Z")
    words = "delete 1 disk and 2 snapshots"
    interrupted(cluster, 4, True, students=["ann"], snapshots=True, confirm=words, parallel=1)
    planned = run(cluster, check_mode=True, students=["ann"], hours=0.0)
    assert planned["disks"][0]["last_snapshot"] == "2026-11-25T09:00:00Z"
    cluster.delete("VolumeSnapshot", "claim-ann-20261125-090000", NAMESPACE, "uid-claim-ann-20261125-090000")
    cluster.snapshot("2026-11-25T08:00:00Z")
    assert refusal(cluster, students=["ann"], hours=11.5) == (
        "The disk of ann has lost the snapshot that made it safe to delete it; release it with its snapshots, as was "
        "begun. Nothing was deleted."
    )
    again = "delete 1 disk and 1 snapshots"
    interrupted(cluster, cluster.changes, True, students=["ann"], snapshots=True, confirm=again)
    assert "has lost the snapshot" in refusal(cluster, students=["ann"], hours=11.5)
    repeat(cluster, students=["ann"], hours=11.5, snapshots=True)
    assert "pv-claim-ann" not in cluster.data


def test_what_was_begun_without_its_snapshots_is_not_released_with_them_unless_it_is_safe(cluster: FakeCluster) -> None:
    interrupted(cluster, 2, True, students=["ann"], confirm="delete 1 disk")
    assert run(cluster, check_mode=True, students=["ann"], hours=0.0, snapshots=True)["changed"]
    cluster.found("VolumeSnapshot", "claim-ann-20261125-090000")["status"]["readyToUse"] = False
    assert "its claim is gone" in refusal(cluster, students=["ann"], hours=0.0, snapshots=True)


def test_snapshots_of_a_later_disk_of_that_name_stay(cluster: FakeCluster) -> None:
    former = cluster.snapshot("2026-11-24T08:00:00Z")
    former["metadata"]["annotations"]["campus.jupyterhub/claim-uid"] = "earlier"
    interrupted(cluster, 1, True, students=["ann"], snapshots=True, confirm="delete 1 disk and 2 snapshots")
    with_later_disk(cluster)
    later = cluster.snapshot("2026-11-25T10:00:00Z")
    later["metadata"]["annotations"]["campus.jupyterhub/claim-uid"] = "later"
    planned = run(cluster, check_mode=True, students=["ann"], snapshots=True)["disks"]
    assert {row["volume"]: row["snapshots"] for row in planned} == {
        "pv-claim-ann": ["claim-ann-20261125-090000"],
        "pv-later": ["claim-ann-20261124-080000", "claim-ann-20261125-100000"],
    }
    repeat(cluster, query="volume == 'pv-claim-ann'", snapshots=True)
    assert cluster.home_of("claim-ann") == "new work"
    left = [name for name in cluster.names("VolumeSnapshot") if "-ann-" in name]
    assert left == ["claim-ann-20261124-080000", "claim-ann-20261125-100000"]


def test_what_was_begun_asks_for_a_young_snapshot_again(begun: FakeCluster) -> None:
    said = refusal(begun, students=["ann"], hours=10.0, confirm="delete 1 disk")
    assert said == (
        "The disk of ann has no good snapshot since 2026-11-25T10:00:00Z; its claim is gone, so none can be taken: "
        "release it with more hours. Nothing was deleted."
    )
    repeat(begun, students=["ann"], hours=12.0)
    assert "pv-claim-ann" not in begun.names(VOLUME)


def test_a_later_disk_of_that_name_is_another(begun: FakeCluster) -> None:
    with_later_disk(begun)
    assert "The disk of ann has no good snapshot" in refusal(begun, students=["ann"])
    begun.server("claim-ann")
    assert "The disk of ann is in use" in refusal(begun, students=["ann"])
    answer = repeat(begun, query="volume == 'pv-claim-ann'")
    assert [row["volume"] for row in answer["disks"]] == ["pv-claim-ann"]
    assert "pv-claim-ann" not in begun.names(VOLUME)
    assert begun.home_of("claim-ann") == "new work"


@pytest.mark.parametrize("change", ["claimed", "claimed and left", "of another hub", "put back", "not begun"])
def test_a_volume_that_is_no_longer_what_was_begun_is_let_be(begun: FakeCluster, change: str) -> None:
    volume = begun.found(VOLUME, "pv-claim-ann")
    if change == "claimed":
        volume["status"]["phase"] = "Bound"
    elif change == "claimed and left":
        volume["spec"]["claimRef"]["uid"] = "later"
    elif change == "of another hub":
        volume["spec"]["claimRef"]["namespace"] = "other"
    elif change == "put back":
        volume["metadata"]["annotations"]["campus.jupyterhub/replaced"] = "{}"
    else:
        del volume["metadata"]["annotations"]["campus.jupyterhub/releasing"]
    assert "No student 'ann' has a disk here" in refusal(begun, students=["ann"], confirm="delete 1 disk")
