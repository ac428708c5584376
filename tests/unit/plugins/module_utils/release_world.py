"""Three students whose disks can be released, and how tests do it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from ansible_collections.campus.jupyterhub.plugins.module_utils._release_run import ARGUMENTS, release
from ansible_collections.campus.jupyterhub.plugins.module_utils._side_disk_run import SideDisks
from ansible_collections.campus.jupyterhub.plugins.module_utils._snapshot_remove import Clock
from ansible_collections.campus.jupyterhub.plugins.module_utils._student_disks import COURSE, SelectionError
from ansible_collections.campus.jupyterhub.tests.unit.plugins.module_utils.fake_cluster import (
    NAMESPACE,
    VOLUME,
    FakeCluster,
    KilledError,
    volume,
)
from ansible_collections.campus.jupyterhub.tests.unit.plugins.module_utils.student_objects import claim

Json = dict[str, Any]
NOW = datetime(2026, 11, 25, 20, tzinfo=UTC)


def world() -> FakeCluster:
    """Three students, of whom two are in a course; each disk was snapshotted eleven hours ago."""
    made = FakeCluster()
    for student, labels in (("ann", {COURSE: "data8"}), ("bob", {COURSE: "data8"}), ("eve", {})):
        made.disk(student, **labels)
        made.snapshot(student=student)
    return made


def run(cluster: FakeCluster, check_mode: bool = False, **options: Any) -> Json:
    """What the module does with these options, at NOW."""
    defaults = {name: each.get("default") for name, each in ARGUMENTS.items()}
    chosen = {**defaults, "students": [], "courses": [], "namespace": NAMESPACE, **options}
    sides = SideDisks(cluster, NAMESPACE, 100, Clock(cluster.clock, cluster.sleep))
    return release(cluster, chosen, check_mode, sides, NOW)


def refusal(cluster: FakeCluster, **options: Any) -> str:
    """The sentence of a refusal, which has changed nothing."""
    changes = cluster.changes
    with pytest.raises(SelectionError) as raised:
        run(cluster, **options)
    assert cluster.changes == changes
    assert "\n" not in str(raised.value)
    return str(raised.value)


def policy_of(cluster: FakeCluster, volume: str) -> str:
    """What becomes of a volume when its claim goes."""
    return str(cluster.found(VOLUME, volume)["spec"]["persistentVolumeReclaimPolicy"])


def repeat(cluster: FakeCluster, **options: Any) -> Json:
    """The same call again, with the words that it asks for now."""
    words = run(cluster, check_mode=True, **options)["confirmation"]
    assert refusal(cluster, **options).endswith(f"'{words}'.")
    return run(cluster, confirm=words, **options)


def interrupted(cluster: FakeCluster, change: int, after: bool, **options: Any) -> None:
    """A run that is killed before or after a change; Kubernetes goes on."""
    cluster.kill_at, cluster.kill_after = change, after
    with pytest.raises(KilledError):
        run(cluster, **options)
    cluster.revive()
    cluster.control()


def with_later_disk(cluster: FakeCluster) -> None:
    """Ann came again and has a new disk by the name of the one whose claim is gone."""
    later = claim("ann")
    later["metadata"]["uid"], later["spec"]["volumeName"] = "later", "pv-later"
    cluster.put(later)
    cluster.put(volume("pv-later", later, "Retain"))
    cluster.data["pv-later"] = "new work"
