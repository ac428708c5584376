"""Backup, loss, restore: whatever was lost, and wherever a run was stopped, everybody finds their own disk."""

from __future__ import annotations

import copy
import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.campus.jupyterhub.plugins.module_utils._cluster import ClusterError
from ansible_collections.campus.jupyterhub.plugins.module_utils._disk_snapshots import CLAIM_UID, snapshot_of
from ansible_collections.campus.jupyterhub.plugins.module_utils._hub_archive import LISTS, ArchiveError, load, pack
from ansible_collections.campus.jupyterhub.plugins.module_utils._hub_restore_run import (
    ARGUMENTS,
    StoppedError,
    restore_hub,
)
from ansible_collections.campus.jupyterhub.plugins.module_utils._side_disk_run import RestoreError
from ansible_collections.campus.jupyterhub.tests.unit.plugins.module_utils.hub_archives import backup
from ansible_collections.campus.jupyterhub.tests.unit.plugins.module_utils.hub_world import (
    CLAIM,
    CONTENT,
    NAMESPACE,
    SNAPSHOT,
    VOLUME,
    HubWorld,
    KilledError,
)

Json = dict[str, Any]
STUDENTS = ("ann", "bob", "eve@example.edu")
DISKS = {"claim-ann": "disk-of-ann", "claim-bob": "disk-of-bob", "claim-eve": "disk-of-eve@example.edu"}


@pytest.fixture
def world() -> HubWorld:
    """Three students with disks, of whom two have snapshots."""
    made = HubWorld()
    made.put({"kind": "Namespace", "metadata": {"name": NAMESPACE}})
    made.secret(cookie_secret="Y29va2ll")
    for student in STUDENTS:
        made.disk(student, name=f"claim-{student.partition('@')[0]}")
    for student in STUDENTS[:2]:
        made.snapshot(student)
    return made


@pytest.fixture
def archive(world: HubWorld, tmp_path: Path) -> str:
    return str(backup(world, tmp_path)["file"])


def run(world: HubWorld, file: str, check: bool = False, **options: Any) -> Json:
    defaults = {name: each.get("default") for name, each in ARGUMENTS.items()}
    return restore_hub(world, load(Path(file)), {**defaults, "file": file, **options}, check, world.clock)


def refusal(world: HubWorld, file: str, **options: Any) -> str:
    """The sentence of a refusal, which has changed nothing."""
    before = copy.deepcopy(world.objects)
    with pytest.raises((RestoreError, ClusterError, ArchiveError)) as raised:
        run(world, file, **options)
    assert world.objects == before
    assert "\n" not in str(raised.value)
    return str(raised.value)


def lose_cluster(_world: HubWorld) -> HubWorld:
    """Only the storage is left."""
    return HubWorld("cluster-2")


def lose_namespace(world: HubWorld) -> HubWorld:
    """Volumes and contents of snapshots stay, as their policy retains them."""
    for key in [key for key in world.objects if key[1] == NAMESPACE or key[0] == "Namespace"]:
        del world.objects[key]
    for (kind, _namespace, _name), item in world.objects.items():
        if kind == VOLUME:
            item["status"] = {"phase": "Released"}
    return world


def lose_claims(world: HubWorld) -> HubWorld:
    """Somebody deleted all claims."""
    for name in DISKS:
        world.forget(CLAIM, name)
    for (kind, _namespace, _name), item in world.objects.items():
        if kind == VOLUME:
            item["status"] = {"phase": "Released"}
    return world


def lose_volumes_too(world: HubWorld) -> HubWorld:
    """The objects of the volumes are gone with the claims, the storage is not."""
    for name in DISKS:
        world.forget(VOLUME, f"pv-{name}")
        world.forget(CLAIM, name)
    for name in world.names(SNAPSHOT):
        world.forget(SNAPSHOT, name)
    for name in world.names(CONTENT):
        world.forget(CONTENT, name)
    return world


LOSSES = [lose_cluster, lose_namespace, lose_claims, lose_volumes_too, lambda world: world]
Loss = Callable[[HubWorld], HubWorld]


def require_all(world: HubWorld) -> None:
    """Raise unless everybody finds their own disk, and nothing is doubled."""
    assert {name: world.home_of(name) for name in DISKS} == DISKS
    handles = [world.found(VOLUME, name)["spec"]["csi"]["volumeHandle"] for name in world.names(VOLUME)]
    assert sorted(handles) == sorted(DISKS.values())
    assert world.found("Secret", "hub-secret")["data"]["cookie_secret"] == "Y29va2ll"
    for student in STUDENTS[:2]:
        name = f"claim-{student}-20261125-090000"
        snapshot = snapshot_of(world.found(SNAPSHOT, name))
        assert snapshot.ready
        assert (snapshot.student, snapshot.disk) == (student, f"claim-{student}")
        assert snapshot.taken.isoformat() == "2026-11-25T09:00:00+00:00"
        assert snapshot.disk_uid == world.found(CLAIM, f"claim-{student}")["metadata"]["uid"]
        content = world.found(CONTENT, snapshot.content)
        assert content["spec"]["deletionPolicy"] == "Retain"
        source, status = content["spec"]["source"], content.get("status") or {}
        assert f"handle-of-{name}" in (source.get("snapshotHandle"), status.get("snapshotHandle"))


@pytest.mark.parametrize("lose", LOSSES)
def test_everybody_finds_their_own_disk(world: HubWorld, archive: str, lose: Loss) -> None:
    world = lose(world)
    planned = run(world, archive, check=True)
    assert world.changes == []
    done = run(world, archive)
    assert done == planned
    require_all(world)


@pytest.mark.parametrize("lose", LOSSES)
def test_the_second_time_nothing_is_left_to_do(world: HubWorld, archive: str, lose: Loss) -> None:
    world = lose(world)
    run(world, archive)
    before = len(world.changes)
    again = run(world, archive)
    assert len(world.changes) == before
    assert not again["changed"]
    assert {row["state"] for row in again["disks"]} == {"there"}
    assert [row["state"] for row in again["secrets"]] == ["same"]
    assert again["snapshots"] == {"bound": 0, "there": 2, "conflict": 0, "lost": 0}
    assert again["diff"]["before"] == again["diff"]["after"]


@pytest.mark.parametrize("lose", LOSSES[:-1])
def test_stopped_anywhere_a_repeat_goes_on(world: HubWorld, archive: str, lose: Loss) -> None:
    whole = lose(copy.deepcopy(world))
    run(whole, archive)
    assert len(whole.changes) > 4
    for number in range(len(whole.changes)):
        again = lose(copy.deepcopy(world))
        again.kill_at = number
        with pytest.raises(KilledError):
            run(again, archive)
        again.kill_at = -1
        run(again, archive)
        require_all(again)


def test_lost_again_after_a_restore(world: HubWorld, archive: str) -> None:
    again = lose_cluster(world)
    run(again, archive)
    contents = again.names(CONTENT)
    lose_namespace(again)
    run(again, archive)
    require_all(again)
    assert again.names(CONTENT) == contents


def test_a_report_says_who_and_what(world: HubWorld, archive: str) -> None:
    report = run(lose_cluster(world), archive)
    assert report["changed"]
    assert report["disks"][0] == {
        "student": "ann",
        "disk": "claim-ann",
        "volume": "pv-claim-ann",
        "state": "bound",
        "message": "",
    }
    assert report["secrets"] == [{"name": "hub-secret", "namespace": NAMESPACE, "state": "created", "message": ""}]
    assert report["snapshots"] == {"bound": 2, "there": 0, "conflict": 0, "lost": 0}
    assert report["database"] == {"kind": "none", "revision": None, "users": None, "made": "2026-11-26T03:15:00Z"}
    assert "Y29va2ll" not in str(report)


def test_a_new_empty_disk_is_not_taken_for_the_student_s(world: HubWorld, archive: str) -> None:
    empty = HubWorld("cluster-2")
    empty.put({"kind": "Namespace", "metadata": {"name": NAMESPACE}})
    empty.disk("bob", "an-empty-one")
    before = copy.deepcopy(empty.objects)
    for check in (True, False):
        refused = run(empty, archive, check=check)
        assert empty.objects == before
        assert not refused["changed"]
        assert "the disk of bob (" in refused["msg"]
        assert "ann" not in refused["msg"]


def test_who_has_a_new_disk_may_keep_it(world: HubWorld, archive: str) -> None:
    empty = HubWorld("cluster-2")
    empty.put({"kind": "Namespace", "metadata": {"name": NAMESPACE}})
    empty.disk("bob", "an-empty-one")["metadata"]["uid"] = "new"
    report = run(empty, archive, keep_new=True)
    assert report["msg"] == ""
    assert {row["student"]: row["state"] for row in report["disks"]} == {
        "ann": "bound",
        "bob": "conflict",
        "eve@example.edu": "bound",
    }
    assert empty.home_of("claim-ann") == "disk-of-ann"
    assert empty.home_of("claim-bob") == "an-empty-one"
    # What a snapshot shows is not what is on bob's new disk.
    snapshot = empty.found(SNAPSHOT, "claim-bob-20261125-090000")
    assert snapshot["metadata"]["annotations"][CLAIM_UID] != empty.found(CLAIM, "claim-bob")["metadata"]["uid"]


def test_a_claim_that_the_hub_makes_meanwhile_gets_the_volume(world: HubWorld, archive: str) -> None:
    class Hasty(HubWorld):
        def create(self, item: Json) -> Json:
            made = super().create(item)
            if item["kind"] == VOLUME:
                claim = {"name": item["spec"]["claimRef"]["name"], "namespace": NAMESPACE}
                spec = {"storageClassName": "jupyterhub"}
                self.put({"kind": CLAIM, "metadata": claim, "spec": spec, "status": {"phase": "Pending"}})
            return made

    hasty = Hasty("cluster-2")
    run(hasty, archive)
    assert {name: hasty.home_of(name) for name in DISKS} == DISKS


def test_a_claim_that_got_another_volume_meanwhile_is_told(world: HubWorld, archive: str) -> None:
    class Hasty(HubWorld):
        def create(self, item: Json) -> Json:
            if item["kind"] == VOLUME and item["metadata"]["name"] == "pv-claim-bob":
                self.disk("bob", "an-empty-one")["spec"]["volumeName"] = "an-empty-one"
                self.forget(VOLUME, "pv-claim-bob")
            return super().create(item)

    hasty = Hasty("cluster-2")
    with pytest.raises(RestoreError, match=r"claim-bob of bob got another volume meanwhile.*run again to go on"):
        run(hasty, archive)
    assert hasty.found(CLAIM, "claim-bob")["spec"]["volumeName"] == "an-empty-one"


def test_a_snapshot_that_was_pruned_since_is_told_and_stops_nothing(world: HubWorld, archive: str) -> None:
    empty = HubWorld("cluster-2")
    empty.gone = {"handle-of-claim-ann-20261125-090000"}
    report = run(empty, archive, timeout=300)
    assert report["snapshots"] == {"bound": 1, "there": 0, "conflict": 0, "lost": 1}
    assert {name: empty.home_of(name) for name in DISKS} == DISKS
    assert empty.seconds < 60
    before = len(empty.changes)
    again = run(empty, archive)
    assert again["snapshots"] == {"bound": 0, "there": 1, "conflict": 0, "lost": 1}
    assert (again["changed"], len(empty.changes)) == (False, before)


def test_a_snapshot_that_never_gets_ready_is_told_in_time(
    world: HubWorld, archive: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    empty = HubWorld("cluster-2")
    monkeypatch.setattr(empty, "_ready", lambda item: None)
    assert run(empty, archive, timeout=60)["snapshots"]["lost"] == 2
    assert 60 <= empty.seconds < 70


def test_every_volume_is_kept_for_its_student_before_the_first_claim_is_made(world: HubWorld, archive: str) -> None:
    empty = HubWorld("cluster-2")
    run(empty, archive)
    made = [change.split()[1] for change in empty.changes if change.split()[1] in (CLAIM, VOLUME)]
    assert made == [VOLUME] * 3 + [CLAIM] * 3


def test_what_was_made_but_not_answered_is_not_somebody_else_s(world: HubWorld, archive: str) -> None:
    class Slow(HubWorld):
        def create(self, item: Json) -> Json:
            made = super().create(item)
            if self.unheard:
                self.unheard = False
                raise ClusterError("create", item["metadata"]["name"], "timed out", "", 504)
            return made

        unheard = True

    slow = Slow("cluster-2")
    run(slow, archive)
    assert {name: slow.home_of(name) for name in DISKS} == DISKS


def test_a_run_that_had_begun_says_so(world: HubWorld, archive: str) -> None:
    class Refusing(HubWorld):
        def create(self, item: Json) -> Json:
            if item["kind"] == CLAIM:
                raise ClusterError("create", item["metadata"]["name"], "forbidden", "", 403)
            return super().create(item)

    with pytest.raises(StoppedError, match="run again to go on"):
        run(Refusing("cluster-2"), archive)


def test_another_namespace(world: HubWorld, archive: str) -> None:
    empty = HubWorld("cluster-2")
    assert run(empty, archive, namespace="second")["namespace"] == "second"
    assert empty.found("Namespace", "second", "")["metadata"] == {
        "name": "second",
        "uid": empty.found("Namespace", "second", "")["metadata"]["uid"],
    }
    assert {name: empty.home_of(name, "second") for name in DISKS} == DISKS
    assert empty.found("Secret", "hub-secret", "second")


def test_beside_the_hub_that_has_the_disks_nothing_is_taken(world: HubWorld, archive: str) -> None:
    before = copy.deepcopy(world.objects)
    report = run(world, archive, namespace="second")
    assert "belongs to the claim jupyterhub/claim-ann" in report["msg"]
    assert world.objects == before
    kept = run(world, archive, namespace="second", keep_new=True)
    assert {row["state"] for row in kept["disks"]} == {"conflict"}
    assert kept["snapshots"]["conflict"] == 2
    require_all(world)


def test_a_secret_keeps_what_the_archive_does_not_know(world: HubWorld, archive: str) -> None:
    world.secret(cookie_secret="bmV3", newer_token="dG9r")
    assert [row["state"] for row in run(world, archive)["secrets"]] == ["replaced"]
    assert world.found("Secret", "hub-secret")["data"] == {"cookie_secret": "Y29va2ll", "newer_token": "dG9r"}


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (
            lambda world: world.forget("StorageClass", "jupyterhub", ""),
            "no StorageClass jupyterhub: run the role storage",
        ),
        (lambda world: world.forget("CSIDriver", "local.csi.campus.jupyterhub", ""), "no CSI driver local.csi"),
        (lambda world: setattr(world, "knows_snapshots", False), "does not know snapshots: run the role storage"),
    ],
)
def test_a_cluster_that_lacks_something_is_left_alone(
    world: HubWorld, archive: str, spoil: Callable[[HubWorld], Any], says: str
) -> None:
    empty = HubWorld("cluster-2")
    spoil(empty)
    assert says in refusal(empty, archive)


def test_a_driver_that_only_nodes_know_is_known(world: HubWorld, archive: str) -> None:
    empty = HubWorld("cluster-2")
    driver = empty.forget("CSIDriver", "local.csi.campus.jupyterhub", "")["metadata"]["name"]
    empty.put({"kind": "CSINode", "metadata": {"name": "node"}, "spec": {"drivers": [{"name": driver}]}})
    assert run(empty, archive)["changed"]


def test_another_cluster_is_refused(world: HubWorld, archive: str) -> None:
    assert "another uid" in refusal(HubWorld("cluster-2"), archive, cluster_uid="cluster-1")


def test_no_archive_is_refused(tmp_path: Path) -> None:
    assert "There is no archive" in refusal(HubWorld(), str(tmp_path / "none.tar.gz"))


def test_what_does_not_get_bound_is_named_in_time(
    world: HubWorld, archive: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    empty = HubWorld("cluster-2")
    monkeypatch.setattr(empty, "control", lambda: None)
    with pytest.raises(RestoreError, match=r"Waited 60 s for the disks.*ann \(claim-ann\), bob \(claim-bob\)"):
        run(empty, archive, timeout=60)
    assert 60 <= empty.seconds < 70


def test_a_busy_api_server_is_asked_again(world: HubWorld, archive: str, monkeypatch: pytest.MonkeyPatch) -> None:
    empty = HubWorld("cluster-2")
    answers = [ClusterError("list", "claims", "busy", "", 503)] * 3
    ask = empty.list

    def busy(kind: str, *others: Any) -> list[Json]:
        if kind == CLAIM and empty.names(CLAIM) and answers:
            raise answers.pop()
        return ask(kind, *others)

    monkeypatch.setattr(empty, "list", busy)
    run(empty, archive)
    assert answers == []
    require_all(empty)


SPOILT: tuple[Any, ...] = (None, "", "x", 7, [], ["x"], {}, {"x": {}})


def places(item: Any, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """The keys to everything that is in an object."""
    inside = item.items() if isinstance(item, dict) else ()
    return [found for key, each in inside for found in ((*path, key), *places(each, (*path, key)))]


def altered(item: Json, path: tuple[str, ...], *value: Any) -> Json:
    """An object with another value somewhere, or without any."""
    key, rest = path[0], path[1:]
    without = {name: each for name, each in item.items() if name != key}
    if rest:
        return {**without, key: altered(item[key], rest, *value)}
    return {**without, key: value[0]} if value else without


@pytest.mark.parametrize("name", LISTS)
def test_whatever_an_archive_lacks_is_told_in_a_sentence(world: HubWorld, tmp_path: Path, name: str) -> None:
    world.secret("proxy-tls", key="a2V5")
    with tarfile.open(backup(world, tmp_path, secrets=["hub-secret", "proxy-tls"])["file"]) as archive:
        archive.extractall(tmp_path, filter="data")
    info, items = json.loads((tmp_path / "backup.json").read_text()), json.loads((tmp_path / name).read_text())
    empty, whole, refused = HubWorld("cluster-2"), lose_claims(copy.deepcopy(world)), 0
    for number, path in enumerate(places(items[0])):
        for value in ((), *((each,) for each in SPOILT)):
            (tmp_path / name).write_text(json.dumps([altered(items[0], path, *value), *items[1:]]))
            pack(tmp_path, info, tmp_path / f"{number}.tar.gz")
            for cluster in (empty, world, whole):
                try:
                    run(cluster, str(tmp_path / f"{number}.tar.gz"), check=True)
                except ArchiveError as error:
                    assert f"object 1 of {name} " in str(error), (path, value)  # noqa: PT017
                    refused += 1
                except RestoreError:
                    pass
            (tmp_path / f"{number}.tar.gz").unlink()
    assert refused
