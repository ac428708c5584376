"""Runs of snapshots against a cluster that does what controllers and drivers do."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from ansible_collections.campus.jupyterhub.plugins.module_utils._cluster import ClusterError
from ansible_collections.campus.jupyterhub.plugins.module_utils._disk_snapshots import TAKEN
from ansible_collections.campus.jupyterhub.plugins.module_utils._snapshot_run import ARGUMENTS, snapshot_disks
from ansible_collections.campus.jupyterhub.plugins.module_utils._student_disks import SelectionError
from ansible_collections.campus.jupyterhub.tests.unit.plugins.module_utils.fake_snapshots import (
    FakeClock,
    FakeCluster,
    KilledError,
    ready,
)
from ansible_collections.campus.jupyterhub.tests.unit.plugins.module_utils.student_objects import claim, snapshot

Json = dict[str, Any]


def options(**given: Any) -> Json:
    """Return the module's options as Ansible fills them in."""
    return {**{name: spec.get("default") for name, spec in ARGUMENTS.items()}, "namespace": "jupyterhub", **given}


def ago(**span: int) -> str:
    """Return a time before now as the API server writes it."""
    return f"{datetime.now(UTC) - timedelta(**span):%Y-%m-%dT%H:%M:%SZ}"


def run(cluster: FakeCluster, *, check: bool = False, **given: Any) -> Json:
    """Run and return what the module would return."""
    report = snapshot_disks(cluster, options(**given), check, FakeClock().clock)
    return {**report.as_dict(), "message": report.message, "diff": dict(report.diff)}


def states(result: Json) -> dict[str, str]:
    """Return the state of each student's disk."""
    return {disk["student"]: disk["state"] for disk in result["disks"]}


def test_every_disk_gets_one_and_all_are_waited_for() -> None:
    cluster = FakeCluster(claim("ann"), claim("bob"))
    result = run(cluster)
    assert states(result) == {"ann": "taken", "bob": "taken"}
    assert (result["changed"], result["taken"], result["removed"], result["message"]) == (True, 2, 0, "")
    assert cluster.names("VolumeSnapshot") == [disk["snapshot"] for disk in result["disks"]]
    assert all(
        item["metadata"]["labels"]["campus.jupyterhub/run"] == f"{result['run']}-0"
        for item in cluster.list("VolumeSnapshot")
    )


def test_no_more_are_under_way_than_allowed() -> None:
    cluster = FakeCluster(*(claim(f"s{number:03d}") for number in range(250)))
    assert run(cluster, parallel=7)["taken"] == 250
    assert max(cluster.under_way) == 7


def test_in_check_mode_nothing_happens_and_the_diff_is_the_plan() -> None:
    old = [snapshot(ago(days=days)) for days in (3, 2, 1)]
    cluster = FakeCluster(claim("ann"), *old)
    result = run(cluster, check=True, keep_last=2)
    assert cluster.names("VolumeSnapshot") == sorted(item["metadata"]["name"] for item in old)
    before, after = (result["diff"][side].splitlines() for side in ("before", "after"))
    assert [line for line in before if line not in after] == [f"ann: {item['metadata']['name']}" for item in old[:2]]
    assert len(after) == 2
    assert (result["changed"], result["taken"], result["removed"]) == (True, 1, 2)


def test_what_goes_frees_its_space() -> None:
    old = [snapshot(ago(days=days)) for days in (3, 2, 1)]
    cluster = FakeCluster(claim("ann"), *old)
    result = run(cluster, keep_last=2)
    assert result["disks"][0]["removed"] == [item["metadata"]["name"] for item in old[:2]]
    assert cluster.names("VolumeSnapshotContent") == [f"snapcontent-{name}" for name in cluster.names("VolumeSnapshot")]
    assert len(cluster.names("VolumeSnapshot")) == 2


def test_a_failure_stops_nothing_and_is_told_beside_the_claim() -> None:
    def finish(item: Json) -> None:
        if item["spec"]["source"]["persistentVolumeClaimName"] == "claim-bob":
            item["status"] = {"error": {"message": "the pool is full"}}
        else:
            ready(item)

    cluster = FakeCluster(claim("ann"), claim("bob"), claim("eve"), finish=finish)
    result = run(cluster)
    assert states(result) == {"ann": "taken", "bob": "failed", "eve": "taken"}
    assert result["message"] == ("1 of 3 disks failed. Could not snapshot the disk claim-bob of bob: the pool is full.")
    (event,) = cluster.objects["Event"].values()
    assert (event["involvedObject"]["uid"], event["reason"], event["type"]) == (
        "uid-claim-bob",
        "SnapshotFailed",
        "Warning",
    )


def test_a_disk_whose_snapshot_failed_loses_no_older_one_for_the_new() -> None:
    def finish(item: Json) -> None:
        item["status"] = {"error": {"message": "the pool is full"}}

    old = snapshot(ago(days=1))
    cluster = FakeCluster(claim("ann"), old, finish=finish)
    assert run(cluster, keep_last=1)["removed"] == 0
    assert old["metadata"]["name"] in cluster.names("VolumeSnapshot")


def test_a_snapshot_that_never_comes_is_given_up() -> None:
    result = run(FakeCluster(claim("ann"), finish=lambda item: None), timeout=60)
    assert states(result) == {"ann": "failed"}
    assert "it was not ready after 60 s" in result["message"]


def test_what_cannot_be_made_says_why() -> None:
    cluster = FakeCluster(claim("ann"), claim("bob"))
    cluster.refused["claim-bob"] = ClusterError("create", "VolumeSnapshot x", "quota exceeded", "Raise it.", 403)
    result = run(cluster)
    assert states(result) == {"ann": "taken", "bob": "failed"}
    assert "quota exceeded" in result["message"]


def test_a_content_that_its_controller_forgot_goes_as_well() -> None:
    old = snapshot(ago(days=2))
    cluster = FakeCluster(claim("ann"), old, snapshot(ago(days=1)))
    cluster.unheard = {f"snapcontent-{old['metadata']['name']}"}
    assert run(cluster, keep_last=2)["removed"] == 1
    assert f"snapcontent-{old['metadata']['name']}" not in cluster.names("VolumeSnapshotContent")


@pytest.fixture
def killed() -> FakeCluster:
    """A run was killed when it had deleted a snapshot, whose content its controller then forgot."""
    old = snapshot(ago(days=2), name="claim-ann-20261123-090000-000")
    cluster = FakeCluster(claim("ann"), old, snapshot(ago(days=1), name="claim-ann-20261124-090000-000"))
    cluster.unheard = {LEFT}
    cluster.kill_at = "VolumeSnapshot"
    with pytest.raises(KilledError):
        run(cluster, take=False, keep_last=1)
    cluster.kill_at = ""
    assert cluster.objects["VolumeSnapshotContent"][LEFT]["spec"]["deletionPolicy"] == "Delete"
    return cluster


LEFT = "snapcontent-claim-ann-20261123-090000-000"


def test_what_a_killed_run_left_behind_goes_in_the_next(killed: FakeCluster) -> None:
    told = run(killed, check=True, take=False, keep_last=1)
    assert [(row["content"], row["state"]) for row in told["left_behind"]] == [(LEFT, "removed")]
    assert (told["changed"], f"left behind: {LEFT}\n" in told["diff"]["before"]) == (True, True)
    assert LEFT in killed.names("VolumeSnapshotContent")
    done = run(killed, take=False, keep_last=1)
    assert (done["left_behind"], done["diff"], done["message"]) == (told["left_behind"], told["diff"], "")
    assert killed.names("VolumeSnapshotContent") == ["snapcontent-claim-ann-20261124-090000-000"]
    again = run(killed, take=False, keep_last=1)
    assert (again["changed"], again["left_behind"]) == (False, [])


@pytest.mark.parametrize("given", [{}, {"keep_last": 1, "students": ["ann"]}], ids=["no policy", "one student"])
def test_only_a_run_that_prunes_all_looks_for_it(killed: FakeCluster, given: Json) -> None:
    assert run(killed, take=False, **given)["left_behind"] == []
    assert LEFT in killed.names("VolumeSnapshotContent")


def test_a_content_whose_snapshot_is_there_is_not_left_behind(killed: FakeCluster) -> None:
    back = snapshot(ago(days=2), name="claim-ann-20261123-090000-000")
    # Nothing lists it as the collection's, and it is there.
    back["metadata"]["labels"] = {}
    killed.objects["VolumeSnapshot"][back["metadata"]["name"]] = back
    assert run(killed, take=False, keep_last=1)["left_behind"] == []
    assert LEFT in killed.names("VolumeSnapshotContent")


def test_what_is_left_behind_and_does_not_go_is_told(killed: FakeCluster) -> None:
    killed.stuck = {LEFT}
    result = run(killed, keep_last=2, timeout=30)
    assert (states(result), result["left_behind"][0]["state"]) == ({"ann": "taken"}, "failed")
    assert result["message"].startswith("What an earlier run left behind is still there. Could not free the space of ")
    assert LEFT not in result["diff"]["before"]


def test_contents_that_cannot_be_listed_undo_nothing_of_a_run(killed: FakeCluster) -> None:
    killed.unlisted["VolumeSnapshotContent"] = ClusterError(
        "list", "VolumeSnapshotContent objects", "forbidden", "Grant it.", 403
    )
    result = run(killed, keep_last=2)
    assert (result["taken"], states(result)) == (1, {"ann": "taken"})
    assert "Could not list VolumeSnapshotContent objects: forbidden. Grant it." in result["message"]


def test_space_that_is_not_freed_is_a_failure() -> None:
    old = snapshot(ago(days=2))
    cluster = FakeCluster(claim("ann"), old, snapshot(ago(days=1)))
    cluster.stuck = {f"snapcontent-{old['metadata']['name']}"}
    result = run(cluster, keep_last=2, timeout=30)
    assert states(result) == {"ann": "failed"}
    assert (result["removed"], result["taken"]) == (0, 1)
    assert f"Could not free the space of the snapshot {old['metadata']['name']}" in result["message"]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"metadata": {"deletionTimestamp": "2026-11-25T09:00:00Z"}}, "it is being deleted"),
        ({"status": {"phase": "Pending"}}, "it has no volume yet"),
    ],
)
def test_a_disk_that_holds_nothing_is_skipped(change: Json, why: str) -> None:
    item = claim("ann")
    for part, values in change.items():
        item[part].update(values)
    (disk,) = run(FakeCluster(item))["disks"]
    assert (disk["state"], disk["message"]) == ("skipped", why)


def test_a_repeat_within_min_age_changes_nothing() -> None:
    cluster = FakeCluster(claim("ann"), snapshot(ago(minutes=10)))
    result = run(cluster, min_age=3600, keep_hourly=24)
    assert (result["changed"], states(result)) == (False, {"ann": "skipped"})
    assert run(cluster, min_age=300)["taken"] == 1


def test_taking_none_only_prunes() -> None:
    cluster = FakeCluster(claim("ann"), *(snapshot(ago(days=days)) for days in (3, 2, 1)))
    result = run(cluster, take=False, keep_last=2)
    assert (result["taken"], result["removed"], len(cluster.names("VolumeSnapshot"))) == (0, 1, 2)


def test_a_snapshot_that_is_going_is_neither_good_nor_counted() -> None:
    going = snapshot(ago(hours=1))
    going["metadata"]["deletionTimestamp"] = ago(minutes=1)
    cluster = FakeCluster(claim("ann"), snapshot(ago(days=2)), going)
    assert run(cluster, take=False, keep_last=1)["removed"] == 0


def test_one_that_cannot_be_read_stops_nothing_and_is_told() -> None:
    unsized, undated = snapshot(ago(days=4), name="unsized"), snapshot(ago(days=3), name="undated")
    unsized["status"]["restoreSize"] = "0"
    undated["metadata"]["annotations"][TAKEN] = "long ago"
    cluster = FakeCluster(claim("ann"), claim("bob"), unsized, undated, snapshot(ago(days=2), name="other"))
    result = run(cluster, keep_last=2)
    assert states(result) == {"ann": "taken", "bob": "taken"}
    assert [disk["removed"] for disk in result["disks"]] == [["unsized"], []]
    assert [disk["strange"] for disk in result["disks"]] == [["undated"], []]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"namespace": ""}, "namespace is empty; name the one that the hub is in, such as jupyterhub."),
        ({"parallel": 0}, "parallel is 0; it is at least 1."),
        ({"max_delete_fraction": 0}, "max_delete_fraction is 0; it is a share above 0, and 1 sets no limit."),
        ({"keep_last": 0}, "keeps nothing"),
        ({"keep_last": 1, "timezone": "Mars/Base"}, "Mars/Base"),
    ],
)
def test_options_that_cannot_be_meant_are_refused_before_anything(given: Json, message: str) -> None:
    cluster = FakeCluster(claim("ann"))
    with pytest.raises(ValueError, match=message):
        run(cluster, **given)
    assert cluster.names("VolumeSnapshot") == []


def test_a_student_without_a_disk_and_a_class_that_is_not_there_are_refused() -> None:
    cluster = FakeCluster(claim("ann"))
    with pytest.raises(SelectionError, match="did you mean ann"):
        run(cluster, students=["anne"])
    with pytest.raises(ClusterError, match=r"VolumeSnapshotClass fast: it is not there\. Name one"):
        run(cluster, snapshot_class="fast")
    assert cluster.names("VolumeSnapshot") == []
