"""What comes back on a real cluster: a path while the student works, a whole disk, and what a drill finds."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from typing import Any

import pytest
from ansible_collections.campus.jupyterhub.plugins.module_utils._side_disk import LABELS
from ansible_collections.campus.jupyterhub.tests.cluster.support import Kube, Site, Student, wait_until
from ansible_collections.campus.jupyterhub.tests.snapshots.conftest import at_work
from ansible_collections.campus.jupyterhub.tests.snapshots.work import FILL, work_of
from ansible_collections.campus.jupyterhub.tests.snapshots.world import Failed, World

RESTORE, SNAPSHOT, DRILL = "student_disk_restore", "student_disk_snapshot", "student_disk_drill"
RESIZE, RELEASE = "student_disk_resize", "student_disk_release"
OURS = ",".join(f"{key}={value}" for key, value in LABELS.items())

FULL = """
import os, shutil
file = os.open('fill', os.O_CREAT | os.O_RDWR)
os.posix_fallocate(file, 0, shutil.disk_usage('.').free - (1 << 20))
"""
NAMES = """
import os
print(sorted(name for name in os.listdir('.') if not name.startswith('.')), os.path.exists('full/work'))
"""


@pytest.fixture(scope="module")
def lea(site: Site, password: str) -> Student:
    """A student with work worth keeping, whose server runs."""
    student = at_work(site, password, "lea")
    assert student.run(FILL) == ""
    return student


@pytest.fixture(scope="module")
def kept(world: World, lea: Student) -> str:
    """Name of the snapshot of that work."""
    (row,) = world.module(SNAPSHOT, students=[lea.name])["disks"]
    return str(row["snapshot"])


@pytest.fixture(autouse=True)
def nothing_left(kube: Kube) -> Iterator[None]:
    """No test leaves a side disk or a pod of a restore behind."""
    yield
    wait_until("no side disk is left", lambda: not leftovers(kube), 60)


def leftovers(kube: Kube) -> list[str]:
    """Names of the side disks and pods of restores."""
    claims = kube.core.list_namespaced_persistent_volume_claim(kube.namespace, label_selector=OURS).items
    return [each.metadata.name for each in [*claims, *kube.pods(OURS)]]


def test_a_folder_comes_back_while_the_student_works(world: World, lea: Student, kept: str) -> None:
    before = work_of(lea)
    lea.run("import pathlib; pathlib.Path('work/übung 1/0.txt').write_text('spoilt')")
    spoilt = work_of(lea)
    assert spoilt != before
    answer = world.module(RESTORE, student=lea.name, snapshot=kept, path="work")
    assert work_of(lea, answer["target"]) == before
    assert work_of(lea) == spoilt
    assert answer["files"] == 202
    again = world.module(RESTORE, student=lea.name, snapshot=kept, path="work")
    assert again["target"] == f"{answer['target']} (2)"
    size = lea.run(f"import os; print(os.stat({answer['target'] + '/übung 1/sparse'!r}).st_blocks * 512)")
    assert int(size) < 1 << 20


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"path": "wrok"}, "'wrok' is not in the snapshot; did you mean work"),
        ({"path": "../x"}, "is not inside the home"),
        ({"path": "work", "time": "2000-01-01T00:00:00Z"}, "lea has no snapshot of 2000-01-01T00:00:00Z or before"),
        ({"student": "lee", "path": "work"}, "No student 'lee' has a disk here; did you mean lea"),
        ({"path": "work", "scratch_class": "none"}, "There is no StorageClass none"),
        ({"whole_disk": True, "time": "2000-01-01T00:00:00Z"}, "has no snapshot of"),
    ],
)
def test_what_cannot_be_meant_changes_nothing(
    world: World, lea: Student, kept: str, options: dict[str, Any], message: str
) -> None:
    before = work_of(lea), lea.run(NAMES)
    with pytest.raises(Failed, match=message):
        world.module(RESTORE, **{"student": lea.name, **options})
    assert (work_of(lea), lea.run(NAMES)) == before


def test_a_hostile_home_gets_nothing_anywhere_else(world: World, lea: Student, kept: str) -> None:
    lea.run("import os; os.symlink('/tmp', 'trap')")
    with pytest.raises(Failed, match="'trap' is a link in the home folder"):
        world.module(RESTORE, student=lea.name, snapshot=kept, path="work", into="trap/x")


def test_no_room_for_the_copy(world: World, lea: Student, kept: str) -> None:
    assert lea.run(FULL) == ""
    try:
        with pytest.raises(Failed, match="There is no room for the restore"):
            world.module(RESTORE, student=lea.name, snapshot=kept, path="work", into="full")
        assert lea.run(NAMES).endswith("False\n")
    finally:
        lea.run("import os; os.remove('fill')")


def test_check_mode_tells_and_does_nothing(world: World, lea: Student, kept: str) -> None:
    before = work_of(lea), lea.run(NAMES)
    answer = world.module(RESTORE, check=True, student=lea.name, snapshot=kept, path="work")
    assert answer["plan"].startswith(f"'work' of snapshot {kept} of ")
    assert (work_of(lea), lea.run(NAMES)) == before


def test_a_drill_finds_what_was_recorded(world: World, lea: Student, kept: str) -> None:
    recorded = world.module(DRILL, students=[lea.name], actions=["record"])
    assert [row["state"] for row in recorded["disks"]] == ["recorded"]
    compared = world.module(DRILL, students=[lea.name], actions=["compare"])
    assert [row["state"] for row in compared["disks"]] == ["equal"]
    assert compared["disks"][0]["files"] >= 202


def test_a_disk_that_is_in_use_is_not_replaced(world: World, lea: Student, kept: str) -> None:
    with pytest.raises(Failed, match="stop the server of lea first"):
        world.module(RESTORE, student=lea.name, snapshot=kept, whole_disk=True)


def test_a_whole_disk_comes_back_after_the_run_was_killed(world: World, lea: Student, kept: str) -> None:
    before = world.disk(lea.name)
    lea.run("import shutil; shutil.rmtree('work')")
    lea.write("later.txt", "written later")
    lea.stop()
    options: dict[str, Any] = {"student": lea.name, "snapshot": kept, "whole_disk": True}
    with world.running(RESTORE, **options) as process:
        # The new volume is reserved and the present disk not yet given up, or the other way round: both must do.
        wait_until("the restore is under way", lambda: pending(world) or process.poll() is not None, 300)
        process.send_signal(signal.SIGKILL)
    answer = world.module(RESTORE, **options)
    after = world.disk(lea.name)
    assert (after.metadata.name, after.metadata.labels) == (before.metadata.name, before.metadata.labels)
    assert after.spec.volume_name != before.spec.volume_name
    former = world.kube.core.read_persistent_volume(before.spec.volume_name)
    assert (former.status.phase, former.spec.persistent_volume_reclaim_policy) == ("Released", "Retain")
    assert answer["volume"] == after.spec.volume_name
    assert not pending(world)
    lea.start()
    assert lea.run("import os; print(sorted(os.listdir('work/übung 1'))[:2], os.path.exists('later.txt'))") == (
        "['0.txt', '1.txt'] False\n"
    )
    (newest,) = [one for one in world.snapshots(lea.name) if one.reason == "before-restore"][-1:]
    world.module(RESTORE, student=lea.name, snapshot=newest.name, path="later.txt", into="back")
    assert lea.read("back/later.txt") == "written later"
    world.nothing_leaks()


def pending(world: World) -> list[Any]:
    """Volumes that are about to take the place of a student's."""
    selector = "campus.jupyterhub/restore=pending"
    return list(world.kube.core.list_persistent_volume(label_selector=selector).items)


def test_a_disk_grows_and_never_shrinks(world: World, lea: Student) -> None:
    has = int(world.module(RESIZE, check=True, students=[lea.name], size="100Gi")["disks"][0]["before"])
    with pytest.raises(Failed, match="A disk never shrinks"):
        world.module(RESIZE, students=[lea.name], size=str(has // 2))
    (row,) = world.module(RESIZE, students=[lea.name], size=str(has + (64 << 20)))["disks"]
    assert row["state"] in ("grown", "at_next_start")
    assert world.module(RESIZE, students=[lea.name], size=str(has + (64 << 20)))["changed"] is False


def test_a_disk_is_released_only_when_its_number_is_repeated(world: World, lea: Student, kept: str) -> None:
    lea.stop()
    world.module(SNAPSHOT, students=[lea.name])
    volume = world.disk(lea.name).spec.volume_name
    with pytest.raises(Failed, match="confirm it with the words 'delete 1 disk'"):
        world.module(RELEASE, students=[lea.name], confirm="yes")
    assert world.disk(lea.name).spec.volume_name == volume
    freed = world.module(RELEASE, students=[lea.name], replaced=True, confirm="delete 1 replaced volume")
    assert [row["state"] for row in freed["disks"]] == ["released"]
    world.module(RELEASE, students=[lea.name], confirm="delete 1 disk")
    names = [each.metadata.name for each in world.kube.core.list_persistent_volume().items]
    assert volume not in names
    assert [one.name for one in world.snapshots(lea.name) if one.name == kept] == [kept]
    answer = world.module(RESTORE, student=lea.name, snapshot=kept, whole_disk=True)
    assert (answer["kept_volume"], answer["present_snapshot"]) == ("", "")
    lea.start()
    assert lea.run("import os; print(len(os.listdir('work/übung 1')))") == "203\n"
