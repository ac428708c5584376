"""What the account of the runs may do to snapshots and their contents; as that account nothing is really changed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest
from ansible_collections.campus.jupyterhub.plugins.module_utils._disk_snapshots import MANAGER
from ansible_collections.campus.jupyterhub.tests.cluster.support import Student
from ansible_collections.campus.jupyterhub.tests.snapshots.world import GROUP, World, refused
from kubernetes import client
from kubernetes.client.exceptions import ApiException

Json = dict[str, Any]

CONTENTS = "volumesnapshotcontents"
FREE = {"spec": {"deletionPolicy": "Delete"}}


@pytest.fixture(scope="module")
def account(world: World) -> client.CustomObjectsApi:
    """The API as the account of the runs has it."""
    return client.CustomObjectsApi(world.as_account("snapshots"))


@pytest.fixture(scope="module")
def content(world: World, mia: Student) -> str:
    """The content of a snapshot."""
    world.module("student_disk_snapshot", students=[mia.name])
    return world.snapshots(mia.name)[-1].content


def test_space_can_be_given_back(account: client.CustomObjectsApi, content: str) -> None:
    assert refused(account.patch_cluster_custom_object, *GROUP, CONTENTS, content, FREE) == ""


def test_a_content_that_is_to_stay_is_not_deleted(account: client.CustomObjectsApi, content: str) -> None:
    said = refused(account.delete_cluster_custom_object, *GROUP, CONTENTS, content)
    assert "deletes only contents of snapshots that are to go with them" in said


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (
            {"spec": {"volumeSnapshotRef": {"namespace": "other"}}},
            "changes nothing of a content but its deletionPolicy",
        ),
        (
            {"spec": {"deletionPolicy": "Delete", "volumeSnapshotClassName": "x"}},
            "changes nothing of a content but its",
        ),
        ({"metadata": {"finalizers": None}}, "changes no labels, annotations, owners or finalizers of a content"),
        (
            {"metadata": {"labels": {"mine": "yes"}}},
            "changes no labels, annotations, owners or finalizers of a content",
        ),
    ],
)
def test_nothing_else_of_a_content_can_be_changed(
    account: client.CustomObjectsApi, content: str, body: Json, says: str
) -> None:
    assert says in refused(account.patch_cluster_custom_object, *GROUP, CONTENTS, content, body)


@contextmanager
def foreign_content(world: World, driver: str, namespace: str) -> Iterator[str]:
    """A content that is not of this hub, as long as the block lasts; its name."""
    content = {
        "apiVersion": "/".join(GROUP),
        "kind": "VolumeSnapshotContent",
        "metadata": {"generateName": "not-ours-"},
        "spec": {
            "deletionPolicy": "Retain",
            "driver": driver,
            "source": {"snapshotHandle": "none"},
            "volumeSnapshotRef": {"namespace": namespace, "name": "none"},
        },
    }
    name = world.objects.create_cluster_custom_object(*GROUP, CONTENTS, content)["metadata"]["name"]
    try:
        yield name
    finally:
        world.objects.delete_cluster_custom_object(*GROUP, CONTENTS, name)
        # The controller may have put a finalizer on it that only its driver, which is not there, would take away.
        with suppress(ApiException):
            world.objects.patch_cluster_custom_object(*GROUP, CONTENTS, name, {"metadata": {"finalizers": None}})


def test_contents_of_other_namespaces_are_left_alone(world: World, account: client.CustomObjectsApi) -> None:
    with foreign_content(world, "local.csi.campus.jupyterhub", "other") as name:
        said = refused(account.patch_cluster_custom_object, *GROUP, CONTENTS, name, FREE)
    assert "changes no contents of snapshots of other namespaces" in said


def test_contents_of_other_drivers_are_left_alone(world: World, account: client.CustomObjectsApi) -> None:
    with foreign_content(world, "other.example", world.namespace) as name:
        said = refused(account.patch_cluster_custom_object, *GROUP, CONTENTS, name, FREE)
    assert "changes no contents of snapshots of other drivers than" in said


def test_only_snapshots_of_the_collection_are_made(
    world: World, account: client.CustomObjectsApi, mia: Student
) -> None:
    item = {
        "apiVersion": "/".join(GROUP),
        "kind": "VolumeSnapshot",
        "metadata": {"name": "by-hand", "labels": {"app.kubernetes.io/managed-by": MANAGER}},
        "spec": {"source": {"persistentVolumeClaimName": world.disk(mia.name).metadata.name}},
    }
    where = (*GROUP, world.namespace, "volumesnapshots")
    assert "snapshots of students' disks alone" in refused(account.create_namespaced_custom_object, *where, item)
    world.objects.create_namespaced_custom_object(*where, item)
    try:
        assert "snapshots of students' disks alone" in refused(
            account.delete_namespaced_custom_object, *where, "by-hand"
        )
    finally:
        world.objects.delete_namespaced_custom_object(*where, "by-hand")
