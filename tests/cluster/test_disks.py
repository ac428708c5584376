"""A disk that is full, and a pool that is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from ansible_collections.campus.jupyterhub.tests.cluster.support import Kube, Site, Student, wait_until

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
GREEDY = "greedy"


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
    claims = kube.core.list_namespaced_persistent_volume_claim(kube.namespace).items
    (promised,) = [
        bytes_of(each.spec.resources.requests["storage"])
        for each in claims
        if (each.metadata.annotations or {}).get("hub.jupyter.org/username") == dora.name
    ]
    error, sizes = dora.run(FILL).strip().split("\n")
    size, free = map(int, sizes.split())
    assert error == "ENOSPC"
    # The filesystem's own tables take a part of the size.
    assert 0.85 * promised <= size <= promised
    assert free < 4096
    ann.write("meanwhile.txt", "x" * 100_000)
    assert ann.read("meanwhile.txt") == "x" * 100_000
    dora.stop()
    dora.start()
    assert dora.run("print(6 * 7)") == "42\n"
    assert dora.run("import os; os.remove('fill')") == ""
    dora.write("room.txt", "again")


@pytest.fixture
def greedy(kube: Kube, ann: Student) -> Iterator[Any]:
    """A pod that asks for a disk larger than the pool."""
    image = kube.pod_of(ann.name).spec.containers[0].image
    storage_class = own_class(kube, ann.name)
    kube.core.create_namespaced_persistent_volume_claim(kube.namespace, claim(storage_class))
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


def own_class(kube: Kube, student: str) -> str:
    """Storage class of a student's disk."""
    for each in kube.core.list_namespaced_persistent_volume_claim(kube.namespace).items:
        if (each.metadata.annotations or {}).get("hub.jupyter.org/username") == student:
            return str(each.spec.storage_class_name)
    raise AssertionError(f"{student} has no disk")


def claim(storage_class: str) -> dict[str, Any]:
    """A claim that no pool can fulfil."""
    spec = {
        "accessModes": ["ReadWriteOnce"],
        "storageClassName": storage_class,
        "resources": {"requests": {"storage": "100Ti"}},
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
