"""Disks as their claims tell, and the choice of some of them."""

from __future__ import annotations

import pytest
from ansible_collections.campus.jupyterhub.plugins.module_utils._student_disks import (
    COURSE,
    SelectionError,
    chosen,
    disk_of,
    required_namespace,
)
from ansible_collections.campus.jupyterhub.tests.unit.plugins.module_utils.student_objects import claim, disk

DISKS = [disk("bob"), disk("ann", **{COURSE: "data8"}), disk("anna"), disk("Zoë@uni.edu", name="claim-zo-c3-ab")]


def test_a_disk_as_its_claim_tells() -> None:
    found = disk("ann@uni.edu", name="claim-ann-40uni-2eedu", size="10Gi", **{COURSE: "data8"})
    assert (found.student, found.name, found.course, found.size, found.bound) == (
        "ann@uni.edu",
        "claim-ann-40uni-2eedu",
        "data8",
        10 * 1024**3,
        True,
    )


def test_a_claim_without_a_volume_holds_nothing() -> None:
    item = claim()
    del item["spec"]["volumeName"], item["status"], item["metadata"]["annotations"]
    found = disk_of(item)
    assert (found.student, found.phase, found.bound, found.size) == ("claim-ann", "Pending", False, 10 * 1024**3)


@pytest.mark.parametrize(
    ("choice", "students"),
    [
        ({}, ["Zoë@uni.edu", "ann", "anna", "bob"]),
        ({"students": ["bob", "ann"]}, ["ann", "bob"]),
        ({"courses": ["data8"]}, ["ann"]),
        ({"students": ["bob"], "courses": ["data8"]}, ["ann", "bob"]),
        ({"query": "starts_with(student, 'ann')"}, ["ann", "anna"]),
        ({"query": "size > `10737418240`"}, []),
    ],
)
def test_the_choice(choice: dict[str, list[str]], students: list[str]) -> None:
    assert [one.student for one in chosen(DISKS, **choice)] == students  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ({"students": ["zoë@uni.edu"]}, "No student 'zoë@uni.edu' has a disk here; did you mean Zoë@uni.edu?"),
        ({"students": ["xx"]}, "No student 'xx' has a disk here; look at the names of the 4 that have."),
        ({"courses": ["data"]}, "No course 'data' has a disk here; did you mean data8?"),
        ({"query": "a b"}, "'a b' is not a JMESPath expression: "),
        ({"query": "abs(student)"}, "'abs(student)' is not a JMESPath expression: "),
    ],
)
def test_a_choice_of_nothing_says_what_is_near(choice: dict[str, list[str]], message: str) -> None:
    with pytest.raises(SelectionError) as raised:
        chosen(DISKS, **choice)  # type: ignore[arg-type]
    assert str(raised.value).startswith(message)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("blank", ["", "  ", None])
def test_an_empty_namespace_would_be_all_of_them_and_is_refused(blank: str | None) -> None:
    with pytest.raises(ValueError, match=r"^namespace is empty; name the one that .* as jupyterhub\.$"):
        required_namespace({"namespace": blank})
    assert required_namespace({"namespace": "hub"}) == "hub"
