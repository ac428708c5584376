"""Side disks and the pods that read them."""

from __future__ import annotations

import pytest
from ansible_collections.campus.jupyterhub.plugins.module_utils._disk_snapshots import snapshot_of
from ansible_collections.campus.jupyterhub.plugins.module_utils._side_disk import (
    Template,
    copy_back,
    is_side_disk_of,
    no_room,
    pod,
    side_claim,
    users_of,
)
from ansible_collections.campus.jupyterhub.plugins.module_utils._student_disks import DISKS
from ansible_collections.campus.jupyterhub.tests.unit.plugins.module_utils.student_objects import snapshot


def test_a_side_disk_is_made_from_its_snapshot_and_is_no_students_disk() -> None:
    kept = snapshot_of(snapshot())
    claim = side_claim("side", kept, 10, "scratch")
    assert claim["spec"]["dataSource"]["name"] == kept.name
    assert claim["spec"]["resources"]["requests"]["storage"] == "10"
    assert f"component={claim['metadata']['labels']['component']}" != DISKS
    assert is_side_disk_of(claim, kept.name)
    assert not is_side_disk_of(claim, "another")
    del claim["metadata"]["labels"]["app.kubernetes.io/managed-by"]
    assert not is_side_disk_of(claim, kept.name)


def test_a_pod_is_restricted_and_knows_nothing_of_the_cluster() -> None:
    arguments = copy_back("$(A) $B", "into", "run")
    item = pod("p", "n", template=Template("jobs:1"), arguments=arguments, side="side", seconds=60, home="home")
    spec = item["spec"]
    (container,) = spec["containers"]
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert "fsGroup" not in spec["securityContext"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert container["resources"]["requests"]
    assert (spec["automountServiceAccountToken"], spec["enableServiceLinks"]) == (False, False)
    assert (spec["restartPolicy"], spec["activeDeadlineSeconds"]) == ("Never", 60)
    assert "--path=$$(A) $$B" in container["command"]


@pytest.mark.parametrize(("home", "seconds"), [("home", 30), ("", 5)])
def test_a_pod_that_writes_has_time_to_take_back_what_is_unfinished(home: str, seconds: int) -> None:
    item = pod("p", "n", template=Template("jobs:1"), arguments=["x"], side="side", seconds=60, home=home)
    assert item["spec"]["terminationGracePeriodSeconds"] == seconds


def test_who_uses_a_disk() -> None:
    def using(name: str, phase: str, claim: str = "home") -> dict[str, object]:
        volumes = [{"emptyDir": {}}, {"persistentVolumeClaim": {"claimName": claim}}]
        return {"metadata": {"name": name}, "spec": {"volumes": volumes}, "status": {"phase": phase}}

    pods = [using("a", "Running"), using("b", "Pending"), using("c", "Succeeded"), using("d", "Failed")]
    pods += [using("e", "Running", "other"), {"metadata": {"name": "f"}, "spec": {}}]
    assert [each["metadata"]["name"] for each in users_of(pods, "home")] == ["a", "b"]


def test_what_says_that_there_is_no_room() -> None:
    said = "0/2 nodes are available: 2 node(s) did not have enough free storage."
    assert no_room(["pulling image", said]) == said
    assert no_room(["rpc error: code = ResourceExhausted desc = pool\nis full"]).endswith("pool is full")
    assert no_room(["no such image", ""]) == ""
