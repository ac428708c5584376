"""What a pod tells about a student's server."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest
from campus_hub.servers import home_volume, look, memory, read
from hypothesis import given
from hypothesis import strategies as st

from .conftest import Manifest, student_pod

COMPONENT = "singleuser-server"
CLAIM = {"persistentVolumeClaim": {"claimName": "{pvc_name}"}}


def pod(name: str = "jupyter-ann", user: str = "ann", created: str = "2030-01-01T00:00:00Z", **status: Any) -> Manifest:
    """A running pod as the API server returns it."""
    manifest = student_pod(name, user, **status)
    manifest["metadata"] |= {"namespace": "jupyterhub", "uid": f"uid-of-{name}", "creationTimestamp": created}
    return manifest


def test_a_running_pod_tells_whose_it_is_and_what_it_was_started_with() -> None:
    server = read(pod(), COMPONENT, "home")

    assert server is not None
    assert (server.user, server.name, server.token) == ("ann", "", "token-of-ann")
    assert server.started == datetime(2030, 1, 1)
    assert server.memory == {"pod_name": "jupyter-ann", "namespace": "jupyterhub"}


@pytest.mark.parametrize(
    "spoil",
    [
        lambda found: found["metadata"]["labels"].update(component="something-else"),
        lambda found: found["metadata"]["labels"].clear(),
        lambda found: found["metadata"]["annotations"].clear(),
        lambda found: found["spec"]["containers"][0]["env"].clear(),
        lambda found: found["spec"]["containers"][0].update(
            env=[{"name": "JUPYTERHUB_API_TOKEN", "valueFrom": {"secretKeyRef": {"name": "x", "key": "y"}}}]
        ),
        lambda found: found["spec"]["containers"][0].update(name="sidecar"),
    ],
)
def test_a_pod_that_does_not_tell_enough_is_no_server(spoil: Callable[[Manifest], None]) -> None:
    found = pod()
    spoil(found)

    assert read(found, COMPONENT, "home") is None


@pytest.mark.parametrize(
    ("status", "runs", "starts"),
    [
        ({}, True, False),
        ({"phase": "Pending", "containerStatuses": None, "podIP": None}, False, True),
        ({"containerStatuses": [{"name": "notebook", "state": {"waiting": {"reason": "Pulling"}}}]}, False, True),
        ({"podIP": ""}, False, True),
        ({"containerStatuses": [{"name": "notebook", "state": {"terminated": {"exitCode": 0}}}]}, False, False),
        ({"phase": "Failed", "containerStatuses": None}, False, False),
    ],
)
def test_only_what_runs_is_looked_at_and_what_starts_is_remembered(
    status: dict[str, Any], runs: bool, starts: bool
) -> None:
    servers, starting = look([pod(**status)], COMPONENT, "home")

    assert bool(servers) is runs
    assert bool(starting) is starts


def test_a_pod_that_is_being_deleted_is_let_go() -> None:
    going = pod()
    going["metadata"]["deletionTimestamp"] = "2030-01-01T00:00:00Z"

    assert look([going], COMPONENT, "home") == ([], set())


@pytest.mark.parametrize("order", [1, -1])
def test_of_two_pods_for_one_server_the_newer_counts(order: int) -> None:
    pods = [pod("old"), pod("new", created="2030-01-02T00:00:00Z"), pod("other", "ben")][::order]

    servers, _starting = look(pods, COMPONENT, "home")

    assert {server.memory["pod_name"] for server in servers} == {"new", "other"}


@pytest.mark.parametrize(
    ("volumes", "claim"),
    [
        ([], None),
        ([{"name": "home", "emptyDir": {}}], None),
        ([{"name": "course", "persistentVolumeClaim": {"claimName": "course-data"}}], None),
        (
            [
                {"name": "course", "persistentVolumeClaim": {"claimName": "course-data"}},
                {"name": "home", "persistentVolumeClaim": {"claimName": "claim-ann-old"}},
            ],
            "claim-ann-old",
        ),
    ],
)
def test_the_disk_is_the_one_that_is_mounted_as_such(volumes: list[dict[str, Any]], claim: str | None) -> None:
    found = pod()
    found["spec"]["volumes"] = volumes

    assert memory(found, "home").get("pvc_name") == claim


def test_the_version_of_kubespawner_is_the_pod_s() -> None:
    found = pod()
    found["metadata"]["annotations"]["hub.jupyter.org/kubespawner-version"] = "7.0.0"

    assert memory(found, "home")["kubespawner_version"] == "7.0.0"


@pytest.mark.parametrize(
    ("volumes", "name"),
    [
        ([], ""),
        ({}, ""),
        ({"0": {"name": "course", "persistentVolumeClaim": {"claimName": "data"}}, "1": {"name": "h", **CLAIM}}, "h"),
        ([{"name": "tmp", "emptyDir": {}}, {"name": "home", **CLAIM}], "home"),
        ([{"name": "home", "persistentVolumeClaim": {"claimName": "claim-{username}"}}], ""),
    ],
)
def test_the_volume_of_the_disk_is_found_in_the_configuration(volumes: Any, name: str) -> None:
    assert home_volume(volumes) == name


STATES = st.sampled_from([{"running": {}}, {"waiting": {}}, {"terminated": {"exitCode": 3}}, {}])


@given(
    st.lists(
        st.tuples(st.sampled_from(["ann", "ben", ""]), st.sampled_from(["notebook", "sidecar"]), STATES, st.booleans())
    )
)
def test_every_student_has_at_most_one_server_and_nothing_counts_twice(cases: list[Any]) -> None:
    pods = []
    for number, (user, container, container_state, going) in enumerate(cases):
        found = pod(f"pod-{number}", user, containerStatuses=[{"name": container, "state": container_state}])
        if going:
            found["metadata"]["deletionTimestamp"] = "2030-01-01T00:00:00Z"
        pods.append(found)

    servers, starting = look(pods, COMPONENT, "home")

    assert len({server.user for server in servers}) == len(servers)
    assert not starting & {server.pod["metadata"]["uid"] for server in servers}
    for server in servers:
        status = server.pod["status"]["containerStatuses"][0]
        assert (status["name"], status["state"]) == ("notebook", {"running": {}})
        assert "deletionTimestamp" not in server.pod["metadata"]
