"""A whole disk comes back on a cluster in memory: what becomes of the present one, also when it is killed anywhere."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import pytest
from ansible_collections.campus.jupyterhub.plugins.module_utils._disk_swap import (
    PENDING,
    RECORD,
    REPLACED,
    RESTORED,
    Record,
)
from ansible_collections.campus.jupyterhub.plugins.module_utils._disk_swap_run import Swap
from ansible_collections.campus.jupyterhub.plugins.module_utils._manifest import MANIFEST
from ansible_collections.campus.jupyterhub.plugins.module_utils._side_disk_run import RestoreError
from ansible_collections.campus.jupyterhub.plugins.module_utils._student_disks import STUDENT
from ansible_collections.campus.jupyterhub.tests.unit.plugins.module_utils.fake_cluster import (
    CLAIM,
    NAMESPACE,
    POD,
    VOLUME,
    FakeCluster,
    KilledError,
    merged,
    volume,
)
from ansible_collections.campus.jupyterhub.tests.unit.plugins.module_utils.restore_world import (
    CHANGES,
    SNAPSHOT,
    WHOLE,
    anns_cluster,
    names,
    run,
    volumes,
)

Json = dict[str, Any]
UID = "uid-claim-ann"
LOOKS = 3
"""How often a run looks whether a pod uses the disk that it replaces."""


@pytest.fixture
def cluster() -> FakeCluster:
    """Ann's disk, and the snapshot of it from yesterday."""
    return anns_cluster()


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
    cluster.control()
    # Once the claim has the restored volume it is done, and is done once more.
    twice = ["old"] if "claim-ann" in cluster.names(CLAIM) and cluster.home_of("claim-ann") == "old" else []
    run(cluster, **WHOLE)
    assert cluster.home_of("claim-ann") == "old"
    assert cluster.data["pv-claim-ann"] == "present"
    assert cluster.names(CLAIM) == ["claim-ann"]
    assert cluster.names(POD) == []
    assert all(PENDING not in cluster.found(VOLUME, name)["metadata"].get("labels", {}) for name in volumes(cluster))
    assert sorted(cluster.data[name] for name in volumes(cluster)) == [*twice, "old", "present"]


def test_a_server_that_starts_meanwhile_keeps_its_disk(cluster: FakeCluster) -> None:
    cluster.answers = lambda _pod: cluster.server("claim-ann") and {"root": "r", "parts": {}}
    with pytest.raises(RestoreError, match="in use by the pod jupyter-claim-ann: stop the server of ann first"):
        run(cluster, **WHOLE)
    assert cluster.home_of("claim-ann") == "present"
    assert cluster.found(CLAIM, "claim-ann")["metadata"].get("deletionTimestamp") is None
    assert volumes(cluster) == ["pv-claim-ann"]
    cluster.objects.pop((POD, NAMESPACE, "jupyter-claim-ann"))
    cluster.data["pv-claim-ann"] = "newer"
    cluster.answers = lambda _pod: {"root": "r", "parts": {}}
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


ANOTHER_RUN = {
    "lets it go": {"spec": {"persistentVolumeReclaimPolicy": "Delete"}},
    "deletes it": {"metadata": {"deletionTimestamp": "now"}},
    "gives it away": {"spec": {"claimRef": {"name": "another"}}},
    "has lost its claim": {"spec": {"claimRef": {"uid": "gone"}}, "status": {"phase": "Released"}},
}


@pytest.mark.parametrize("patch", ANOTHER_RUN.values(), ids=ANOTHER_RUN.keys())
def test_the_present_disk_goes_only_for_a_volume_that_stays(
    cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch, patch: Json
) -> None:
    required, looks = Swap.require_unused, []

    def require_unused(swap: Swap) -> None:
        required(swap)
        looks.append(swap.record.name)
        if len(looks) == LOOKS:
            (name,) = (each for each in volumes(cluster) if each != "pv-claim-ann")
            cluster.objects[VOLUME, "", name] = merged(cluster.found(VOLUME, name), patch)
            monkeypatch.setattr(cluster, "control", lambda: None)

    monkeypatch.setattr(Swap, "require_unused", require_unused)
    with pytest.raises(RestoreError, match=r"not kept for claim-ann any more.*the disk was not touched"):
        run(cluster, **WHOLE)
    assert cluster.home_of("claim-ann") == "present"
    assert cluster.found(CLAIM, "claim-ann")["metadata"].get("deletionTimestamp") is None


def test_a_run_that_fails_lets_no_volume_go_that_another_run_puts_in_place(
    cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster.answers = lambda _pod: {"error": "disk on fire"}
    patch = cluster.patch
    begun: list[str] = []

    def after_the_other(kind: str, name: str, namespace: str | None, body: Json) -> Json:
        if not begun:
            begun.append(name)
            patch(kind, name, None, {"metadata": {"annotations": {RECORD: record}}})
            patch(kind, name, None, {"spec": {"persistentVolumeReclaimPolicy": "Retain"}})
        return patch(kind, name, namespace, body)

    record = json.dumps(asdict(Record("ann", SNAPSHOT, "2026-11-25T09:00:00Z", {}, UID, "pv-claim-ann")))
    monkeypatch.setattr(cluster, "patch", after_the_other)
    with pytest.raises(RestoreError, match="disk on fire"):
        run(cluster, **WHOLE)
    assert cluster.found(VOLUME, begun[0])["spec"]["persistentVolumeReclaimPolicy"] == "Retain"
    assert cluster.data[begun[0]] == "old"


def test_a_claim_that_gets_the_restored_volume_late_keeps_it(cluster: FakeCluster, slow_binding: Any) -> None:
    unbound(cluster)
    slow_binding(cluster.control)
    run(cluster, **WHOLE)
    assert (cluster.home_of("claim-ann"), cluster.found(CLAIM, "claim-ann")["metadata"]["uid"]) == ("old", UID)


def test_a_claim_that_gets_the_restored_volume_as_it_is_deleted(
    cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    unbound(cluster)
    delete = cluster.delete

    def bound_just_before(kind: str, name: str, *more: Any) -> bool:
        if name == "claim-ann":
            monkeypatch.undo()
            cluster.control()
        return delete(kind, name, *more)

    monkeypatch.setattr(cluster, "_bind_reserved", lambda _claim: None)
    monkeypatch.setattr(cluster, "delete", bound_just_before)
    run(cluster, **WHOLE)
    assert cluster.home_of("claim-ann") == "old"


def test_a_claim_that_lost_its_volume_gives_up_no_others(cluster: FakeCluster) -> None:
    cluster.found(VOLUME, "pv-claim-ann")["spec"]["claimRef"]["uid"] = "another"
    cluster.found(CLAIM, "claim-ann")["status"]["phase"] = "Lost"
    answer = run(cluster, **WHOLE)
    assert (cluster.home_of("claim-ann"), answer["kept_volume"]) == ("old", "")
    assert REPLACED not in cluster.found(VOLUME, "pv-claim-ann")["metadata"].get("annotations", {})


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
