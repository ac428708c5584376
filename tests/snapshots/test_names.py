"""Names that no Kubernetes object could have: each student has a disk of their own, and finds it again."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from ansible_collections.campus.jupyterhub.tests.cluster.support import Site, Student
from ansible_collections.campus.jupyterhub.tests.snapshots.conftest import together
from ansible_collections.campus.jupyterhub.tests.snapshots.world import IS_FULL, World

CAPITALS = "Ada.King@Uni.Example"
TWIN = "ada_king@uni.example"
"""Only a hash tells its disk's name from that of the one above."""
LONG = "maximilian.alexander.von.und.zu.hohenlohe.langenburg.schillingsfuerst.1@uni.example"
MORE = (LONG.replace(".1@", ".2@"), "李明")
"""In the full form: another beyond the 60th character alone, and one without a letter that Kubernetes knows."""


@pytest.fixture
def students(site: Site, password: str) -> Iterator[list[Student]]:
    """The students, whose servers run."""
    names = [CAPITALS, TWIN, LONG, *(MORE if IS_FULL else ())]
    # JupyterHub takes capitals for small letters.
    students = [Student(site.url, name.lower(), password, typed=name) for name in names]
    together(students, Student.start)
    yield students
    together(students, Student.stop)


def test_each_has_a_disk_of_their_own_and_finds_it_again(
    site: Site, world: World, password: str, students: list[Student]
) -> None:
    for student in students:
        student.write("whose.txt", student.name)
    disks = {student.name: world.disk(student.name) for student in students}
    assert len({disk.spec.volume_name for disk in disks.values()}) == len(students)
    stems = [disks[name].metadata.name.rpartition("---")[0] for name in (CAPITALS.lower(), TWIN)]
    assert stems[0] == stems[1] != ""
    together(students, Student.stop)
    together(students, Student.start)
    assert [student.read("whose.txt") for student in students] == [student.name for student in students]
    again = {student.name: world.disk(student.name) for student in students}
    assert {name: disk.metadata.uid for name, disk in again.items()} == {
        name: disk.metadata.uid for name, disk in disks.items()
    }
    small = Student(site.url, CAPITALS.lower(), password)
    assert small.read("whose.txt") == CAPITALS.lower()
