"""Disks grow, never shrink, and one that cannot grow keeps all others as they are."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.campus.jupyterhub.plugins.module_utils import _resize
from ansible_collections.campus.jupyterhub.plugins.module_utils._cluster import ClusterError
from ansible_collections.campus.jupyterhub.plugins.module_utils._resize import ARGUMENTS, resize, state_of, wait
from ansible_collections.campus.jupyterhub.plugins.module_utils._student_disks import COURSE, SelectionError
from ansible_collections.campus.jupyterhub.tests.unit.plugins.module_utils.fake_cluster import (
    CLAIM,
    NAMESPACE,
    FakeCluster,
)
from ansible_collections.campus.jupyterhub.tests.unit.plugins.module_utils.student_objects import claim, disk

GIB = 1024**3
Json = dict[str, Any]


@pytest.fixture
def cluster() -> FakeCluster:
    """Disks of three students, of 10 GiB each."""
    made = FakeCluster()
    for student, labels in (("ann", {COURSE: "data8"}), ("bob", {COURSE: "data8"}), ("eve", {})):
        made.disk(student, **labels)
    return made


def run(cluster: FakeCluster, check_mode: bool = False, **options: Any) -> Json:
    defaults = {name: each.get("default") for name, each in ARGUMENTS.items()}
    return resize(cluster, {**defaults, "namespace": NAMESPACE, "wait": False, **options}, check_mode)


def requests(cluster: FakeCluster) -> dict[str, str]:
    """What each claim asks for."""
    return {
        name: cluster.found(CLAIM, name)["spec"]["resources"]["requests"]["storage"] for name in cluster.names(CLAIM)
    }


def test_a_course_gets_more_room(cluster: FakeCluster) -> None:
    answer = run(cluster, courses=["data8"], size="20Gi")
    more = str(20 * GIB)
    assert requests(cluster) == {"claim-ann": more, "claim-bob": more, "claim-eve": "10Gi"}
    assert [(each["disk"], each["before"], each["after"], each["state"]) for each in answer["disks"]] == [
        ("claim-ann", 10 * GIB, 20 * GIB, "asked"),
        ("claim-bob", 10 * GIB, 20 * GIB, "asked"),
    ]
    assert answer["changed"] is True
    assert answer["diff"]["after"].startswith(f"ann claim-ann {more}\n")


def test_a_disk_of_that_size_stays(cluster: FakeCluster) -> None:
    answer = run(cluster, size="10Gi")
    assert (answer["changed"], cluster.changes) == (False, 0)
    assert {each["state"] for each in answer["disks"]} == {"unchanged"}


def test_check_mode(cluster: FakeCluster) -> None:
    assert run(cluster, check_mode=True, size="20Gi")["changed"] is True
    assert cluster.changes == 0


@pytest.mark.parametrize(
    ("size", "sentence"),
    [
        ("9Gi", f"A disk never shrinks, and that of ann, bob, eve is larger; name {10 * GIB} bytes or more."),
        ("lots", "size 'lots' is not a Kubernetes quantity such as"),
        ("0", "size '0' is not a size above zero."),
        ("-1Gi", "size '-1Gi' is not a size above zero."),
    ],
)
def test_sizes_that_are_refused(cluster: FakeCluster, size: str, sentence: str) -> None:
    with pytest.raises(SelectionError) as raised:
        run(cluster, size=size)
    assert str(raised.value).startswith(sentence)
    assert cluster.changes == 0


def test_one_that_would_shrink_keeps_all_as_they_are(cluster: FakeCluster) -> None:
    cluster.disk("zoe", size="30Gi")
    with pytest.raises(SelectionError, match=f"that of zoe is larger; name {30 * GIB} bytes or more"):
        run(cluster, size="20Gi")
    assert cluster.changes == 0


def test_what_it_has_counts_where_it_asked_for_less(cluster: FakeCluster) -> None:
    cluster.found(CLAIM, "claim-ann")["status"]["capacity"]["storage"] = "15Gi"
    with pytest.raises(SelectionError, match="that of ann is larger"):
        run(cluster, size="12Gi")


def test_a_class_that_cannot_grow(cluster: FakeCluster) -> None:
    cluster.found("StorageClass", "jupyterhub")["allowVolumeExpansion"] = False
    with pytest.raises(SelectionError, match="Disks of the StorageClass jupyterhub cannot grow"):
        run(cluster, size="20Gi")
    assert run(cluster, size="10Gi")["changed"] is False


def test_a_disk_that_is_not_made_yet(cluster: FakeCluster) -> None:
    cluster.found(CLAIM, "claim-eve")["status"]["phase"] = "Lost"
    with pytest.raises(SelectionError, match="that of eve is not; start the student's server once"):
        run(cluster, size="20Gi")
    assert cluster.changes == 0


def test_many_names_are_cut_short() -> None:
    with pytest.raises(SelectionError, match="that of a, b, c, d, e, 2 more is larger"):
        _resize.plan([disk(name) for name in "abcdefg"], GIB, {})


def test_one_that_is_refused_does_not_stop_the_others(cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    patch = cluster.patch

    def refusing(kind: str, name: str, *more: Any) -> Json:
        if name == "claim-ann":
            raise ClusterError("change", name, "forbidden", "", 403)
        return patch(kind, name, *more)

    monkeypatch.setattr(cluster, "patch", refusing)
    answer = run(cluster, size="20Gi")
    assert [each["state"] for each in answer["disks"]] == ["failed", "asked", "asked"]
    assert answer["msg"] == "1 of 3 disks did not grow: claim-ann of ann: Could not change claim-ann: forbidden."


def grown(size: str = "10Gi", kind: str = "", message: str = "") -> Json:
    """A claim on its way to 20 GiB."""
    item = claim(size=size)
    item["status"]["conditions"] = [{"type": kind, "status": "True", "message": message}] if kind else []
    return item


@pytest.mark.parametrize(
    ("item", "state", "message"),
    [
        (grown(), "asked", ""),
        (grown("20Gi"), "grown", ""),
        (grown(kind="Resizing"), "asked", ""),
        (grown(kind="FileSystemResizePending"), "at_next_start", "it grows when the student's server starts next"),
        (grown(kind="ControllerResizeError", message="pool is full"), "asked", "pool is full"),
        (None, "failed", "the claim was removed meanwhile"),
    ],
)
def test_how_far_it_is(item: Json | None, state: str, message: str) -> None:
    assert state_of(item, 20 * GIB) == (state, message)


def test_waiting(cluster: FakeCluster) -> None:
    asked = _resize.plan([disk("ann"), disk("bob"), disk("eve")], 20 * GIB, {"jupyterhub": True})

    def sleep(seconds: float) -> None:
        cluster.sleep(seconds)
        if cluster.seconds == 3:
            cluster.found(CLAIM, "claim-ann")["status"]["capacity"]["storage"] = "20Gi"
        if cluster.seconds == 5:
            pending = {"type": "FileSystemResizePending", "status": "True"}
            cluster.found(CLAIM, "claim-bob")["status"]["conditions"] = [pending]

    done = wait(cluster, asked, 10, cluster.clock, sleep)
    assert [each.state for each in done] == ["grown", "at_next_start", "failed"]
    assert done[2].message == "it has not grown within 10 s"
    assert cluster.seconds == 10
    done = wait(cluster, asked[:2], 10, cluster.clock, sleep)
    assert cluster.seconds == 10


def test_one_that_was_asked_before_and_has_not_grown_is_no_success(
    cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster.found(CLAIM, "claim-ann")["spec"]["resources"]["requests"]["storage"] = "20Gi"
    cluster.found(CLAIM, "claim-ann")["status"]["capacity"]["storage"] = "10Gi"
    cluster.found(CLAIM, "claim-ann")["status"]["conditions"] = [
        {"type": "ControllerResizeError", "status": "True", "message": "the pool is full"}
    ]
    monkeypatch.setattr(_resize.wait, "__defaults__", (cluster.clock, cluster.sleep))
    answer = run(cluster, students=["ann"], size="20Gi", wait=True)
    assert (answer["changed"], cluster.changes) == (False, 0)
    assert answer["msg"] == "1 of 1 disks did not grow: claim-ann of ann: the pool is full"
