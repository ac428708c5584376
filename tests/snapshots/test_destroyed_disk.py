"""A disk whose image is destroyed on its node comes back as it was; in the full form alone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from ansible_collections.campus.jupyterhub.tests.cluster.support import Site, Student, wait_until
from ansible_collections.campus.jupyterhub.tests.snapshots.conftest import at_work
from ansible_collections.campus.jupyterhub.tests.snapshots.work import FILL, work_of
from ansible_collections.campus.jupyterhub.tests.snapshots.world import FULL, World

pytestmark = FULL

RESTORE, RELEASE = "student_disk_restore", "student_disk_release"

EMPTIED = "size=$(stat -c %s disk.img) && truncate -s 0 disk.img && truncate -s $size disk.img && echo done"
REMOVED = "rm disk.img && echo done"


@pytest.fixture
def vera(site: Site, world: World, password: str) -> Iterator[Student]:
    """A student with work, whose server runs, and who leaves nothing but the disk behind."""
    student = at_work(site, password, "vera")
    assert student.run(FILL) == ""
    yield student
    student.stop()
    options: dict[str, Any] = {"students": [student.name], "replaced": True}
    world.module(RELEASE, **options, confirm=world.module(RELEASE, check=True, **options)["confirmation"])
    world.lists_agree()


@pytest.mark.parametrize(
    ("command", "options"),
    [(EMPTIED, {}), (REMOVED, {"snapshot_present": False})],
    ids=["emptied", "removed"],
)
def test_a_destroyed_disk_comes_back(world: World, vera: Student, command: str, options: dict[str, Any]) -> None:
    before = work_of(vera)
    (row,) = world.module("student_disk_snapshot", students=[vera.name])["disks"]
    volume = world.disk(vera.name).spec.volume_name
    handle = world.kube.core.read_persistent_volume(volume).spec.csi.volume_handle
    assert not world.unmounted([handle])
    vera.stop()
    wait_until("the disk is not mounted", lambda: world.unmounted([handle]), 60)
    assert world.in_pool(handle, command) == "done\n"
    answer = world.module(RESTORE, student=vera.name, snapshot=row["snapshot"], whole_disk=True, **options)
    assert answer["kept_volume"] == volume
    assert world.disk(vera.name).spec.volume_name == answer["volume"] != volume
    vera.start()
    assert work_of(vera) == before
