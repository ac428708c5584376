"""A restore of ann's disk on a cluster in memory."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from ansible_collections.campus.jupyterhub.plugins.module_utils._restore_run import ARGUMENTS, Restore
from ansible_collections.campus.jupyterhub.plugins.module_utils._side_disk_run import RestoreError, SideDisks
from ansible_collections.campus.jupyterhub.plugins.module_utils._snapshot_remove import Clock
from ansible_collections.campus.jupyterhub.plugins.module_utils._student_disks import SelectionError
from ansible_collections.campus.jupyterhub.tests.unit.plugins.module_utils.fake_cluster import (
    CLAIM,
    NAMESPACE,
    POD,
    VOLUME,
    FakeCluster,
)

Json = dict[str, Any]
NOW = datetime(2026, 11, 26, 10, tzinfo=UTC)
SNAPSHOT = "claim-ann-20261125-090000"
WHOLE = {"whole_disk": True, "snapshot": SNAPSHOT}
SECONDS = 100
CHANGES = 11
"""Changes that a restore of a whole disk takes."""


def anns_cluster() -> FakeCluster:
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


def volumes(cluster: FakeCluster) -> list[str]:
    return cluster.names(VOLUME)


def refusal(cluster: FakeCluster, **options: Any) -> str:
    """The sentence of a refusal, which has changed nothing."""
    changes = cluster.changes
    with pytest.raises((RestoreError, SelectionError)) as raised:
        planned(cluster, **options)
    assert cluster.changes == changes
    assert "\n" not in str(raised.value)
    return str(raised.value)
