"""The plan never makes an empty disk, takes no volume from anybody, and takes no other claim for the student's."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from ansible_collections.campus.jupyterhub.plugins.module_utils._hub_archive import Contents
from ansible_collections.campus.jupyterhub.plugins.module_utils._hub_objects import claim_kept, secret_kept, volume_kept
from ansible_collections.campus.jupyterhub.plugins.module_utils._hub_restore_plan import (
    CREATED,
    KEPT,
    REPLACED,
    SAME,
    Plan,
    State,
    listing,
    plan_of,
)
from ansible_collections.campus.jupyterhub.plugins.module_utils._hub_restore_snapshots import (
    BOUND,
    CONFLICT,
    THERE,
    SnapshotState,
)
from ansible_collections.campus.jupyterhub.tests.unit.plugins.module_utils.hub_world import (
    DRIVER,
    NAMESPACE,
    merged,
    volume,
)
from ansible_collections.campus.jupyterhub.tests.unit.plugins.module_utils.student_objects import claim
from hypothesis import given
from hypothesis import strategies as st

Json = dict[str, Any]
PV = "pv-claim-ann"
HANDLE = "disk-of-ann"
OURS = {"namespace": NAMESPACE, "name": "claim-ann"}
OTHERS = {"namespace": NAMESPACE, "name": "claim-bob", "uid": "uid-claim-bob"}


def secret(**data: str) -> Json:
    return {"metadata": {"name": "hub-secret", "namespace": NAMESPACE}, "type": "Opaque", "data": data}


def archived(*students: str, secrets: tuple[Json, ...] = ()) -> Contents:
    """What an archive says of these students' disks."""
    disks = []
    for student in students:
        item = claim(student)
        held = volume(item["spec"]["volumeName"], f"disk-of-{student}", {**OURS, "name": f"claim-{student}"})
        disks.append({"claim": claim_kept(item), "volume": volume_kept(held), "uid": item["metadata"]["uid"]})
    return Contents({"namespace": NAMESPACE}, [secret_kept(each) for each in secrets], disks, [])


def state(claims: list[Json] | None = None, volumes: list[Json] | None = None, **options: Any) -> State:
    """What a cluster knows."""
    defaults: Json = {
        "namespaces": frozenset({NAMESPACE}),
        "secrets": {},
        "classes": frozenset({"jupyterhub"}),
        "drivers": frozenset({DRIVER}),
        "snapshots": SnapshotState({}, {}),
    }
    return State(
        claims={each["metadata"]["name"]: each for each in claims or []},
        volumes=volumes or [],
        **{**defaults, **options},
    )


def plan(now: State, *students: str) -> Plan:
    return plan_of(archived(*(students or ("ann",))), NAMESPACE, now)


def ann(volume_name: str = PV, phase: str = "Bound", uid: str = "new", **patch: Any) -> Json:
    """A claim of ann's disk's name that the cluster has."""
    item = claim("ann")
    item["metadata"]["uid"] = uid
    item["spec"]["volumeName"] = volume_name
    item["status"] = {"phase": phase}
    return merged(item, patch)


def held(reference: Json | None, phase: str = "Bound", name: str = PV, **patch: Any) -> Json:
    """An object of the volume that ann's disk had."""
    return merged(volume(name, HANDLE, reference, phase), patch)


DELETING = {"deletionTimestamp": "2026-11-26T03:00:00Z"}


@pytest.mark.parametrize(
    ("claims", "volumes", "expected", "says"),
    [
        pytest.param([], [], BOUND, "", id="empty cluster"),
        pytest.param([], [held({**OURS, "uid": "old"}, "Released")], BOUND, "", id="released"),
        pytest.param([], [held({**OTHERS}, "Released")], BOUND, "", id="released by a claim of another name"),
        pytest.param([], [held(None, "Available")], BOUND, "", id="free"),
        pytest.param([], [held(OURS, "Available")], BOUND, "", id="a run that was stopped"),
        pytest.param([], [held(OURS, "Pending")], BOUND, "", id="just made"),
        pytest.param([], [held(None, "Available", "imported")], BOUND, "", id="under another name"),
        pytest.param([], [held({**OURS, "uid": "old"}, "Bound")], BOUND, "", id="claim just gone"),
        pytest.param([], [held(OTHERS)], CONFLICT, "belongs to the claim jupyterhub/claim-bob", id="somebody else's"),
        pytest.param([], [held(OTHERS, "Available")], CONFLICT, "belongs to", id="reserved for somebody else"),
        pytest.param([], [held(OURS, "Failed")], CONFLICT, "being deleted", id="failed"),
        pytest.param([], [held(OURS, metadata=DELETING)], CONFLICT, "being deleted", id="volume being deleted"),
        pytest.param([], [volume(PV, "x", None)], CONFLICT, f"another volume is called {PV}", id="name taken"),
        pytest.param([ann()], [held({**OURS, "uid": "new"})], THERE, "", id="as it was"),
        pytest.param([ann()], [held({**OURS, "uid": "new"}, metadata=DELETING)], THERE, "", id="theirs to the end"),
        pytest.param(
            [ann()], [held({**OURS, "uid": "old"}, metadata=DELETING)], CONFLICT, "being deleted", id="ending"
        ),
        pytest.param([ann(phase="Pending")], [held(OURS, "Available")], THERE, "", id="about to be bound"),
        pytest.param([ann(phase="Pending")], [held({**OURS, "uid": "old"}, "Released")], BOUND, "", id="stale uid"),
        pytest.param([ann()], [held(OTHERS)], CONFLICT, "belongs to", id="says so, but it is not theirs"),
        pytest.param([ann("new-pv")], [], CONFLICT, "a claim that has the volume new-pv", id="new disk"),
        pytest.param(
            [ann("new-pv")],
            [volume("new-pv", "empty", {**OURS, "uid": "new"}), held({**OURS, "uid": "old"}, "Released")],
            CONFLICT,
            "a claim that has the volume new-pv",
            id="new disk beside the old one",
        ),
        pytest.param([ann("", "Pending")], [], CONFLICT, "has no volume yet", id="new disk being made"),
        pytest.param([ann(phase="Lost")], [], CONFLICT, f"whose volume {PV} is gone", id="lost"),
        pytest.param([ann(metadata=DELETING)], [held({**OURS, "uid": "new"})], CONFLICT, "being deleted", id="going"),
    ],
)
def test_what_becomes_of_a_disk(claims: list[Json], volumes: list[Json], expected: str, says: str) -> None:
    found = plan(state(claims, volumes))
    step = found.disks[0]
    assert step.state == expected
    assert says in step.message
    assert bool(step.message) == (expected == CONFLICT)
    assert step.claim["spec"]["volumeName"] == step.volume["metadata"]["name"]
    assert bool(found.conflict) == (expected == CONFLICT)
    assert found.changed == (expected == BOUND)
    if expected == CONFLICT:
        assert "ann" in found.conflict
        assert "keep_new" in found.conflict


def test_a_new_volume_is_reserved_for_the_claim_whoever_makes_it() -> None:
    step = plan(state()).disks[0]
    assert not step.known
    assert step.volume["spec"]["claimRef"] == {"apiVersion": "v1", "kind": "PersistentVolumeClaim", **OURS}
    assert step.volume["spec"]["csi"]["volumeHandle"] == HANDLE


def test_a_volume_under_another_name_is_what_the_claim_asks_for() -> None:
    step = plan(state(volumes=[held(None, "Available", "imported", spec={"storageClassName": "old"})])).disks[0]
    assert step.known
    assert step.claim["spec"]["volumeName"] == "imported"
    assert step.claim["spec"]["storageClassName"] == "old"


def test_a_claim_that_asked_for_more_asks_for_what_its_volume_has() -> None:
    contents = archived("ann")
    contents.disks[0]["claim"]["spec"]["resources"] = {"requests": {"storage": "50Gi"}}
    step = plan_of(contents, NAMESPACE, state()).disks[0]
    assert step.claim["spec"]["resources"] == {"requests": {"storage": "10Gi"}}


def test_another_namespace_gets_all_of_it() -> None:
    found = plan_of(archived("ann", secrets=(secret(a="YQ=="),)), "second", state())
    assert found.namespaces == ("second",)
    assert found.disks[0].claim["metadata"]["namespace"] == "second"
    assert found.disks[0].volume["spec"]["claimRef"]["namespace"] == "second"
    assert found.secrets[0].item["metadata"]["namespace"] == "second"


def test_a_secret_of_another_namespace_stays_there() -> None:
    elsewhere = secret(a="YQ==")
    elsewhere["metadata"]["namespace"] = "edge"
    found = plan_of(archived(secrets=(elsewhere,)), "second", state())
    assert found.secrets[0].item["metadata"]["namespace"] == "edge"
    assert found.namespaces == ("edge", "second")


@pytest.mark.parametrize(
    ("there", "expected"),
    [
        (None, CREATED),
        (secret(a="YQ=="), SAME),
        (secret(a="YQ==", b="Yg=="), SAME),
        (secret(a="eA=="), REPLACED),
        (secret(b="Yg=="), REPLACED),
        ({**secret(a="YQ=="), "type": "kubernetes.io/tls"}, CONFLICT),
        ({**secret(a="YQ=="), "immutable": True}, SAME),
        ({**secret(a="eA=="), "immutable": True}, CONFLICT),
    ],
)
def test_what_becomes_of_a_secret(there: Json | None, expected: str) -> None:
    now = state(secrets={(NAMESPACE, "hub-secret"): there} if there else {})
    found = plan_of(archived(secrets=(secret(a="YQ=="),)), NAMESPACE, now)
    assert found.secrets[0].state == expected
    assert ("hub-secret" in found.conflict) == (expected == CONFLICT)
    diff = listing(found)
    assert "YQ==" not in diff["before"] + diff["after"]


def test_a_certificate_that_is_there_may_be_newer() -> None:
    kept = {**secret(**{"tls.crt": "b2xk"}), "type": "kubernetes.io/tls"}
    there = {**secret(**{"tls.crt": "bmV3"}), "type": "kubernetes.io/tls"}
    found = plan_of(archived(secrets=(kept,)), NAMESPACE, state(secrets={(NAMESPACE, "hub-secret"): there}))
    assert found.secrets[0].state == KEPT
    assert not found.changed
    diff = listing(found)
    assert diff["before"] == diff["after"]


def local(name: str, node: str, claim_name: str) -> Json:
    """A volume that is a folder of a node; that of each node has the same path."""
    made = volume(name, "", {**OURS, "name": claim_name}, "Released")
    del made["spec"]["csi"]
    terms = [{"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": [node]}]}]
    affinity = {"required": {"nodeSelectorTerms": terms}}
    return {**made, "spec": {**made["spec"], "local": {"path": "/disks/1"}, "nodeAffinity": affinity}}


def of_folders(*held: Json) -> Contents:
    """An archive of disks that are folders of nodes."""
    disks = []
    for student, each in zip(("ann", "bob"), held, strict=True):
        item = claim(student)
        item["spec"]["volumeName"] = each["metadata"]["name"]
        disks.append({"claim": claim_kept(item), "volume": volume_kept(each), "uid": item["metadata"]["uid"]})
    return Contents({"namespace": NAMESPACE}, [], disks, [])


def test_folders_of_two_nodes_are_two_places() -> None:
    folders = [local("pv-a", "one", "claim-ann"), local("pv-b", "two", "claim-bob")]
    found = plan_of(of_folders(*folders), NAMESPACE, state(volumes=folders))
    assert [(step.volume["metadata"]["name"], step.state) for step in found.disks] == [
        ("pv-a", BOUND),
        ("pv-b", BOUND),
    ]


def test_two_students_never_get_one_place() -> None:
    folders = [local("pv-a", "one", "claim-ann"), local("pv-b", "one", "claim-bob")]
    found = plan_of(of_folders(*folders), NAMESPACE, state(volumes=folders))
    assert [step.state for step in found.disks] == [CONFLICT, CONFLICT]
    assert "ann (its volume is that of bob as well)" in found.conflict


def test_what_the_cluster_lacks_is_said_at_once() -> None:
    lacking = plan(state(classes=frozenset(), drivers=frozenset())).missing
    assert lacking[0].startswith("It has no StorageClass jupyterhub")
    assert lacking[1].startswith(f"It has no CSI driver {DRIVER}")
    assert plan(state(snapshots=None)).missing == ()


def test_nothing_is_lacking_for_disks_that_are_there() -> None:
    now = state([ann()], [held({**OURS, "uid": "new"})], classes=frozenset(), drivers=frozenset())
    assert plan(now).missing == ()


def test_a_refusal_names_five_students() -> None:
    names = [f"student-{number}" for number in range(8)]
    claims = [merged(claim(name), {"spec": {"volumeName": "new"}}) for name in names]
    text = plan(state(claims), *names).conflict
    assert "student-4" in text
    assert "student-5" not in text
    assert "and 3 more" in text


REFERENCES = st.sampled_from([None, OURS, {**OURS, "uid": "new"}, {**OURS, "uid": "old"}, OTHERS])
PHASES = st.sampled_from(["Bound", "Released", "Available", "Pending", "Failed"])
VOLUMES = st.lists(
    st.builds(
        lambda name, handle, reference, phase, going: merged(
            volume(name, handle, reference, phase), {"metadata": DELETING} if going else {}
        ),
        st.sampled_from([PV, "pv-1", "pv-2"]),
        st.sampled_from([HANDLE, "empty", "disk-of-bob"]),
        REFERENCES,
        PHASES,
        st.integers(0, 5).map(lambda number: number == 0),
    ),
    max_size=4,
    unique_by=lambda each: each["metadata"]["name"],
)
CLAIMS: st.SearchStrategy[list[Json]] = st.one_of(
    st.just([]),
    st.builds(
        lambda name, phase: [ann(name, phase)],
        st.sampled_from(["", PV, "pv-1", "pv-2", "gone"]),
        st.sampled_from(["Bound", "Pending", "Lost"]),
    ),
)


@given(claims=CLAIMS, volumes=VOLUMES)
def test_whatever_there_is_nobody_loses_a_disk(claims: list[Json], volumes: list[Json]) -> None:
    before = copy.deepcopy((claims, volumes))
    step = plan(state(claims, volumes)).disks[0]
    assert (claims, volumes) == before
    names = {each["metadata"]["name"]: each for each in volumes}
    if step.state != CONFLICT:
        assert step.volume["spec"]["csi"]["volumeHandle"] == HANDLE
        if claims:
            assert claims[0]["spec"]["volumeName"] == step.volume["metadata"]["name"]
    if step.state == BOUND:
        assert not step.volume["metadata"].get("deletionTimestamp")
        name = step.volume["metadata"]["name"]
        assert step.known == (name in names)
        holder = (names.get(name, {}).get("spec") or {}).get("claimRef") or {}
        released = names.get(name, {}).get("status", {}).get("phase") == "Released"
        assert released or not holder or (holder["namespace"], holder["name"]) == (NAMESPACE, "claim-ann")
    if step.state == BOUND and not step.known:
        assert all(each["spec"]["csi"]["volumeHandle"] != HANDLE for each in volumes)
