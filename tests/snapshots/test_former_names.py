"""Disks from before this hub: named by KubeSpawner's older scheme or by today's, they stay their students'."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from ansible_collections.campus.jupyterhub.tests.cluster.support import Site, Student, wait_until
from ansible_collections.campus.jupyterhub.tests.snapshots.conftest import together
from ansible_collections.campus.jupyterhub.tests.snapshots.objects import claim, pod
from ansible_collections.campus.jupyterhub.tests.snapshots.world import World
from kubespawner.slugs import escape_slug, safe_slug

SIGN = 'for folder in /disks/*; do basename "$folder" >"$folder/disk.txt"; done'


def older(student: str) -> str:
    """Name of a disk as KubeSpawner made it before 7."""
    return f"claim-{escape_slug(student)}"


def today(student: str) -> str:
    """Name of a disk as KubeSpawner makes it since 7."""
    return f"claim-{safe_slug(student, max_length=48)}"


@dataclass
class Legacy:
    """Two students of whom the hub knows nothing yet; on each disk a file says its claim's name.

    Attributes:
        only_older: has a disk named by the older scheme.
        both: has one of each.
    """

    only_older: Student
    both: Student


@pytest.fixture
def legacy(site: Site, world: World, mia: Student, password: str) -> Iterator[Legacy]:
    """The students, whose servers have never run, and their disks."""
    own = uuid.uuid4().hex[:6]
    one, two = f"old.{own}@uni.example", f"both.{own}@uni.example"
    disks = {older(one): one, older(two): two, today(two): two}
    size = world.disk(mia.name).spec.resources.requests["storage"]
    core, name = world.kube.core, f"sign-{own}"
    for disk, student in disks.items():
        labels = {
            "app": "jupyterhub",
            "chart": "jupyterhub-3.3.8",
            "heritage": "jupyterhub",
            "release": "jupyterhub",
            "hub.jupyter.org/username": escape_slug(student),
        }
        core.create_namespaced_persistent_volume_claim(world.namespace, claim(student, size, disk, labels=labels))
    image = world.kube.pod_of(mia.name).spec.containers[0].image
    signing = pod(name, image, ["sh", "-c", SIGN], {disk: f"/disks/{disk}" for disk in disks})
    core.create_namespaced_pod(world.namespace, signing)

    def signed() -> bool:
        phase = core.read_namespaced_pod(name, world.namespace).status.phase
        assert phase != "Failed", world.kube.log_of(name)
        return bool(phase == "Succeeded")

    wait_until("the disks are signed", signed, 120)
    core.delete_namespaced_pod(name, world.namespace)
    found = Legacy(Student(site.url, one, password), Student(site.url, two, password))
    yield found
    together([found.only_older, found.both], Student.stop)
    for disk in disks:
        core.delete_namespaced_persistent_volume_claim(disk, world.namespace)


def names(world: World, student: Student) -> set[str]:
    """Names of a student's claims."""
    return {disk.metadata.name for disk in world.disks(student.name)}


def test_the_very_disk_is_mounted_and_no_other_made(world: World, legacy: Legacy) -> None:
    together([legacy.only_older, legacy.both], Student.start)
    assert legacy.only_older.read("disk.txt").strip() == older(legacy.only_older.name)
    assert legacy.both.read("disk.txt").strip() == today(legacy.both.name)
    # What KubeSpawner 7.1 itself forgets with the first stop.
    legacy.only_older.stop()
    legacy.only_older.start()
    assert legacy.only_older.read("disk.txt").strip() == older(legacy.only_older.name)
    assert names(world, legacy.only_older) == {older(legacy.only_older.name)}
    assert names(world, legacy.both) == {older(legacy.both.name), today(legacy.both.name)}
