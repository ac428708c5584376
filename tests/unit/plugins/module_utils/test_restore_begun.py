"""A restore of a whole disk that was begun: when it goes on, and when it is over but for the note of it."""

from __future__ import annotations

import pytest
from ansible_collections.campus.jupyterhub.plugins.module_utils import _restore_run
from ansible_collections.campus.jupyterhub.plugins.module_utils._disk_swap import PENDING, RECORD, RESTORED
from ansible_collections.campus.jupyterhub.tests.unit.plugins.module_utils.fake_cluster import (
    CLAIM,
    NAMESPACE,
    VOLUME,
    FakeCluster,
    KilledError,
)
from ansible_collections.campus.jupyterhub.tests.unit.plugins.module_utils.restore_world import (
    CHANGES,
    SNAPSHOT,
    WHOLE,
    anns_cluster,
    options_of,
    planned,
    refusal,
    run,
    volumes,
)


@pytest.fixture
def cluster() -> FakeCluster:
    """Ann's disk, and the snapshot of it from yesterday."""
    return anns_cluster()


def begun(cluster: FakeCluster, change: int = 4) -> str:
    """A restore that was killed after this change; returns the restored volume."""
    cluster.kill_at, cluster.kill_after = change, True
    with pytest.raises(KilledError):
        run(cluster, **WHOLE)
    cluster.revive()
    (name,) = {
        name for name in volumes(cluster) if RECORD in cluster.found(VOLUME, name)["metadata"].get("annotations", {})
    }
    return name


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


def test_a_restore_that_lacks_only_its_end_is_over(cluster: FakeCluster) -> None:
    first = begun(cluster, CHANGES - 2)
    cluster.control()
    assert cluster.home_of("claim-ann") == "old"
    cluster.data[first] = "work since then"
    cluster.snapshot("2026-11-24T09:00:00Z", "older")
    assert "goes on" not in planned(cluster, **WHOLE).report()["plan"]
    answer = run(cluster, whole_disk=True, snapshot="claim-ann-20261124-090000")
    assert (cluster.home_of("claim-ann"), answer["kept_volume"]) == ("older", first)
    assert cluster.data[answer["present_snapshot"]] == cluster.data[first] == "work since then"
    found = cluster.found(VOLUME, first)
    assert PENDING not in found["metadata"]["labels"]
    assert found["metadata"]["annotations"][RESTORED] == SNAPSHOT
    assert found["spec"]["persistentVolumeReclaimPolicy"] == "Retain"


def test_in_check_mode_one_that_lacks_only_its_end_stays_so(cluster: FakeCluster) -> None:
    first = begun(cluster, CHANGES - 2)
    cluster.control()
    changes = cluster.changes
    _restore_run.restore(cluster, options_of(**WHOLE), check_mode=True)
    assert cluster.changes == changes
    assert RECORD in cluster.found(VOLUME, first)["metadata"]["annotations"]


@pytest.mark.parametrize("claim_is_there", [True, False])
def test_a_restore_goes_on_without_its_snapshot(cluster: FakeCluster, claim_is_there: bool) -> None:
    volume = begun(cluster, 4 if claim_is_there else 8)
    taken = planned(cluster, **WHOLE).report()["taken"]
    del cluster.objects["VolumeSnapshot", NAMESPACE, SNAPSHOT]
    for name in cluster.names("VolumeSnapshot"):
        del cluster.objects["VolumeSnapshot", NAMESPACE, name]
    wanted = {"whole_disk": True, "time": "2026-11-25T10:00:00Z"}
    assert "finish it first by naming that snapshot" in refusal(cluster, **wanted)
    report = planned(cluster, **WHOLE).report()
    assert (report["snapshot"], report["taken"], report["size"]) == (SNAPSHOT, taken, 10 * 1024**3)
    assert "goes on from there" in report["plan"]
    answer = run(cluster, **WHOLE)
    assert (answer["volume"], cluster.home_of("claim-ann")) == (volume, "old")
    assert cluster.data["pv-claim-ann"] == "present"


def test_which_disk_is_meant_is_asked_first(cluster: FakeCluster) -> None:
    cluster.disk("ann", name="claim-ann--lab")
    cluster.kill_at, cluster.kill_after = 4, True
    with pytest.raises(KilledError):
        run(cluster, **WHOLE, disk="claim-ann")
    cluster.revive()
    wanted = {"whole_disk": True, "time": "2026-11-25T10:00:00Z"}
    assert "ann has 2 disks; name one by disk" in refusal(cluster, **wanted)
    assert "ann has no good snapshot yet" in refusal(cluster, **wanted, disk="claim-ann--lab")


@pytest.mark.parametrize("by_the_hub", [False, True])
def test_a_restored_volume_whose_claim_was_lost_again_is_bound_again(cluster: FakeCluster, by_the_hub: bool) -> None:
    first = begun(cluster, CHANGES - 2)
    cluster.control()
    claim = cluster.found(CLAIM, "claim-ann")
    cluster.delete(CLAIM, "claim-ann", NAMESPACE, claim["metadata"]["uid"])
    cluster.control()
    if by_the_hub:
        made = {key: value for key, value in claim["spec"].items() if key != "volumeName"}
        cluster.create({**claim, "spec": made, "metadata": {**claim["metadata"], "uid": "by-the-hub"}})
        del cluster.found(CLAIM, "claim-ann")["metadata"]["deletionTimestamp"]
    answer = run(cluster, **WHOLE)
    assert (answer["volume"], cluster.home_of("claim-ann")) == (first, "old")
    assert cluster.found(CLAIM, "claim-ann")["status"]["phase"] == "Bound"
