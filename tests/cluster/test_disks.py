"""A disk that is full, one that grows, and a pool that is full."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from ansible_collections.campus.jupyterhub.tests.cluster.support import USERNAME, Kube, Site, Student, wait_until

FILL = """
import errno, os
file = os.open('fill', os.O_WRONLY | os.O_CREAT)
error = None
for step in (1 << 20, 4096):
    try:
        while True:
            os.write(file, bytes(step))
    except OSError as caught:
        error = caught
print(errno.errorcode[error.errno])
space = os.statvfs('.')
print(space.f_blocks * space.f_frsize, space.f_bavail * space.f_frsize)
"""
SIZE = "import os; space = os.statvfs('.'); print(space.f_blocks * space.f_frsize)"
GREEDY = "greedy"
SMALL = "64Mi"


@pytest.fixture
def dora(site: Site, password: str) -> Iterator[Student]:
    """A student whose server runs, and who leaves an empty disk behind."""
    student = Student(site.url, "dora", password)
    student.start()
    yield student
    student.start()
    student.run("import os; os.path.exists('fill') and os.remove('fill')")
    student.stop()


def test_a_full_disk_ends_at_its_size_and_disturbs_nobody(dora: Student, ann: Student, kube: Kube) -> None:
    promised = bytes_of(disk_of(kube, dora.name).spec.resources.requests["storage"])
    error, sizes = dora.run(FILL).strip().split("\n")
    size, free = map(int, sizes.split())
    assert error == "ENOSPC"
    # The filesystem's own tables take a part of the size.
    assert 0.85 * promised <= size <= promised
    assert free < 4096
    told = dora.ask("GET", f"{dora.home}/campus/disk").json()
    assert told["kind"] == "error"
    assert told["free"] < 1 << 20
    ann.write("meanwhile.txt", "x" * 100_000)
    assert ann.read("meanwhile.txt") == "x" * 100_000
    dora.stop()
    dora.start()
    assert dora.run("print(6 * 7)") == "42\n"
    # As JupyterLab deletes; into a trash on the same disk it would not even fit.
    dora.ask("DELETE", f"{dora.home}/api/contents/fill", expected=(204,))
    assert dora.ask("GET", f"{dora.home}/campus/disk").json()["kind"] == "default"
    dora.write("room.txt", "again")


@pytest.fixture
def grete(site: Site, password: str, kube: Kube, ann: Student) -> Iterator[Student]:
    """A student whose disk was made when disks were smaller."""
    if not disks_of(kube, "grete"):
        labels = {"app": "jupyterhub", "component": "singleuser-storage"}
        metadata = {"name": "claim-grete", "labels": labels, "annotations": {USERNAME: "grete"}}
        body = claim(own_class(kube, ann.name), SMALL) | {"metadata": metadata}
        kube.core.create_namespaced_persistent_volume_claim(kube.namespace, body)
    student = Student(site.url, "grete", password)
    yield student
    student.stop()


def test_a_smaller_disk_grows_to_the_configured_size_and_keeps_what_is_on_it(
    grete: Student, ann: Student, kube: Kube
) -> None:
    wanted = bytes_of(disk_of(kube, ann.name).spec.resources.requests["storage"])
    # The volume is made at the first start, told to grow at the second, and has grown at the third at the latest: not
    # every kernel grows what is mounted.
    grete.start()
    if bytes_of(disk_of(kube, grete.name).spec.resources.requests["storage"]) < wanted:
        assert int(grete.run(SIZE)) <= bytes_of(SMALL)
    grete.write("kept.txt", "from before")
    grete.stop()
    grete.start()
    assert bytes_of(disk_of(kube, grete.name).spec.resources.requests["storage"]) == wanted
    volume = disk_of(kube, grete.name).spec.volume_name

    def volume_has_grown() -> bool:
        return bytes_of(kube.core.read_persistent_volume(volume).spec.capacity["storage"]) == wanted

    wait_until("the volume has grown", volume_has_grown, 120)
    grete.stop()
    grete.start()
    wait_until("the file system has grown", lambda: int(grete.run(SIZE)) >= 0.85 * wanted, 120)
    assert grete.read("kept.txt") == "from before"


@pytest.fixture
def greedy(kube: Kube, ann: Student) -> Iterator[Any]:
    """A pod that asks for a disk larger than the pool."""
    image = kube.pod_of(ann.name).spec.containers[0].image
    kube.core.create_namespaced_persistent_volume_claim(kube.namespace, claim(own_class(kube, ann.name), "100Ti"))
    kube.core.create_namespaced_pod(kube.namespace, pod(image))
    yield GREEDY
    kube.core.delete_namespaced_pod(GREEDY, kube.namespace, grace_period_seconds=0)
    kube.core.delete_namespaced_persistent_volume_claim(GREEDY, kube.namespace)


def test_a_full_pool_refuses_a_new_disk_and_leaves_the_others_working(greedy: str, ann: Student, kube: Kube) -> None:
    def refusal() -> str:
        events = kube.events_of(greedy)
        return events if "enough free storage" in events or "RESOURCE_EXHAUSTED" in events.upper() else ""

    wait_until("the disk is refused", refusal, 60)
    assert kube.core.read_namespaced_persistent_volume_claim(greedy, kube.namespace).status.phase == "Pending"
    ann.write("meanwhile.txt", "the pool is full")
    assert ann.read("meanwhile.txt") == "the pool is full"


def bytes_of(quantity: str) -> int:
    """Bytes of a size that Kubernetes writes with a binary suffix."""
    units = {"Mi": 1 << 20, "Gi": 1 << 30}
    return int(quantity[:-2]) * units[quantity[-2:]]


def disk_of(kube: Kube, student: str) -> Any:
    """The claim of a student's disk."""
    (found,) = disks_of(kube, student)
    return found


def disks_of(kube: Kube, student: str) -> list[Any]:
    """The claims that belong to a student."""
    claims = kube.core.list_namespaced_persistent_volume_claim(kube.namespace).items
    return [each for each in claims if (each.metadata.annotations or {}).get(USERNAME) == student]


def own_class(kube: Kube, student: str) -> str:
    """Storage class of a student's disk."""
    return str(disk_of(kube, student).spec.storage_class_name)


def claim(storage_class: str, size: str) -> dict[str, Any]:
    """A claim of some size."""
    spec = {
        "accessModes": ["ReadWriteOnce"],
        "storageClassName": storage_class,
        "resources": {"requests": {"storage": size}},
    }
    return {"metadata": {"name": GREEDY}, "spec": spec}


def pod(image: str) -> dict[str, Any]:
    """A restricted pod that mounts the claim."""
    container = {
        "name": "greedy",
        "image": image,
        "command": ["sleep", "infinity"],
        "volumeMounts": [{"name": "disk", "mountPath": "/disk"}],
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
        "resources": {"limits": {"memory": "64Mi"}},
    }
    security = {"runAsNonRoot": True, "runAsUser": 1000, "seccompProfile": {"type": "RuntimeDefault"}}
    volume = {"name": "disk", "persistentVolumeClaim": {"claimName": GREEDY}}
    spec = {"containers": [container], "securityContext": security, "volumes": [volume]}
    return {"metadata": {"name": GREEDY}, "spec": spec}
