"""Restore drills that run by themselves on a real cluster: what they find, what staff sees, what they may do."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from ansible_collections.campus.jupyterhub.plugins.module_utils._disk_snapshots import Snapshot
from ansible_collections.campus.jupyterhub.plugins.module_utils._drill import MARK, READER
from ansible_collections.campus.jupyterhub.plugins.module_utils._manifest import COMPARED, MANIFEST
from ansible_collections.campus.jupyterhub.plugins.module_utils._side_disk import (
    LABELS,
    Template,
    hashes_of,
    labelled,
    pod,
    side_claim,
)
from ansible_collections.campus.jupyterhub.tests.cluster.support import Student, wait_until
from ansible_collections.campus.jupyterhub.tests.snapshots.world import GROUP, Failed, World, refused
from kubernetes import client

Json = dict[str, Any]

SNAPSHOT, DRILL = "student_disk_snapshot", "student_disk_drill"
ACCOUNT = "snapshots-drill"
FIGURES = "import urllib.request; print(urllib.request.urlopen('http://localhost:8080/metrics').read().decode())"
LISTING_SECONDS = 180


@pytest.fixture(autouse=True)
def nothing_left(world: World) -> Iterator[None]:
    """No drill leaves anything behind."""
    yield
    wait_until("no side disk is left", lambda: not left(world), 60)


def left(world: World) -> list[str]:
    """Names of the disks and pods that drills made."""
    selector = f"{MARK}={READER}"
    claims = world.kube.core.list_namespaced_persistent_volume_claim(world.namespace, label_selector=selector).items
    return [each.metadata.name for each in [*claims, *world.kube.pods(selector)]]


@pytest.fixture(scope="module")
def kept(world: World, mia: Student) -> Snapshot:
    """A snapshot of a student's work, without a record yet."""
    mia.write("essay.txt", "third draft")
    (row,) = world.module(SNAPSHOT, students=[mia.name])["disks"]
    (found,) = [each for each in world.snapshots(mia.name) if each.name == row["snapshot"]]
    return found


def notes_of(world: World, name: str) -> Json:
    """What is noted with a snapshot."""
    item = world.objects.get_namespaced_custom_object(*GROUP, world.namespace, "volumesnapshots", name)
    return dict(item["metadata"].get("annotations") or {})


def figure(world: World, line: str) -> float | None:
    """The value of a figure, None as long as it is not said."""
    (metrics,) = world.kube.pods("app=jupyterhub,component=snapshots-metrics")
    said = world.kube.run_in(metrics, "python3", "-c", FIGURES).splitlines()
    values = [each.rpartition(" ")[2] for each in said if each.startswith(f"{line} ")]
    return float(values[0]) if values else None


@pytest.fixture(scope="module")
def account(world: World) -> client.CustomObjectsApi:
    """The API as the account of the drill has it."""
    return client.CustomObjectsApi(world.as_account(ACCOUNT))


def changing(world: World, account: client.CustomObjectsApi, name: str, body: Json) -> str:
    """Why a change of a snapshot is refused to the drill, or nothing."""
    place = (*GROUP, world.namespace, "volumesnapshots", name)
    return refused(account.patch_namespaced_custom_object, *place, body)


def test_a_record_can_be_made_and_nothing_else_changed(
    world: World, account: client.CustomObjectsApi, kept: Snapshot
) -> None:
    def metadata(**values: Any) -> str:
        return changing(world, account, kept.name, {"metadata": values})

    assert metadata(annotations={MANIFEST: "{}", COMPARED: "{}"}) == ""
    assert "and nothing else" in metadata(annotations={"other": "x"})
    assert "and nothing else" in metadata(annotations={"campus.jupyterhub/reason": None})
    assert "changes no labels, owners or finalizers" in metadata(labels={"other": "x"})
    assert "changes no labels, owners or finalizers" in metadata(finalizers=[])
    spec = {"spec": {"volumeSnapshotClassName": "other"}}
    assert "changes no snapshots" in changing(world, account, kept.name, spec)


def test_the_schedule_records_and_compares(world: World, kept: Snapshot) -> None:
    assert MANIFEST not in notes_of(world, kept.name)
    before = {each.name for each in world.snapshots() if MANIFEST in notes_of(world, each.name)}
    recorded = world.run_schedule("snapshots-record")["disks"]
    assert 1 <= len(recorded) <= 2
    assert {row["state"] for row in recorded} == {"recorded"}, recorded
    assert not before & {row["snapshot"] for row in recorded}
    for row in recorded:
        assert json.loads(notes_of(world, row["snapshot"])[MANIFEST])["files"] == row["files"]
    result = world.run_schedule("snapshots-compare")
    assert result["failed_trials"] == 0, result
    assert 1 <= len(result["disks"]) <= 5
    for row in result["disks"]:
        assert json.loads(notes_of(world, row["snapshot"])[COMPARED])["equal"] is True


def test_a_difference_is_seen_by_staff(world: World, mia: Student, kept: Snapshot) -> None:
    if MANIFEST not in notes_of(world, kept.name):
        world.module(DRILL, students=[mia.name], actions=["record"])
    record = notes_of(world, kept.name)[MANIFEST]
    parts = json.loads(record)
    assert parts["parts"]["essay.txt"]
    parts["root"], parts["parts"]["essay.txt"] = "other", "file 0000000000000000"
    place = (*GROUP, world.namespace, "volumesnapshots", kept.name)

    def noted(**values: str | None) -> None:
        body = {"metadata": {"annotations": values}}
        world.objects.patch_namespaced_custom_object(*place, body)

    noted(**{MANIFEST: json.dumps(parts)})
    try:
        with pytest.raises(Failed, match=rf"{kept.name} of mia: differs in essay\.txt"):
            world.module(DRILL, students=[mia.name], actions=["compare"])
        assert json.loads(notes_of(world, kept.name)[COMPARED])["equal"] is False
        selector = "reason=SnapshotDiffers"
        events = world.kube.core.list_namespaced_event(world.namespace, field_selector=selector).items
        about = [each.message for each in events if each.involved_object.uid == kept.disk_uid]
        assert f"The snapshot {kept.name} is not what was recorded of it: essay.txt." in about
        wait_until(
            "it is a figure", lambda: figure(world, 'campus_snapshots_compared{result="different"}'), LISTING_SECONDS
        )
    finally:
        noted(**{MANIFEST: record})
    assert world.module(DRILL, students=[mia.name], actions=["compare"])["disks"][0]["state"] == "equal"


def test_a_record_that_there_is_stays(
    world: World, account: client.CustomObjectsApi, mia: Student, kept: Snapshot
) -> None:
    if MANIFEST not in notes_of(world, kept.name):
        world.module(DRILL, students=[mia.name], actions=["record"])
    for value in ("{}", None):
        body = {"metadata": {"annotations": {MANIFEST: value}}}
        assert "changes no record that there is" in changing(world, account, kept.name, body)


@pytest.fixture(scope="module")
def hashing(world: World) -> Json:
    """A pod as a drill makes it."""
    job = world.batch.read_namespaced_cron_job("snapshots", world.namespace)
    template = Template(job.spec.job_template.spec.template.spec.containers[0].image)
    made = pod("restore-x", world.namespace, template=template, arguments=hashes_of(), side="restore-x", seconds=60)
    return labelled(made, {MARK: READER})


def test_side_disks_and_what_reads_them_can_be_made(world: World, hashing: Json, kept: Snapshot) -> None:
    core = client.CoreV1Api(world.as_account(ACCOUNT))
    assert refused(core.create_namespaced_pod, world.namespace, hashing) == ""
    claim = labelled(side_claim("restore-x", kept, kept.size, "jupyterhub-scratch"), {MARK: READER})
    assert refused(core.create_namespaced_persistent_volume_claim, world.namespace, claim) == ""
    unmarked = {**claim, "metadata": {**claim["metadata"], "labels": dict(LABELS)}}
    said = refused(core.create_namespaced_persistent_volume_claim, world.namespace, unmarked)
    assert "makes and deletes only what has its own label" in said


def test_no_disk_of_a_student_is_mounted_and_nothing_written(world: World, hashing: Json, mia: Student) -> None:
    core = client.CoreV1Api(world.as_account(ACCOUNT))
    disk = world.disk(mia.name).metadata.name
    for claim in ({"claimName": disk, "readOnly": True}, {"claimName": "restore-x"}):
        volumes = [{"name": "snapshot", "persistentVolumeClaim": claim}]
        item = {**hashing, "spec": {**hashing["spec"], "volumes": volumes}}
        assert "makes pods with side disks, read-only, alone" in refused(
            core.create_namespaced_pod, world.namespace, item
        )
    (container,) = hashing["spec"]["containers"]
    other = {**container, "command": ["python3", "-m", "campus_jobs.copy_back"]}
    item = {**hashing, "spec": {**hashing["spec"], "containers": [other]}}
    assert "hash what is on a side disk" in refused(core.create_namespaced_pod, world.namespace, item)
    delete = core.delete_namespaced_persistent_volume_claim
    assert "what has its own label" in refused(delete, disk, world.namespace)
