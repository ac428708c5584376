"""All that the hub knows is kept, lost and brought back, and nobody meets a new, empty disk.

The last of these tests, since it takes the hub apart. What they put back, later tests rely on.
"""

from __future__ import annotations

import json
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.campus.jupyterhub.plugins.module_utils._smoke_test_client import Client, Deadline
from ansible_collections.campus.jupyterhub.plugins.module_utils._student_disks import STUDENT
from ansible_collections.campus.jupyterhub.tests.cluster.support import (
    HUB,
    STUDENTS,
    Site,
    Student,
    playbook,
    recap_of,
    run_playbook,
    wait_until,
)
from ansible_collections.campus.jupyterhub.tests.snapshots.conftest import at_work
from ansible_collections.campus.jupyterhub.tests.snapshots.work import FILL, work_of
from ansible_collections.campus.jupyterhub.tests.snapshots.world import GROUP, World
from kubernetes.client.exceptions import ApiException

Json = dict[str, Any]

SNAPSHOT, RESTORE = "student_disk_snapshot", "student_disk_restore"
TAKE, BRING_BACK, UP = (f"campus.jupyterhub.{name}" for name in ("hub_backup", "hub_restore", "hub"))
CANARY = "canary"
SNAPSHOTS, CONTENTS = "volumesnapshots", "volumesnapshotcontents"
OLDER = "registry.invalid/hub:older"
SECONDS = 120


@dataclass(frozen=True)
class Before:
    """What there was before everything was lost.

    Attributes:
        volumes: what the driver calls the volume of each claim of a student.
        snapshots: names of the snapshots of students.
        hashes: of what each student has on the disk.
        browser: a browser in which a student is logged in.
    """

    volumes: dict[str, str]
    snapshots: set[str]
    hashes: dict[str, str]
    browser: Client


def given(**options: Any) -> tuple[str, str]:
    """Options for a playbook."""
    return "-e", json.dumps(options)


def volume_of(world: World, claim: Any) -> Any:
    """The volume of a claim."""
    return world.kube.core.read_persistent_volume(claim.spec.volume_name)


def claims_of_students(world: World) -> list[Any]:
    """The claims of those who are no canary, as far as they have a volume."""
    return [each for each in world.disks() if each.metadata.annotations[STUDENT] != CANARY and each.spec.volume_name]


def volumes(world: World) -> dict[str, str]:
    """What the driver calls the volume of each claim of a student."""
    return {each.metadata.name: volume_of(world, each).spec.csi.volume_handle for each in claims_of_students(world)}


def snapshots(world: World) -> set[str]:
    """Names of the snapshots of students."""
    return {one.name for one in world.snapshots() if one.student != CANARY}


def gone(call: Any, *arguments: str) -> None:
    """Wait until the API server does not know an object any more."""

    def unknown() -> bool:
        try:
            call(*arguments)
        except ApiException as error:
            if error.status != 404:
                raise
            return True
        return False

    wait_until(f"{arguments[-1]} is gone", unknown, SECONDS)


@pytest.fixture(scope="module")
def olga(site: Site, password: str) -> Student:
    """A student with work, whose server runs."""
    student = at_work(site, password, "olga")
    assert student.run(FILL) == ""
    return student


@pytest.fixture(scope="module")
def before(world: World, site: Site, olga: Student, noah: Student) -> Before:
    """Students with work and snapshots of it, one of them logged in."""
    noah.start()
    noah.run("import shutil; shutil.rmtree('work', ignore_errors=True)")
    assert noah.run(FILL) == ""
    world.module(SNAPSHOT, students=[noah.name])
    world.module(SNAPSHOT, students=[olga.name, noah.name])
    browser = Client(site.url, Deadline(3600))
    browser.ask("GET", "hub/login")
    form = {"username": olga.name, "password": olga.password, "_xsrf": browser.cookie("_xsrf")}
    browser.ask("POST", "hub/login?next=%2Fhub%2Fhome", form=form)
    hashes = {student.name: work_of(student) for student in (olga, noah)}
    return Before(volumes(world), snapshots(world), hashes, browser)


@pytest.fixture(scope="module")
def archive(before: Before, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A backup that is not in the cluster."""
    folder = tmp_path_factory.mktemp("safe")
    playbook(TAKE, *given(hub_backup_to=str(folder)))
    (file,) = folder.iterdir()
    return file


def test_the_schedule_keeps_what_the_hub_knows(world: World, before: Before) -> None:
    result = world.run_schedule("hub-backup")
    assert result["file"].endswith("-scheduled.tar.gz")
    counts = result["counts"]
    assert (counts["disks"], counts["snapshots"]) == (len(before.volumes), len(before.snapshots))
    assert counts["secrets"] >= 1
    assert counts["users"] > 2


@pytest.fixture(scope="module")
def images(world: World) -> dict[str, str]:
    """What the images are called that the hub and its backups have."""
    puller = world.kube.apps.read_namespaced_daemon_set("image-puller", world.namespace).spec.template.spec
    schedule = world.batch.read_namespaced_cron_job("hub-backup", world.namespace).spec.job_template.spec
    return {
        "hub": image_of_hub(world),
        "singleuser": puller.init_containers[0].image,
        "pause": puller.containers[0].image,
        "jobs": schedule.template.spec.containers[0].image,
    }


@pytest.fixture
def older_hub(world: World, images: dict[str, str]) -> Iterator[str]:
    """A hub that seems to be of another image, since its pod is left as it is; the image that it really has."""
    deployment = world.kube.apps.read_namespaced_deployment("hub", world.namespace)
    (container,) = deployment.spec.template.spec.containers
    template = {"spec": {"containers": [{"name": container.name, "image": OLDER}]}}
    change = {"spec": {"paused": True, "template": template}}
    world.kube.apps.patch_namespaced_deployment("hub", world.namespace, change)
    try:
        yield container.image
    finally:
        back = {"spec": {"containers": [{"name": container.name, "image": container.image}]}}
        world.kube.apps.patch_namespaced_deployment("hub", world.namespace, {"spec": {"template": back}})
        world.kube.apps.patch_namespaced_deployment("hub", world.namespace, {"spec": {"paused": None}})


def image_of_hub(world: World) -> str:
    """The image that the hub is to run."""
    deployment = world.kube.apps.read_namespaced_deployment("hub", world.namespace)
    return str(deployment.spec.template.spec.containers[0].image)


def upgrades(world: World) -> list[str]:
    """Names of the jobs that kept the hub's state before an upgrade and ended well."""
    jobs = world.batch.list_namespaced_job(world.namespace, label_selector="component=hub-backup").items
    return [job.metadata.name for job in jobs if "-upgrade-" in job.metadata.name and job.status.succeeded]


def test_another_image_comes_only_after_a_backup(world: World, images: dict[str, str], older_hub: str) -> None:
    taken = upgrades(world)
    refused = run_playbook(UP, *given(jupyterhub_images=images, hub_backup_secrets=["no-such-secret"]))
    said = " ".join(refused.stdout.split())
    assert refused.returncode != 0
    assert "The hub was not upgraded, since its state could not be kept before." in said
    assert "no-such-secret" in said
    assert "set hub_backup_before_upgrade to false" in said
    assert image_of_hub(world) == OLDER
    playbook(UP, *given(jupyterhub_images=images))
    assert len(upgrades(world)) == len(taken) + 1
    assert image_of_hub(world) == older_hub


def test_a_backup_is_brought_here_for_one_pair_of_eyes(world: World, archive: Path) -> None:
    assert archive.name.endswith("-asked.tar.gz")
    assert archive.stat().st_mode & 0o777 == 0o600
    with tarfile.open(archive) as members:
        names = set(members.getnames())
    assert {"backup.json", "database.sqlite", "secrets.json", "disks.json", "snapshots.json"} == names
    # The pod that read it is not needed any more.
    wait_until("no pod of a backup runs", lambda: not running(world), 60)


def running(world: World) -> list[Any]:
    """Pods that make, read or bring back a backup, and have not ended."""
    pods = world.kube.pods("app=jupyterhub,component=hub-backup")
    return [pod for pod in pods if pod.status.phase not in ("Succeeded", "Failed")]


def test_one_that_is_there_already_is_brought_here(archive: Path, tmp_path: Path) -> None:
    playbook(TAKE, *given(hub_backup_to=str(tmp_path), hub_backup_name=archive.name))
    assert (tmp_path / archive.name).read_bytes() == archive.read_bytes()
    assert [path.name for path in tmp_path.iterdir()] == [archive.name]
    missing = run_playbook(TAKE, *given(hub_backup_to=str(tmp_path), hub_backup_name="hub-gone.tar.gz"))
    assert missing.returncode != 0
    said = " ".join(missing.stdout.split())
    assert f"Could not copy the backup hub-gone.tar.gz to {tmp_path}: it is not there; there are: " in said
    assert archive.name in said


def destroy(world: World, claim: Any) -> None:
    """Delete a disk and what is on it."""
    policy = {"spec": {"persistentVolumeReclaimPolicy": "Delete"}}
    world.kube.core.patch_persistent_volume(claim.spec.volume_name, policy)
    world.kube.core.delete_namespaced_persistent_volume_claim(claim.metadata.name, world.namespace)
    gone(world.kube.core.read_persistent_volume, claim.spec.volume_name)


def take_away(world: World, name: str) -> None:
    """Delete a snapshot and what it is in the storage."""
    (one,) = [each for each in world.snapshots() if each.name == name]
    patch = {"spec": {"deletionPolicy": "Delete"}}
    world.objects.patch_cluster_custom_object(*GROUP, CONTENTS, one.content, patch)
    world.objects.delete_namespaced_custom_object(*GROUP, world.namespace, SNAPSHOTS, name)
    gone(world.objects.get_cluster_custom_object, *GROUP, CONTENTS, one.content)


def forget_disks(world: World) -> None:
    """Let the cluster forget the disks of students, whose storage stays."""
    claims = claims_of_students(world)
    for claim in claims:
        assert volume_of(world, claim).spec.persistent_volume_reclaim_policy == "Retain"
        world.kube.core.delete_namespaced_persistent_volume_claim(claim.metadata.name, world.namespace)
    for claim in claims:
        gone(world.kube.core.read_namespaced_persistent_volume_claim, claim.metadata.name, world.namespace)
        world.kube.core.delete_persistent_volume(claim.spec.volume_name)
        gone(world.kube.core.read_persistent_volume, claim.spec.volume_name)


def forget_snapshots(world: World) -> None:
    """Let the cluster forget the snapshots of students, whose storage stays."""
    place = (*GROUP, world.namespace, SNAPSHOTS)
    found = [one for one in world.snapshots() if one.student != CANARY]
    for one in found:
        content = world.objects.get_cluster_custom_object(*GROUP, CONTENTS, one.content)
        assert content["spec"]["deletionPolicy"] == "Retain"
        world.objects.delete_namespaced_custom_object(*place, one.name)
    for one in found:
        gone(world.objects.get_namespaced_custom_object, *place, one.name)
        world.objects.delete_cluster_custom_object(*GROUP, CONTENTS, one.content)
        gone(world.objects.get_cluster_custom_object, *GROUP, CONTENTS, one.content)


@pytest.fixture(scope="module")
def pruned(world: World, archive: Path, noah: Student) -> str:
    """A snapshot that went after the archive was made."""
    name = world.snapshots(noah.name)[-2].name
    take_away(world, name)
    return name


@pytest.fixture(scope="module")
def empty_hub(world: World, images: dict[str, str], pruned: str, olga: Student) -> None:
    """A hub that was made anew after everything was lost but students' disks and snapshots in the storage."""
    kube = world.kube
    kube.apps.delete_namespaced_deployment("hub", world.namespace)
    wait_until("the hub is gone", lambda: not kube.pods(HUB), SECONDS)
    kube.core.delete_collection_namespaced_pod(world.namespace, label_selector=STUDENTS)
    wait_until("the servers are gone", lambda: not kube.pods(STUDENTS), SECONDS)
    # A pod that has ended still holds the disks that it had.
    world.batch.delete_collection_namespaced_job(
        world.namespace, label_selector="component=hub-backup", propagation_policy="Background"
    )
    forget_snapshots(world)
    forget_disks(world)
    for name in ("hub-db", "hub-backups"):
        destroy(world, kube.core.read_namespaced_persistent_volume_claim(name, world.namespace))
    kube.core.delete_namespaced_secret(world.site.facts["login"]["secret"], world.namespace)
    playbook(UP, *given(jupyterhub_images=images))
    wait_until("students reach the hub", olga.reaches_hub, 60)
    assert (volumes(world), snapshots(world)) == ({}, set())


@pytest.mark.usefixtures("empty_hub")
def test_whoever_has_a_new_disk_is_named_and_nothing_is_changed(
    world: World, site: Site, archive: Path, olga: Student
) -> None:
    login = site.facts["login"]
    newcomer = Student(site.url, olga.name, world.kube.secret(login["secret"], login["key"]))
    assert newcomer.password != olga.password
    newcomer.start()
    claim = world.disk(olga.name)
    secret = world.kube.secret(login["secret"], "cookie_secret")
    run = run_playbook(BRING_BACK, *given(hub_restore_file=str(archive)))
    assert run.returncode != 0
    assert olga.name in run.stdout
    assert recap_of(run.stdout)["changed"] == 0
    assert world.kube.secret(login["secret"], "cookie_secret") == secret
    assert volumes(world).keys() == {claim.metadata.name}
    newcomer.stop()
    destroy(world, claim)


@pytest.mark.usefixtures("empty_hub")
def test_a_database_of_another_kind_is_refused(archive: Path) -> None:
    url = "postgresql://hub:secret@database.invalid/hub"
    run = run_playbook(BRING_BACK, *given(hub_restore_file=str(archive), hub_db_url=url))
    assert run.returncode != 0
    said = " ".join(run.stdout.split())
    assert "The archive holds a database of the kind sqlite, but that of the hub is postgresql" in said
    assert recap_of(run.stdout)["changed"] == 0


@pytest.mark.usefixtures("empty_hub")
def test_a_dry_run_says_what_would_be_done(world: World, archive: Path, before: Before) -> None:
    run = run_playbook(BRING_BACK, "--check", *given(hub_restore_file=str(archive)))
    assert run.returncode == 0, run.stdout[-6000:] + run.stderr[-2000:]
    assert recap_of(run.stdout)["changed"] == 0
    assert f"Disks of students: bound: {len(before.volumes)}" in run.stdout
    assert volumes(world) == {}


@pytest.fixture(scope="module")
def restored(empty_hub: None, archive: Path, olga: Student) -> str:
    """The hub with what the archive holds; what the playbook said."""
    run = run_playbook(BRING_BACK, *given(hub_restore_file=str(archive)))
    assert run.returncode == 0, run.stdout[-6000:] + run.stderr[-2000:]
    wait_until("students reach the hub", olga.reaches_hub, 60)
    return run.stdout


@pytest.mark.usefixtures("restored")
def test_everybody_has_the_disk_that_they_had(
    world: World, site: Site, before: Before, olga: Student, noah: Student
) -> None:
    assert volumes(world) == before.volumes
    for student in (olga, noah):
        # With the password of before.
        again = Student(site.url, student.name, student.password)
        again.start()
        assert work_of(again) == before.hashes[student.name]
    assert volumes(world) == before.volumes


@pytest.mark.usefixtures("restored")
def test_whoever_was_logged_in_still_is(before: Before, olga: Student) -> None:
    assert before.browser.ask("GET", "hub/home").url.endswith("/hub/home")
    assert olga.ask("GET", "hub/api/user").json()["name"] == olga.name


@pytest.mark.usefixtures("restored")
def test_to_restore_again_changes_nothing(world: World, archive: Path) -> None:
    result = world.module("hub_restore", file=str(archive))
    assert result["changed"] is False
    assert {disk["state"] for disk in result["disks"]} == {"there"}
    assert {secret["state"] for secret in result["secrets"]} == {"same"}
    assert result["snapshots"]["lost"] == 1


def test_snapshots_are_known_again_and_can_be_restored(
    world: World, before: Before, restored: str, pruned: str, olga: Student
) -> None:
    assert snapshots(world) == before.snapshots
    assert {one.name for one in world.snapshots() if not one.ready} == {pruned}
    assert "lost: 1" in restored
    take_away(world, pruned)
    world.nothing_leaks()
    olga.start()
    newest = world.snapshots(olga.name)[-1]
    path = "work/übung 1/3.txt"
    world.module(RESTORE, student=olga.name, snapshot=newest.name, path=path, into="back")
    assert olga.read(f"back/{path}") == "3" * 1000


@pytest.mark.usefixtures("restored")
def test_the_hub_is_as_the_playbook_wants_it(images: dict[str, str]) -> None:
    recap = playbook(UP, "--check", "--diff", *given(jupyterhub_images=images))
    assert (recap["changed"], recap["failed"]) == (0, 0)
