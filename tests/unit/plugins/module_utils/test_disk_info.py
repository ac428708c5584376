"""What is told about disks."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from ansible_collections.campus.jupyterhub.plugins.module_utils._cluster import ClusterError
from ansible_collections.campus.jupyterhub.plugins.module_utils._disk_info import disk_info, rows
from ansible_collections.campus.jupyterhub.plugins.module_utils._disk_snapshots import snapshot_of
from ansible_collections.campus.jupyterhub.tests.unit.plugins.module_utils.student_objects import claim, disk, snapshot

NOW = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)
GIB = 1024**3
OPTIONS = {"namespace": "jupyterhub", "students": [], "courses": [], "query": "", "measure": True, "cluster_uid": ""}


def test_a_disk_with_snapshots() -> None:
    snapshots = [
        snapshot("2026-11-24T12:00:00Z"),
        snapshot("2026-11-25T11:00:00Z"),
        snapshot("2026-11-25T11:59:00Z", ready=False, error="full"),
    ]
    (row,) = rows([disk("ann")], map(snapshot_of, snapshots), {"claim-ann": 4 * GIB}, NOW)
    assert (row["student"], row["size"], row["used"], row["used_share"]) == ("ann", 10 * GIB, 4 * GIB, 0.4)
    assert (row["snapshots"], row["first_snapshot"], row["last_snapshot"], row["unprotected_seconds"]) == (
        2,
        "2026-11-24T12:00:00Z",
        "2026-11-25T11:00:00Z",
        3600,
    )


def test_those_of_an_earlier_claim_do_not_protect_the_new_one() -> None:
    earlier = snapshot("2026-11-25T11:00:00Z")
    earlier["metadata"]["annotations"]["campus.jupyterhub/claim-uid"] = "another"
    (row,) = rows([disk("ann")], [snapshot_of(earlier)], {}, NOW)
    assert (row["snapshots"], row["last_snapshot"]) == (1, "2026-11-25T11:00:00Z")
    assert row["unprotected_seconds"] == row["age_seconds"]


@pytest.mark.parametrize("taken", ["2027-11-25T11:00:00Z", "2026-11-25T12:06:00Z"])
def test_one_from_the_future_counts_for_nothing(taken: str) -> None:
    many = [snapshot("2026-11-25T10:00:00Z"), snapshot(taken)]
    (row,) = rows([disk("ann")], map(snapshot_of, many), {}, NOW)
    assert (row["snapshots"], row["last_snapshot"]) == (1, "2026-11-25T10:00:00Z")
    assert row["unprotected_seconds"] == 7200


def test_a_disk_without_any_is_unprotected_since_it_was_made() -> None:
    (row,) = rows([disk("ann")], [], {}, NOW)
    assert (row["snapshots"], row["last_snapshot"], row["used"], row["used_share"]) == (0, None, None, None)
    assert row["unprotected_seconds"] == row["age_seconds"] == 85 * 86400 + 4 * 3600


class Cluster:
    """A cluster with ann's server on a node that answers and bob's on one that does not."""

    def expect_uid(self, wanted: str) -> None:
        """Be the cluster that is meant."""

    def volumes_in_use(self, node: str) -> list[dict[str, Any]]:
        """Return what kubelet of node a measures."""
        if node == "b":
            raise ClusterError("read", "the volume figures of Node b", "forbidden", "Grant it.", 403)
        return [
            {"pvcRef": {"namespace": "jupyterhub", "name": "claim-ann"}, "usedBytes": 5 * GIB},
            {"pvcRef": {"namespace": "other", "name": "claim-bob"}, "usedBytes": GIB},
        ]

    def each(self, kind: str, api_version: str, namespace: str, label_selector: str) -> Iterator[dict[str, Any]]:
        """Know no snapshots."""
        unknown = ClusterError("list", f"{kind} objects", "the cluster does not know this kind", "", 404)
        unknown.unknown_kind = True
        raise unknown

    def list(self, kind: str, api_version: str, namespace: str, label_selector: str) -> list[dict[str, Any]]:
        """Return claims and pods."""
        if kind == "Pod":
            return [{"spec": {"nodeName": name}} for name in ("a", "b", "a")] + [{"spec": {}}]
        return [claim("ann"), claim("bob")]


def test_what_cannot_be_found_out_is_a_warning() -> None:
    found, warnings = disk_info(Cluster(), OPTIONS)
    assert {row["student"]: row["used"] for row in found} == {"ann": 5 * GIB, "bob": None}
    assert sorted(warning.split(":")[0] for warning in warnings) == [
        "Could not read the volume figures of Node b",
        "This cluster knows no snapshots; the role storage can bring them.",
    ]


@pytest.mark.parametrize("measure", [True, False])
def test_nodes_are_asked_only_where_wanted(measure: bool) -> None:
    found, warnings = disk_info(Cluster(), {**OPTIONS, "measure": measure})
    assert (found[0]["used"] is not None, len(warnings)) == (measure, 1 + measure)


def test_an_empty_namespace_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^namespace is empty"):
        disk_info(Cluster(), {**OPTIONS, "namespace": ""})
