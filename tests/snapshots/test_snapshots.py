"""Snapshots on a real cluster: taken of running servers, pruned, given back, by the schedule and by hand."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from ansible_collections.campus.jupyterhub.tests.cluster.support import Student, wait_until
from ansible_collections.campus.jupyterhub.tests.snapshots.world import GROUP, Failed, World

SNAPSHOT = "student_disk_snapshot"


def test_a_working_students_disk_is_kept_as_it_is(world: World, mia: Student, noah: Student) -> None:
    mia.write("essay.txt", "first draft")
    result = world.module(SNAPSHOT, students=[mia.name, noah.name], reason="a test")
    assert {disk["student"]: disk["state"] for disk in result["disks"]} == {mia.name: "taken", noah.name: "taken"}
    kept = world.snapshots(mia.name)[-1]
    assert (kept.ready, kept.reason, kept.disk_uid) == (True, "a test", world.disk(mia.name).metadata.uid)
    assert mia.run("print(6 * 7)") == "42\n"
    world.nothing_leaks()


def test_check_mode_tells_and_does_nothing(world: World, mia: Student) -> None:
    before = world.snapshots(mia.name)
    result = world.module(SNAPSHOT, check=True, students=[mia.name], keep_last=1)
    assert (result["changed"], result["taken"]) == (True, 1)
    assert [line for line in result["diff"]["after"].splitlines() if line not in result["diff"]["before"].splitlines()]
    assert world.snapshots(mia.name) == before


def test_old_ones_go_and_their_space_with_them(world: World, mia: Student, noah: Student) -> None:
    world.module(SNAPSHOT, students=[mia.name], keep_last=1, max_delete_fraction=1)
    for _day in range(2):
        world.module(SNAPSHOT, students=[mia.name])
    noon = datetime.now(UTC).replace(hour=12, minute=0, second=0)
    times = (noon - timedelta(days=3), noon - timedelta(days=2), noon - timedelta(days=2, minutes=-30))
    for snapshot, time in zip(world.snapshots(mia.name), times, strict=True):
        world.date(snapshot, time)
    oldest, earlier, later = world.snapshots(mia.name)
    others = world.snapshots(noah.name)
    result = world.module(SNAPSHOT, students=[mia.name], take=False, keep_daily=2, max_delete_fraction=0.4)
    assert (result["disks"][0]["removed"], result["disks"][0]["held_back"]) == ([earlier.name], [])
    assert [one.name for one in world.snapshots(mia.name)] == [oldest.name, later.name]
    assert world.snapshots(noah.name) == others
    world.nothing_leaks()


def test_what_a_killed_run_left_behind_goes(world: World, mia: Student) -> None:
    (row,) = world.module(SNAPSHOT, students=[mia.name])["disks"]
    (lost,) = [snapshot for snapshot in world.snapshots(mia.name) if snapshot.name == row["snapshot"]]
    # As after a run that was killed when it had deleted the snapshot: nobody looks at its content again.
    place = (*GROUP, world.namespace, "volumesnapshots")
    world.objects.delete_namespaced_custom_object(*place, lost.name)
    wait_until("the snapshot is gone", lambda: lost.name not in names(world), 60)
    patch = {"spec": {"deletionPolicy": "Delete"}}
    world.objects.patch_cluster_custom_object(*GROUP, "volumesnapshotcontents", lost.content, patch)
    options: dict[str, Any] = {"take": False, "keep_last": 1000}
    told = world.module(SNAPSHOT, check=True, **options)
    assert lost.content in [each["content"] for each in told["left_behind"]]
    assert lost.content in contents(world)
    done = world.module(SNAPSHOT, **options)
    assert (lost.content, "removed") in [(each["content"], each["state"]) for each in done["left_behind"]]
    assert lost.content not in contents(world)
    assert world.module(SNAPSHOT, **options)["left_behind"] == []
    world.nothing_leaks()


def names(world: World) -> set[str]:
    """Names of all snapshots in the hub's namespace, also of those that are going."""
    items = world.objects.list_namespaced_custom_object(*GROUP, world.namespace, "volumesnapshots")["items"]
    return {item["metadata"]["name"] for item in items}


def contents(world: World) -> set[str]:
    """Names of all contents of snapshots."""
    items = world.objects.list_cluster_custom_object(*GROUP, "volumesnapshotcontents")["items"]
    return {item["metadata"]["name"] for item in items}


def test_two_runs_at_once_do_not_disturb_each_other(world: World, mia: Student, noah: Student) -> None:
    with ThreadPoolExecutor() as pool:
        runs = [pool.submit(world.module, SNAPSHOT, keep_last=5, students=[name]) for name in (mia.name, noah.name)]
        assert [run.result()["taken"] for run in runs] == [1, 1]
    world.nothing_leaks()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"students": ["mja"]}, "No student 'mja' has a disk here; did you mean mia?"),
        ({"snapshot_class": "fast"}, "VolumeSnapshotClass fast: it is not there."),
        ({"keep_last": 0}, "keeps nothing"),
    ],
)
def test_what_cannot_be_meant_changes_nothing(
    world: World, mia: Student, options: dict[str, Any], message: str
) -> None:
    before = world.snapshots()
    with pytest.raises(Failed, match=message.replace("?", r"\?")):
        world.module(SNAPSHOT, **options)
    assert world.snapshots() == before


def test_the_schedule_runs_without_a_hub_and_may_nothing_else(world: World, mia: Student, noah: Student) -> None:
    before = {snapshot.name for snapshot in world.snapshots()}
    world.kube.scale_hub(0)
    try:
        result = world.run_schedule("snapshots")
    finally:
        world.kube.scale_hub(1)
        # The nodes hear of the hub's new address a moment later.
        wait_until("students reach the hub", mia.reaches_hub, 60)
    assert result.get("failed_disks") == 0, result
    new = [snapshot for snapshot in world.snapshots() if snapshot.name not in before]
    assert {mia.name, noah.name} <= {snapshot.student for snapshot in new}
    assert all(snapshot.ready for snapshot in new)
    world.nothing_leaks()
