"""A restore on a cluster in memory: what it leaves behind, also when it is killed anywhere."""

from __future__ import annotations

import json
from typing import Any

import pytest
from ansible_collections.campus.jupyterhub.plugins.module_utils import _restore_run
from ansible_collections.campus.jupyterhub.plugins.module_utils._disk_snapshots import OURS
from ansible_collections.campus.jupyterhub.plugins.module_utils._manifest import MANIFEST
from ansible_collections.campus.jupyterhub.plugins.module_utils._side_disk import HOME_MOUNT, LABELS
from ansible_collections.campus.jupyterhub.plugins.module_utils._side_disk_run import RestoreError
from ansible_collections.campus.jupyterhub.plugins.module_utils._student_disks import SelectionError
from ansible_collections.campus.jupyterhub.tests.unit.plugins.module_utils.fake_cluster import (
    CLAIM,
    NAMESPACE,
    POD,
    VOLUME,
    FakeCluster,
)
from ansible_collections.campus.jupyterhub.tests.unit.plugins.module_utils.restore_world import (
    SECONDS,
    SNAPSHOT,
    WHOLE,
    anns_cluster,
    names,
    options_of,
    planned,
    refusal,
    run,
)

Json = dict[str, Any]


@pytest.fixture
def cluster() -> FakeCluster:
    """Ann's disk, and the snapshot of it from yesterday."""
    return anns_cluster()


# Whose snapshots are read


@pytest.fixture
def asked(cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """By which labels snapshots were listed; ann's disk has one of its own by now."""
    cluster.found(CLAIM, "claim-ann")["metadata"]["labels"]["hub.jupyter.org/username"] = "ann"
    selectors: list[str] = []
    listed = cluster.list

    def listing(kind: str, api_version: str = "v1", namespace: str | None = None, *more: Any) -> list[Json]:
        if kind == "VolumeSnapshot":
            selectors.extend(more)
        return listed(kind, api_version, namespace, *more)

    monkeypatch.setattr(cluster, "list", listing)
    return selectors


def test_of_all_snapshots_only_the_students_own_are_read(cluster: FakeCluster, asked: list[str]) -> None:
    cluster.found("VolumeSnapshot", SNAPSHOT)["metadata"]["labels"]["hub.jupyter.org/username"] = "ann"
    assert planned(cluster, path="hw").plan.snapshot.name == SNAPSHOT
    assert asked == [f"{OURS},hub.jupyter.org/username=ann"]


def test_snapshots_that_are_older_than_the_label_are_found(cluster: FakeCluster, asked: list[str]) -> None:
    newer = cluster.snapshot("2026-11-25T10:00:00Z", name="newer")
    newer["metadata"]["labels"]["hub.jupyter.org/username"] = "ann"
    assert planned(cluster, path="hw", snapshot=SNAPSHOT).plan.snapshot.name == SNAPSHOT
    assert planned(cluster, path="hw", time="2026-11-25T09:30:00Z").plan.snapshot.name == SNAPSHOT
    assert asked == [f"{OURS},hub.jupyter.org/username=ann", OURS] * 2
    assert planned(cluster, path="hw").plan.snapshot.name == "newer"


# A path


def test_a_path_is_copied_by_a_pod_that_leaves_nothing_behind(cluster: FakeCluster) -> None:
    before = names(cluster)
    cluster.answers = lambda _pod: {"target": "restored/x/hw", "hash": "h", "files": 3}
    answer = run(cluster, path="hw $(HOME)", into="back")
    assert answer == {"target": "restored/x/hw", "hash": "h", "files": 3}
    assert names(cluster) == before
    (pod,) = cluster.pods_run
    (container,) = pod["spec"]["containers"]
    assert (container["image"], pod["spec"]["imagePullSecrets"]) == ("jobs:1", [{"name": "registry"}])
    words = container["command"]
    assert words[:3] == ["python3", "-m", "campus_jobs.copy_back"]
    assert "--path=hw $$(HOME)" in words
    assert "--into=back" in words
    assert [each["persistentVolumeClaim"].get("readOnly") for each in pod["spec"]["volumes"]] == [True, False]
    assert {each["mountPath"]: each["readOnly"] for each in container["volumeMounts"]}[HOME_MOUNT] is False
    assert pod["spec"]["automountServiceAccountToken"] is False
    assert pod["spec"].get("affinity") is None


def test_the_pod_goes_to_the_node_where_the_disk_is_in_use(cluster: FakeCluster) -> None:
    cluster.server("claim-ann", "node-7")
    run(cluster, path="hw")
    (term,) = cluster.pods_run[0]["spec"]["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"][
        "nodeSelectorTerms"
    ]
    assert term == {"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["node-7"]}]}


def test_a_disk_for_one_pod_only_is_not_shared(cluster: FakeCluster) -> None:
    cluster.found(CLAIM, "claim-ann")["spec"]["accessModes"] = ["ReadWriteOncePod"]
    run(cluster, path="hw")
    cluster.server("claim-ann")
    assert "takes one pod only and jupyter-claim-ann has it: stop the server of ann" in refusal(cluster, path="hw")


def test_what_the_pod_refuses_is_said_and_nothing_is_left(cluster: FakeCluster) -> None:
    cluster.answers = lambda _pod: {"error": "'hx' is not in the snapshot; did you mean hw?"}
    before = names(cluster)
    with pytest.raises(RestoreError, match="'hx' is not in the snapshot; did you"):
        run(cluster, path="hx")
    assert names(cluster) == before
    assert cluster.home_of("claim-ann") == "present"


def test_no_room(cluster: FakeCluster) -> None:
    before = names(cluster)
    cluster.no_room = "rpc error: code = ResourceExhausted desc = the pool has 1 GiB left"
    with pytest.raises(RestoreError) as raised:
        run(cluster, path="hw")
    assert str(raised.value).startswith("There is no room for the restore: rpc error:")
    assert names(cluster) == before
    assert cluster.seconds < SECONDS


def test_a_pod_that_never_starts_says_why(cluster: FakeCluster) -> None:
    before = names(cluster)
    cluster.no_room = "the node is on holiday"
    with pytest.raises(RestoreError) as raised:
        run(cluster, path="hw")
    assert "took longer than 100 s" in str(raised.value)
    assert str(raised.value).endswith("Last warning: the node is on holiday.")
    assert names(cluster) == before


def test_a_pod_that_dies_without_a_word(cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "logs", lambda *_words: "Killed")
    with pytest.raises(RestoreError, match="ended with: Killed"):
        run(cluster, path="hw")


# A side disk


def test_a_side_disk_is_made_and_a_second_run_finds_it(cluster: FakeCluster) -> None:
    assert planned(cluster, to="look").changes
    run(cluster, to="look")
    assert cluster.home_of("look") == "old"
    assert cluster.found(VOLUME, cluster.found(CLAIM, "look")["spec"]["volumeName"])["spec"][
        "persistentVolumeReclaimPolicy"
    ] == ("Delete")
    assert not planned(cluster, to="look").changes
    run(cluster, to="look")
    cluster.answers = lambda _pod: {"error": "disk on fire"}
    with pytest.raises(RestoreError):
        run(cluster, to="look")
    assert cluster.home_of("look") == "old"
    assert cluster.names(POD) == []


def test_a_side_disk_never_takes_another_disk(cluster: FakeCluster) -> None:
    assert "'claim-ann' is the name of a student's disk" in refusal(cluster, to="claim-ann")
    assert cluster.home_of("claim-ann") == "present"


def test_a_side_disk_never_has_the_name_under_which_the_hub_looks_for_a_lost_disk(
    cluster: FakeCluster, asked: list[str]
) -> None:
    cluster.snapshot(student="bob")
    cluster.found("VolumeSnapshot", SNAPSHOT)["metadata"]["labels"]["hub.jupyter.org/username"] = "ann"
    assert "'claim-bob' is the name of a student's disk" in refusal(cluster, to="claim-bob")
    assert "'claim-bob' is the name of a student's disk" in refusal(cluster, to="claim-bob", path="hw")
    assert asked == [OURS, OURS]


@pytest.mark.parametrize("options", [{}, {"path": "hw"}])
def test_a_name_that_is_taken_is_refused_before_anything_is_made(cluster: FakeCluster, options: Json) -> None:
    older = cluster.snapshot("2026-11-24T09:00:00Z", "older")["metadata"]["name"]
    cluster.put({"kind": CLAIM, "metadata": {"name": "shared", "namespace": NAMESPACE}, "spec": {}, "status": {}})
    assert refusal(cluster, to="shared", **options) == "Another disk is called shared; choose another name by to."
    run(cluster, to="look", snapshot=older)
    assert "Another disk is called look;" in refusal(cluster, to="look", **options)
    assert not planned(cluster, to="look", snapshot=older).changes
    cluster.server("look")
    cluster.delete(CLAIM, "look", NAMESPACE, cluster.found(CLAIM, "look")["metadata"]["uid"])
    assert "The side disk look is being removed;" in refusal(cluster, to="look", snapshot=older, **options)


def test_a_name_that_is_taken_after_the_plan(cluster: FakeCluster) -> None:
    wanted = planned(cluster, to="look")
    cluster.put({"kind": CLAIM, "metadata": {"name": "look", "namespace": NAMESPACE}, "spec": {}, "status": {}})
    with pytest.raises(RestoreError, match="Another disk is called look;"):
        wanted.run()


@pytest.mark.parametrize("answer", [{"target": "restored/x/hw"}, {"error": "'hw' is not in the snapshot"}])
def test_a_side_disk_that_was_named_and_kept_stays(cluster: FakeCluster, answer: Json) -> None:
    run(cluster, to="look")
    cluster.answers = lambda _pod: answer
    try:
        outcome = _restore_run.restore(cluster, options_of(path="hw", to="look"), check_mode=False)
    except RestoreError:
        assert "error" in answer
    else:
        assert outcome["side_disk"] == "look"
    assert cluster.home_of("look") == "old"


def test_a_side_disk_that_was_named_and_not_kept_goes(cluster: FakeCluster) -> None:
    before = names(cluster)
    assert run(cluster, to="look", path="hw").get("side_disk") is None
    assert names(cluster) == before


def test_a_side_disk_is_made_where_the_disk_is(cluster: FakeCluster) -> None:
    run(cluster, to="look")
    assert cluster.pods_run[0]["spec"]["affinity"]["nodeAffinity"] == {
        "requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [{"matchExpressions": []}]}
    }


@pytest.mark.parametrize(
    ("recorded", "differs"),
    [
        ({"root": "r", "parts": {"hw": "file a"}}, []),
        ({"root": "x", "parts": {"hw": "file b", "gone": "file c", "same": "file d"}}, ["gone", "hw"]),
        ({"root": "x", "files": 2}, ["files: 2, now 1", "folders: None, now None"]),
    ],
)
def test_a_side_disk_is_compared_with_what_was_recorded(
    cluster: FakeCluster, recorded: Json, differs: list[str]
) -> None:
    cluster.answers = lambda _pod: {"root": "r", "files": 1, "parts": {"hw": "file a", "same": "file d"}}
    if not differs:
        recorded["root"] = "r"
    cluster.found("VolumeSnapshot", SNAPSHOT)["metadata"]["annotations"][MANIFEST] = json.dumps(recorded)
    answer = run(cluster)
    assert answer["differs"][:2] == differs
    assert answer["matches"] is (not differs)


# Before anything is changed


def test_a_disk_in_use_is_not_replaced(cluster: FakeCluster) -> None:
    cluster.server("claim-ann")
    assert "stop the server of ann first" in refusal(cluster, **WHOLE)


def test_classes_that_do_not_fit(cluster: FakeCluster) -> None:
    assert "There is no StorageClass none to make" in refusal(cluster, path="hw", scratch_class="none")
    assert "The VolumeSnapshotClass none is not there" in refusal(cluster, **WHOLE, snapshot_class="none")
    cluster.found("VolumeSnapshotClass", "jupyterhub")["driver"] = "other.csi"
    assert "The VolumeSnapshotClass jupyterhub is of other.csi" in refusal(cluster, **WHOLE)
    cluster.found("StorageClass", "jupyterhub-scratch")["provisioner"] = "kubernetes.io/no-provisioner"
    assert (
        "jupyterhub-scratch is of kubernetes.io/no-provisioner and cannot make a disk from a snapshot of local.csi"
        in refusal(cluster, path="hw")
    )


@pytest.mark.parametrize("namespace", ["", " "])
def test_no_namespace(cluster: FakeCluster, namespace: str) -> None:
    with pytest.raises(SelectionError, match="namespace is empty; name the one that the hub is in"):
        _restore_run.restore(cluster, options_of(path="hw", namespace=namespace), check_mode=True)


def test_no_class_at_all(cluster: FakeCluster) -> None:
    assert "No StorageClass is named to make the disk in" in refusal(cluster, path="hw", scratch_class="")
    cluster.found(CLAIM, "claim-ann")["spec"]["storageClassName"] = ""
    assert "The disk claim-ann has no StorageClass to make another in its place;" in refusal(cluster, **WHOLE)
    run(cluster, path="hw")
    del cluster.objects[CLAIM, NAMESPACE, "claim-ann"]
    assert "No StorageClass is named" in refusal(cluster, **WHOLE, storage_class="")


def test_the_image(cluster: FakeCluster) -> None:
    run(cluster, image="mine:2")
    del cluster.objects["CronJob", NAMESPACE, "snapshots"]
    assert "The CronJob snapshots in jupyterhub, whose image restores, is not there" in refusal(cluster, path="hw")
    run(cluster, image="mine:2")
    images = [pod["spec"]["containers"][0]["image"] for pod in cluster.pods_run]
    assert images == ["mine:2", "mine:2"]
    assert cluster.pods_run[1]["spec"]["imagePullSecrets"] == []


def test_a_snapshot_without_content(cluster: FakeCluster) -> None:
    del cluster.objects["VolumeSnapshotContent", "", f"snapcontent-{SNAPSHOT}"]
    assert f"The content of the snapshot {SNAPSHOT} is gone" in refusal(cluster, path="hw")


def test_check_mode_changes_nothing(cluster: FakeCluster) -> None:
    outcome = _restore_run.restore(cluster, options_of(path="hw"), check_mode=True)
    assert cluster.changes == 0
    assert outcome["changed"] is True
    assert outcome["diff"]["after"].strip() == outcome["plan"]
    assert outcome["side_disk"] == ""
    with pytest.raises(SelectionError, match="No student 'anna' has a disk here; did you mean ann"):
        _restore_run.restore(cluster, options_of(student="anna"), check_mode=True)


def test_a_side_disk_is_no_students_disk() -> None:
    assert LABELS["component"] != "singleuser-storage"
