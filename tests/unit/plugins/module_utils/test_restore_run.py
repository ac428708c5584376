"""A restore on a cluster in memory: what it leaves behind, also when it is killed anywhere."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from ansible_collections.campus.jupyterhub.plugins.module_utils import _restore_run
from ansible_collections.campus.jupyterhub.plugins.module_utils._disk_snapshots import OURS
from ansible_collections.campus.jupyterhub.plugins.module_utils._disk_swap import PENDING, RECORD, REPLACED, RESTORED
from ansible_collections.campus.jupyterhub.plugins.module_utils._disk_swap_run import Swap
from ansible_collections.campus.jupyterhub.plugins.module_utils._manifest import MANIFEST
from ansible_collections.campus.jupyterhub.plugins.module_utils._restore_run import ARGUMENTS, Restore
from ansible_collections.campus.jupyterhub.plugins.module_utils._side_disk import HOME_MOUNT, LABELS
from ansible_collections.campus.jupyterhub.plugins.module_utils._side_disk_run import RestoreError, SideDisks
from ansible_collections.campus.jupyterhub.plugins.module_utils._snapshot_remove import Clock
from ansible_collections.campus.jupyterhub.plugins.module_utils._student_disks import STUDENT, SelectionError
from ansible_collections.campus.jupyterhub.tests.unit.plugins.module_utils.fake_cluster import (
    CLAIM,
    NAMESPACE,
    POD,
    VOLUME,
    FakeCluster,
    KilledError,
    volume,
)

Json = dict[str, Any]
NOW = datetime(2026, 11, 26, 10, tzinfo=UTC)
SNAPSHOT = "claim-ann-20261125-090000"
WHOLE = {"whole_disk": True, "snapshot": SNAPSHOT}
UID = "uid-claim-ann"
SECONDS = 100
LOOKS = 2
"""How often a run looks whether a pod uses the disk that it replaces."""


@pytest.fixture
def cluster() -> FakeCluster:
    """Ann's disk, and the snapshot of it from yesterday."""
    made = FakeCluster()
    made.disk("ann", course="data8")
    made.snapshot()
    return made


def options_of(**options: Any) -> Json:
    """All options of the module."""
    defaults = {name: each.get("default") for name, each in ARGUMENTS.items()}
    return {**defaults, "namespace": NAMESPACE, "student": "ann", "timeout": SECONDS, **options}


def planned(cluster: FakeCluster, **options: Any) -> Restore:
    sides = SideDisks(cluster, NAMESPACE, SECONDS, Clock(cluster.clock, cluster.sleep))
    return Restore(sides, options_of(**options), lambda: NOW + timedelta(seconds=cluster.seconds + cluster.changes))


def run(cluster: FakeCluster, **options: Any) -> Json:
    return planned(cluster, **options).run()


def names(cluster: FakeCluster) -> dict[str, list[str]]:
    return {kind: cluster.names(kind) for kind in (CLAIM, VOLUME, POD)}


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
    with pytest.raises(RestoreError, match="Another disk is called claim-ann; choose another name"):
        run(cluster, to="claim-ann")
    assert cluster.home_of("claim-ann") == "present"


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


# A whole disk


def test_a_whole_disk_comes_back_and_the_present_one_stays(cluster: FakeCluster) -> None:
    before = cluster.found(CLAIM, "claim-ann")
    before["metadata"]["annotations"]["volume.kubernetes.io/selected-node"] = "node-1"
    answer = run(cluster, **WHOLE)
    after = cluster.found(CLAIM, "claim-ann")
    assert cluster.home_of("claim-ann") == "old"
    assert after["metadata"]["labels"] == before["metadata"]["labels"]
    assert after["metadata"]["annotations"] == {STUDENT: "ann"}
    assert {**after["spec"], "volumeName": ""} == {**before["spec"], "volumeName": ""}
    assert after["metadata"]["uid"] != before["metadata"]["uid"]
    assert answer["kept_volume"] == "pv-claim-ann"
    assert answer["volume"] == after["spec"]["volumeName"]
    assert answer["present_snapshot"].startswith("claim-ann-20261126-1000")
    assert cluster.data[answer["present_snapshot"]] == "present"
    kept = cluster.found(VOLUME, "pv-claim-ann")
    assert (cluster.data["pv-claim-ann"], kept["status"]["phase"]) == ("present", "Released")
    assert kept["metadata"]["annotations"][STUDENT] == "ann"
    assert json.loads(kept["metadata"]["annotations"][REPLACED])["by"] == answer["volume"]
    new = cluster.found(VOLUME, answer["volume"])["metadata"]
    assert PENDING not in new["labels"]
    assert RECORD not in new["annotations"]
    assert new["annotations"][RESTORED] == SNAPSHOT
    assert cluster.names(CLAIM) == ["claim-ann"]
    assert cluster.names(POD) == []


def test_the_new_volume_agrees_with_the_claim_in_all_that_binding_asks_for(cluster: FakeCluster) -> None:
    wishes = {"accessModes": ["ReadWriteMany"], "volumeMode": "Filesystem", "volumeAttributesClassName": "fast"}
    cluster.found(CLAIM, "claim-ann")["spec"] |= wishes
    made = []
    create = cluster.create
    cluster.create = lambda item: made.append(item) or create(item)  # type: ignore[method-assign, func-returns-value]
    run(cluster, **WHOLE)
    claims = [item["spec"] for item in made if item["kind"] == CLAIM]
    assert len(claims) == 2
    assert [spec | wishes for spec in claims] == claims


@pytest.mark.parametrize("policy", ["Delete", "Retain"])
def test_the_present_volume_stays_whatever_its_class_says(cluster: FakeCluster, policy: str) -> None:
    cluster.found(VOLUME, "pv-claim-ann")["spec"]["persistentVolumeReclaimPolicy"] = policy
    cluster.found("StorageClass", "jupyterhub")["reclaimPolicy"] = policy
    run(cluster, **WHOLE)
    assert cluster.data["pv-claim-ann"] == "present"
    assert cluster.home_of("claim-ann") == "old"


CHANGES = 11


def test_how_many_changes_a_whole_disk_takes(cluster: FakeCluster) -> None:
    run(cluster, **WHOLE)
    assert cluster.changes == CHANGES


@pytest.mark.parametrize("hub", [False, True], ids=["nobody", "the hub makes the claim"])
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("change", range(CHANGES))
def test_killed_anywhere_the_same_call_goes_on(cluster: FakeCluster, change: int, after: bool, hub: bool) -> None:
    made_by_hub = {**cluster.found(CLAIM, "claim-ann"), "status": {"phase": "Pending"}}
    made_by_hub["spec"] = {key: value for key, value in made_by_hub["spec"].items() if key != "volumeName"}
    made_by_hub["metadata"] = {**made_by_hub["metadata"], "uid": "by-the-hub"}
    cluster.kill_at, cluster.kill_after = change, after
    with pytest.raises(KilledError):
        run(cluster, **WHOLE)
    cluster.revive()
    cluster.control()
    assert cluster.data["pv-claim-ann"] == "present"
    if hub and "claim-ann" not in cluster.names(CLAIM):
        cluster.put(made_by_hub)
    run(cluster, **WHOLE)
    assert cluster.home_of("claim-ann") == "old"
    assert cluster.data["pv-claim-ann"] == "present"
    assert cluster.names(CLAIM) == ["claim-ann"]
    assert cluster.names(POD) == []
    assert all(PENDING not in cluster.found(VOLUME, name)["metadata"].get("labels", {}) for name in volumes(cluster))
    # Killed after the last change, it was done already, and was done once more.
    twice = ["old"] if after and change == CHANGES - 1 else []
    assert sorted(cluster.data[name] for name in volumes(cluster)) == [*twice, "old", "present"]


def volumes(cluster: FakeCluster) -> list[str]:
    return cluster.names(VOLUME)


def test_a_server_that_starts_meanwhile_keeps_its_disk(cluster: FakeCluster) -> None:
    cluster.answers = lambda _pod: cluster.server("claim-ann") and {"root": "r", "parts": {}}
    with pytest.raises(RestoreError, match="in use by the pod jupyter-claim-ann: stop the server of ann first"):
        run(cluster, **WHOLE)
    assert cluster.home_of("claim-ann") == "present"
    assert cluster.found(CLAIM, "claim-ann")["metadata"].get("deletionTimestamp") is None
    cluster.objects.pop((POD, NAMESPACE, "jupyter-claim-ann"))
    cluster.data["pv-claim-ann"] = "newer"
    answer = run(cluster, **WHOLE)
    assert cluster.home_of("claim-ann") == "old"
    assert cluster.data[answer["present_snapshot"]] == "newer"


def unbound(cluster: FakeCluster) -> None:
    """Ann's claim waits for her first server: it has no volume."""
    claim = cluster.found(CLAIM, "claim-ann")
    del claim["spec"]["volumeName"]
    claim["status"] = {"phase": "Pending"}
    del cluster.objects[VOLUME, "", "pv-claim-ann"], cluster.data["pv-claim-ann"]


def first_server(cluster: FakeCluster) -> Json:
    """Be a server of ann that ran meanwhile: it got her a volume, in a class that deletes, and work on it."""
    claim = cluster.found(CLAIM, "claim-ann")
    cluster.put(volume("pv-late", claim, "Delete"))
    cluster.data["pv-late"] = "work"
    claim["spec"]["volumeName"], claim["status"]["phase"] = "pv-late", "Bound"
    return {"root": "r", "parts": {}}


def test_a_claim_that_waits_for_a_volume_gets_the_restored_one(cluster: FakeCluster) -> None:
    unbound(cluster)
    answer = run(cluster, **WHOLE)
    assert (cluster.home_of("claim-ann"), cluster.found(CLAIM, "claim-ann")["metadata"]["uid"]) == ("old", UID)
    assert (answer["kept_volume"], answer["present_snapshot"]) == ("", "")


def test_work_on_a_volume_that_came_while_the_snapshot_was_read_is_kept(cluster: FakeCluster) -> None:
    unbound(cluster)
    cluster.answers = lambda _pod: first_server(cluster)
    answer = run(cluster, **WHOLE)
    assert cluster.home_of("claim-ann") == "old"
    assert (answer["kept_volume"], cluster.data["pv-late"]) == ("pv-late", "work")
    assert cluster.data[answer["present_snapshot"]] == "work"
    assert REPLACED in cluster.found(VOLUME, "pv-late")["metadata"]["annotations"]


@pytest.mark.parametrize("change", range(CHANGES + 1))
def test_work_on_a_volume_that_came_after_a_restore_was_begun_is_kept(cluster: FakeCluster, change: int) -> None:
    unbound(cluster)
    cluster.kill_at, cluster.kill_after = 4, True
    with pytest.raises(KilledError):
        run(cluster, **WHOLE)
    cluster.revive()
    first_server(cluster)
    cluster.kill_at = cluster.changes + change
    try:
        run(cluster, **WHOLE)
    except KilledError:
        cluster.revive()
        run(cluster, **WHOLE)
    assert cluster.home_of("claim-ann") == "old"
    assert cluster.data["pv-late"] == "work"


@pytest.fixture
def slow_binding(cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], Any]], None]:
    """Nothing is bound to a reserved volume until all looks at who uses the disk are over; then something happens."""

    def set_up(at_last: Callable[[], Any]) -> None:
        required, looks = Swap.require_unused, []

        def require_unused(swap: Swap) -> None:
            required(swap)
            looks.append(swap.record.name)
            if len(looks) == LOOKS:
                monkeypatch.undo()
                at_last()

        monkeypatch.setattr(cluster, "_bind_reserved", lambda _claim: None)
        monkeypatch.setattr(Swap, "require_unused", require_unused)

    return set_up


def test_a_volume_that_comes_just_before_the_claim_goes_is_kept(cluster: FakeCluster, slow_binding: Any) -> None:
    unbound(cluster)
    slow_binding(lambda: first_server(cluster))
    with pytest.raises(RestoreError, match="got a volume meanwhile; nothing of it was changed"):
        run(cluster, **WHOLE)
    assert cluster.home_of("claim-ann") == "work"
    run(cluster, **WHOLE)
    assert (cluster.home_of("claim-ann"), cluster.data["pv-late"]) == ("old", "work")


def test_a_claim_that_gets_the_restored_volume_late_keeps_it(cluster: FakeCluster, slow_binding: Any) -> None:
    unbound(cluster)
    slow_binding(cluster.control)
    run(cluster, **WHOLE)
    assert (cluster.home_of("claim-ann"), cluster.found(CLAIM, "claim-ann")["metadata"]["uid"]) == ("old", UID)


def test_a_claim_that_lost_its_volume_gives_up_no_others(cluster: FakeCluster) -> None:
    cluster.found(VOLUME, "pv-claim-ann")["spec"]["claimRef"]["uid"] = "another"
    cluster.found(CLAIM, "claim-ann")["status"]["phase"] = "Lost"
    answer = run(cluster, **WHOLE)
    assert (cluster.home_of("claim-ann"), answer["kept_volume"]) == ("old", "")
    assert REPLACED not in cluster.found(VOLUME, "pv-claim-ann")["metadata"].get("annotations", {})


def test_another_snapshot_waits_for_the_restore_that_was_begun(cluster: FakeCluster) -> None:
    cluster.snapshot("2026-11-24T09:00:00Z", "older")
    cluster.kill_at, cluster.kill_after = 4, True
    with pytest.raises(KilledError):
        run(cluster, **WHOLE)
    cluster.revive()
    other = {"whole_disk": True, "snapshot": "claim-ann-20261124-090000"}
    assert f"from the snapshot {SNAPSHOT} was begun and not finished" in refusal(cluster, **other)
    assert "goes on from there" in planned(cluster, **WHOLE).report()["plan"]
    run(cluster, **WHOLE)
    run(cluster, **other)
    assert cluster.home_of("claim-ann") == "older"


def test_a_disk_whose_claim_is_gone_comes_back(cluster: FakeCluster) -> None:
    del cluster.objects[CLAIM, NAMESPACE, "claim-ann"]
    answer = run(cluster, **WHOLE)
    made = cluster.found(CLAIM, "claim-ann")
    assert cluster.home_of("claim-ann") == "old"
    assert made["metadata"]["labels"]["component"] == "singleuser-storage"
    assert made["metadata"]["annotations"] == {STUDENT: "ann"}
    assert (answer["kept_volume"], answer["present_snapshot"]) == ("", "")


def test_a_broken_disk_is_kept_without_a_snapshot(cluster: FakeCluster) -> None:
    answer = run(cluster, **WHOLE, snapshot_present=False, snapshot_class="none")
    assert (answer["present_snapshot"], answer["kept_volume"]) == ("", "pv-claim-ann")
    assert cluster.home_of("claim-ann") == "old"


def test_a_restored_disk_that_differs_from_the_record_touches_nothing(cluster: FakeCluster) -> None:
    before = names(cluster)
    cluster.found("VolumeSnapshot", SNAPSHOT)["metadata"]["annotations"][MANIFEST] = json.dumps({"root": "x"})
    with pytest.raises(RestoreError, match="is not what was recorded when it was taken"):
        run(cluster, **WHOLE)
    assert names(cluster) == before
    assert cluster.home_of("claim-ann") == "present"


# Before anything is changed


def refusal(cluster: FakeCluster, **options: Any) -> str:
    """The sentence of a refusal, which has changed nothing."""
    changes = cluster.changes
    with pytest.raises((RestoreError, SelectionError)) as raised:
        planned(cluster, **options)
    assert cluster.changes == changes
    assert "\n" not in str(raised.value)
    return str(raised.value)


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
