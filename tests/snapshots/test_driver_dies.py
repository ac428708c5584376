"""Disks that grow or go while the driver dies in the middle of it; in the full form alone."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from ansible_collections.campus.jupyterhub.plugins.module_utils._build_runtime import find_runtime
from ansible_collections.campus.jupyterhub.plugins.module_utils._quantity import to_bytes
from ansible_collections.campus.jupyterhub.tests.cluster.support import Student, ready, wait_until
from ansible_collections.campus.jupyterhub.tests.faults.nodes import Node
from ansible_collections.campus.jupyterhub.tests.snapshots.crowd import Crowd
from ansible_collections.campus.jupyterhub.tests.snapshots.world import DRIVER, FULL, POOL, STORAGE, World

pytestmark = FULL

COUNT = 16
SIZE, WANTED = 32 << 20, 96 << 20

# On the node, so that nothing comes between the first sign and the signal. Words: the driver's process, the folder of
# the disks, the signal, then what the two below are about.
STRIKE = """
cd "/proc/$0/root$1" || exit 1
signal=$2; shift 2; end=$(($(date +%s) + 50))
until {begun}; do [ "$(date +%s)" -lt $end ] || exit 1; done
kill -$signal "$0"
{done}
"""
# About a line of the records of disks that have grown ...
GROWN = STRIKE.format(begun='grep -qs "$1" */volume.json', done='grep -ls "$1" */volume.json | wc -l')
# ... and about the ids of disks that are to go.
GONE = STRIKE.format(begun='! ls -d "$@" >/dev/null 2>&1', done='echo $(($# - $(ls -d "$@" 2>/dev/null | wc -l)))')


class Driver:
    """The driver of the node that the disks are on, and how it dies."""

    def __init__(self, world: World, node: Node, how: str) -> None:
        self._world = world
        self._node = node
        self._how = how
        (self._pod,) = [pod for pod in world.kube.pods(DRIVER, STORAGE) if pod.spec.node_name == node.name]
        task = node.task(self._pod.metadata.uid, "driver")
        assert task is not None
        self._process = task.pid

    def die_in_the_middle(self, script: str, *words: str) -> int:
        """Die at the first sign that the script looks for; returns how many disks were done then."""
        # A pod takes a moment to go, in which the driver would go on: so it is stopped before.
        signal = "KILL" if self._how == "process" else "STOP"
        done = int(self._node.sh(script, str(self._process), f"{POOL}/volumes", signal, *words))
        if self._how == "pod":
            self._world.kube.core.delete_namespaced_pod(self._pod.metadata.name, STORAGE, grace_period_seconds=0)
        return done

    def back(self) -> None:
        """Wait until a new driver is ready."""

        def another() -> bool:
            pods = [pod for pod in self._world.kube.pods(DRIVER, STORAGE) if pod.spec.node_name == self._node.name]
            tasks = [self._node.task(pod.metadata.uid, "driver") for pod in pods if ready(pod)]
            return any(task and task.pid != self._process for task in tasks)

        wait_until("the driver is back", another, 180)


@pytest.fixture
def crowd(world: World, mia: Student) -> Iterator[Crowd]:
    """Disks that a pod has mounted."""
    image = world.kube.pod_of(mia.name).spec.containers[0].image
    crowd = Crowd(world, image, COUNT, SIZE)
    try:
        crowd.mount()
        yield crowd
    finally:
        crowd.remove()


@pytest.fixture(params=["process", "pod"])
def driver(request: pytest.FixtureRequest, world: World, crowd: Crowd) -> Driver:
    """The driver that has them; its process is killed with -9, or its pod is deleted without a grace."""
    return Driver(world, Node(find_runtime("auto", world.site.folder), crowd.node), request.param)


def test_disks_grow_to_what_was_asked_for(world: World, crowd: Crowd, driver: Driver) -> None:
    with ThreadPoolExecutor() as pool:
        death = pool.submit(driver.die_in_the_middle, GROWN, f'"capacity": {WANTED},')
        asked = world.module("student_disk_resize", students=crowd.students, size=str(WANTED), wait=False)
        assert [row["state"] for row in asked["disks"]] == ["asked"] * COUNT
        wait_until("the node is told", lambda: death.done() or crowd.is_told(), 60)
        crowd.look_again()
        assert 0 < death.result() < COUNT, "it did not die in the middle"
    driver.back()
    crowd.grow_at_start(WANTED)
    # The file system's own tables take a part of the size.
    assert all(0.8 * WANTED < space <= WANTED for space in crowd.spaces())
    assert len(crowd.spaces()) == COUNT
    world.lists_agree()
    listed = world.listed()
    assert listed is not None
    assert {listed[0][handle] for handle in crowd.handles} == {WANTED}
    assert {to_bytes(size) for handle, size in world.volumes().items() if handle in crowd.handles} == {WANTED}


def test_disks_that_are_deleted_are_gone_and_nothing_else(world: World, crowd: Crowd, driver: Driver) -> None:
    others = {*world.volumes()} - {*crowd.handles}
    crowd.unmount()
    with ThreadPoolExecutor() as pool:
        death = pool.submit(driver.die_in_the_middle, GONE, *crowd.handles)
        crowd.delete()
        assert 0 < death.result() < COUNT, "it did not die in the middle"
    driver.back()
    wait_until("the disks are gone", lambda: not {*world.volumes()} & {*crowd.handles}, 180)
    assert {*world.volumes()} == others
    world.lists_agree()
    assert world.half_made() == []
