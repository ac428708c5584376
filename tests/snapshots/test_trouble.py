"""Snapshots while what makes them dies, and disks that somebody tries to take away; in the full form alone."""

from __future__ import annotations

import subprocess
import uuid
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote

import pytest
from ansible_collections.campus.jupyterhub.tests.cluster.support import Kube, Student, ready, wait_until
from ansible_collections.campus.jupyterhub.tests.snapshots.objects import claim
from ansible_collections.campus.jupyterhub.tests.snapshots.world import DRIVER, FULL, GROUP, STORAGE, World

pytestmark = FULL

SNAPSHOT = "student_disk_snapshot"
CONTROLLER = "app=jupyterhub,component=snapshot-controller"
MANY = "component=singleuser-storage,test=many"
COUNT = 40


@pytest.fixture(scope="module")
def many(world: World, mia: Student) -> Iterator[list[str]]:
    """Disks of students who are not at work, made without pods, so that there is something to be in the middle of."""
    node = world.kube.pod_of(mia.name).spec.node_name
    own = uuid.uuid4().hex[:6]
    students = [f"many-{own}-{number:02d}" for number in range(COUNT)]
    for student in students:
        selected = {"volume.kubernetes.io/selected-node": node}
        body = claim(student, "16Mi", labels={"test": "many"}, annotations=selected)
        world.kube.core.create_namespaced_persistent_volume_claim(world.namespace, body)
    wait_until("the disks are made", lambda: all(one.status.phase == "Bound" for one in claims(world)), 120)
    world.module(SNAPSHOT, students=students)
    yield students
    for student in students:
        world.kube.core.delete_namespaced_persistent_volume_claim(f"claim-{student}", world.namespace)


def claims(world: World) -> list[Any]:
    """The many disks."""
    return list(world.kube.core.list_namespaced_persistent_volume_claim(world.namespace, label_selector=MANY).items)


def kill(kube: Kube, selector: str) -> None:
    """End the pods of a part without a grace."""
    for pod in kube.pods(selector, STORAGE):
        kube.core.delete_namespaced_pod(pod.metadata.name, STORAGE, grace_period_seconds=0)


def in_the_middle(world: World, process: subprocess.Popen[str], under_way: Callable[[], bool]) -> None:
    """Wait until a run has begun and has not ended."""
    wait_until("the run is under way", lambda: under_way() or process.poll() is not None, 60)
    assert process.poll() is None, "it ended before anything could be broken"


@pytest.mark.parametrize("selector", [DRIVER, CONTROLLER], ids=["driver", "controller"])
def test_what_dies_in_the_middle_of_a_run_leaves_nothing_behind(world: World, many: list[str], selector: str) -> None:
    before = len(world.snapshots())
    with world.running(SNAPSHOT, students=many, parallel=COUNT, timeout=240) as process:
        in_the_middle(world, process, lambda: len(world.snapshots()) > before)
        kill(world.kube, selector)
        output, errors = process.communicate(timeout=400)
    assert process.returncode == 0, output + errors
    assert all(snapshot.ready for snapshot in world.snapshots())
    with world.running(SNAPSHOT, students=many, take=False, keep_last=1, timeout=240) as process:
        held = len(world.handles())
        in_the_middle(world, process, lambda: len(world.handles()) < held or len(world.snapshots()) < held)
        kill(world.kube, selector)
        output, errors = process.communicate(timeout=400)
    assert process.returncode == 0, output + errors
    wait_until("the part is back", lambda: all(ready(pod) for pod in world.kube.pods(selector, STORAGE)), 120)
    world.nothing_leaks()
    assert {len(world.snapshots(student)) for student in many} == {1}


def test_two_runs_over_the_same_disks_at_once(world: World, many: list[str]) -> None:
    with world.running(SNAPSHOT, students=many, keep_last=2) as one, world.running(SNAPSHOT, students=many) as other:
        ended = [process.communicate(timeout=400) for process in (one, other)]
    assert [process.returncode for process in (one, other)] == [0, 0], ended
    assert all(len(world.snapshots(student)) >= 2 for student in many)
    world.nothing_leaks()


def test_a_claim_that_is_going_is_skipped_and_its_disk_stays(world: World, mia: Student) -> None:
    mia.write("essay.txt", "second draft")
    world.module(SNAPSHOT, students=[mia.name])
    claim = world.disk(mia.name)
    volume = claim.spec.volume_name
    world.kube.core.delete_namespaced_persistent_volume_claim(claim.metadata.name, world.namespace)
    (row,) = world.module(SNAPSHOT, students=[mia.name])["disks"]
    assert (row["state"], row["message"]) == ("skipped", "it is being deleted")
    assert mia.read("essay.txt") == "second draft"
    mia.stop()
    former = wait_until("the claim is gone", lambda: released(world, volume), 60)
    assert former.spec.persistent_volume_reclaim_policy == "Retain"
    newest = world.snapshots(mia.name)[-1]
    world.module("student_disk_restore", student=mia.name, snapshot=newest.name, whole_disk=True)
    mia.start()
    assert mia.read("essay.txt") == "second draft"


def released(world: World, name: str) -> Any:
    """The volume once its claim is gone, else None."""
    volume = world.kube.core.read_persistent_volume(name)
    return volume if volume.status.phase == "Released" else None


def test_a_student_who_is_deleted_keeps_the_disk(world: World, noah: Student, admin_password: str) -> None:
    noah.write("thesis.txt", "all of it")
    volume = world.disk(noah.name).spec.volume_name
    admin = Student(world.site.url, "admin", admin_password)
    noah.stop()
    admin.ask("DELETE", f"hub/api/users/{quote(noah.name)}", expected=(204,))
    assert world.disk(noah.name).spec.volume_name == volume
    noah.log_in_again()
    noah.start()
    assert noah.read("thesis.txt") == "all of it"


def test_what_is_not_ours_is_never_removed(world: World, mia: Student) -> None:
    disk = world.disk(mia.name).metadata.name
    body = {
        "apiVersion": "snapshot.storage.k8s.io/v1",
        "kind": "VolumeSnapshot",
        "metadata": {"name": "by-somebody-else", "namespace": world.namespace},
        "spec": {"volumeSnapshotClassName": "jupyterhub", "source": {"persistentVolumeClaimName": disk}},
    }
    place = (*GROUP, world.namespace, "volumesnapshots")
    world.objects.create_namespaced_custom_object(*place, body)
    try:
        world.module(SNAPSHOT, students=[mia.name], keep_last=1, max_delete_fraction=1)
        names = [item["metadata"]["name"] for item in world.objects.list_namespaced_custom_object(*place)["items"]]
        assert "by-somebody-else" in names
    finally:
        world.objects.delete_namespaced_custom_object(*place, "by-somebody-else")
    (ours,) = world.snapshots(mia.name)
    assert ours.ready
