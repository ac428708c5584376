"""The spawner's disks: which one is a student's, that it is found for ever, and that it grows."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import pytest
from campus_hub.spawner import StartRefusedError
from kubespawner import KubeSpawner
from kubespawner.slugs import escape_slug, is_valid_object_name

from .conftest import FakeApi, Spawn, fail, start

NAMES = [
    "ann",
    "ann.lee",
    "ann@example.edu",
    "Ann",
    "ANN",
    "åsa",
    "李明",
    "ann--lee",
    "-ann-",
    "7up",
    "ann_lee",
    "a" * 63,
    "a" * 64,
    "a" * 200,
    "ann lee",
    "ann/../bob",
    "ann-40example-2eedu",
]


@pytest.mark.usefixtures("kubelet")
@pytest.mark.parametrize("name", NAMES)
async def test_a_name_gives_the_same_disk_for_ever(api: FakeApi, spawn: Spawn, name: str) -> None:
    for _unused in range(2):
        # A new hub that remembers nothing.
        await start(spawn(name, storage_pvc_ensure=True, pvc_name_template="claim-{user_server}"))
        KubeSpawner.reflectors.clear()
        for pod in api.of("pods"):
            api.drop("pods", pod["metadata"]["name"])

    assert len(api.of("persistentvolumeclaims")) == 1
    assert is_valid_object_name(api.of("persistentvolumeclaims")[0]["metadata"]["name"])


@pytest.mark.usefixtures("kubelet")
async def test_no_two_names_share_a_disk(api: FakeApi, spawn: Spawn) -> None:
    for name in NAMES:
        for server in ("", "lab"):
            await start(spawn(name, server, storage_pvc_ensure=True, pvc_name_template="claim-{user_server}"))

    assert len(api.of("persistentvolumeclaims")) == 2 * len(NAMES)


async def found_after(states: Iterable[dict[str, str]], disk: str, spawn: Spawn, *server: str) -> None:
    """A server starts with the same disk whatever is remembered of it."""
    for state in states:
        spawner = spawn(*server, storage_pvc_ensure=True, pvc_name_template="claim-{user_server}")
        spawner.load_state(dict(state))
        spawner.clear_state()
        await start(spawner)
        assert spawner.pvc_name == disk
        await spawner.stop()


@pytest.mark.usefixtures("kubelet")
@pytest.mark.parametrize("name", [name for name in NAMES if escape_slug(name) != name and len(name) < 60])
async def test_a_disk_from_before_kubespawner_7_is_found_again_and_again(api: FakeApi, spawn: Spawn, name: str) -> None:
    legacy = f"claim-{escape_slug(name)}"
    api.put("persistentvolumeclaims", claim(legacy, name))

    await found_after(({}, {"kubespawner_version": "7.1.0"}, {"pod_name": "x"}), legacy, spawn, name)
    assert len(api.of("persistentvolumeclaims")) == 1


@pytest.mark.usefixtures("kubelet")
@pytest.mark.parametrize("legacy", ["claim-ann-2elee--my-20lab", "claim-ann-2eleemy-20lab", "claim-ann-2elee-my-20lab"])
async def test_a_named_server_s_disk_from_zero_to_jupyterhub_is_found_again_and_again(
    api: FakeApi, spawn: Spawn, legacy: str
) -> None:
    api.put("persistentvolumeclaims", claim(legacy, "ann.lee", server="my lab"))

    states: tuple[dict[str, str], ...] = ({}, {"kubespawner_version": "7.1.0"}, {"pod_name": "x"}, {"pvc_name": legacy})
    await found_after(states, legacy, spawn, "ann.lee", "my lab")
    assert len(api.of("persistentvolumeclaims")) == 1


@pytest.mark.usefixtures("kubelet")
@pytest.mark.parametrize(
    ("owner", "of_server"), [("annthesis", None), ("annt", "hesis"), ("ann", "Thesis"), ("ann", None)]
)
async def test_a_name_that_means_two_servers_is_nobody_s_but_its_owner_s(
    api: FakeApi, spawn: Spawn, owner: str, of_server: str | None
) -> None:
    api.put("persistentvolumeclaims", claim("claim-annthesis", owner, server=of_server))

    spawner = spawn("ann", "thesis", storage_pvc_ensure=True, pvc_name_template="claim-{user_server}")
    await start(spawner)

    assert spawner.pvc_name == "claim-ann--thesis"
    assert len(api.of("persistentvolumeclaims")) == 2


@pytest.mark.usefixtures("kubelet")
async def test_a_disk_named_by_today_s_scheme_is_kept_beside_one_of_the_older(api: FakeApi, spawn: Spawn) -> None:
    named = spawn("ann.lee", storage_pvc_ensure=True, pvc_name_template="claim-{user_server}").pvc_name
    for name in (f"claim-{escape_slug('ann.lee')}", named):
        api.put("persistentvolumeclaims", claim(name, "ann.lee"))

    spawner = spawn("ann.lee", storage_pvc_ensure=True, pvc_name_template="claim-{user_server}")
    await start(spawner)

    assert spawner.pvc_name == named
    assert len(api.of("persistentvolumeclaims")) == 2


async def test_a_disk_of_another_student_is_never_used(api: FakeApi, spawn: Spawn) -> None:
    # What KubeSpawner 6 made for ann@example.edu has the very name that 7 makes for this account.
    api.put("persistentvolumeclaims", claim("claim-ann-40example-2eedu", "ann@example.edu"))

    with pytest.raises(StartRefusedError, match="belongs to another account"):
        await start(spawn("ann-40example-2eedu", storage_pvc_ensure=True, pvc_name_template="claim-{user_server}"))

    assert api.of("pods") == []


@pytest.mark.usefixtures("kubelet")
async def test_a_disk_that_staff_made_by_hand_is_used(api: FakeApi, spawn: Spawn) -> None:
    made = claim("claim-ann", "")
    made["metadata"]["annotations"] = {}
    api.put("persistentvolumeclaims", made)

    await start(spawn(storage_pvc_ensure=True, pvc_name_template="claim-{user_server}"))

    assert len(api.of("persistentvolumeclaims")) == 1


async def test_a_disk_that_cannot_be_looked_up_is_not_replaced_by_an_empty_one(api: FakeApi, spawn: Spawn) -> None:
    api.fault = fail("persistentvolumeclaims", "GET", 503)

    with pytest.raises(TimeoutError, match="Could not create PVC"):
        await start(spawn(storage_pvc_ensure=True, k8s_api_request_retry_timeout=2))

    assert api.of("persistentvolumeclaims") == []


async def test_a_disk_outlives_its_student(api: FakeApi, spawn: Spawn) -> None:
    api.put("persistentvolumeclaims", claim("claim-ann", "ann"))
    spawner = spawn(delete_pvc=True, pvc_name_template="claim-{user_server}")

    await spawner.delete_forever()

    assert not spawner.delete_pvc
    assert len(api.of("persistentvolumeclaims")) == 1


@pytest.mark.usefixtures("kubelet")
async def test_the_canary_gets_an_emptydir(api: FakeApi, spawn: Spawn) -> None:
    volumes = {"home": {"name": "home", "persistentVolumeClaim": {"claimName": "{pvc_name}"}}}

    await start(spawn("canary", storage_pvc_ensure=True, canary_user="canary", volumes=volumes))
    await start(spawn("ann", storage_pvc_ensure=True, canary_user="canary", volumes=volumes))

    canary, ann = (api.objects["pods", f"jupyter-{name}"]["spec"]["volumes"] for name in ("canary", "ann"))
    assert canary == [{"name": "home", "emptyDir": {"sizeLimit": "1Gi"}}]
    assert ann[0]["persistentVolumeClaim"]["claimName"].startswith("claim-ann")
    assert len(api.of("persistentvolumeclaims")) == 1


def claim(
    name: str, user: str, size: str = "2Gi", *, phase: str = "Bound", volume: str = "1Gi", server: str | None = None
) -> dict[str, Any]:
    """Return a disk as KubeSpawner makes it, with a volume of some size."""
    named = {} if server is None else {"hub.jupyter.org/servername": server}
    return {
        "metadata": {"name": name, "annotations": {"hub.jupyter.org/username": user, **named}},
        "spec": {"resources": {"requests": {"storage": size}}},
        "status": {"phase": phase, "capacity": {"storage": volume}},
    }


def size_of(api: FakeApi, name: str) -> str:
    """Return what a disk asks for."""
    return str(api.objects["persistentvolumeclaims", name]["spec"]["resources"]["requests"]["storage"])


DISKS = {"storage_pvc_ensure": True, "pvc_name_template": "claim-{user_server}"}


@pytest.mark.usefixtures("kubelet")
async def test_a_disk_grows_to_the_configured_size_before_its_server_starts(api: FakeApi, spawn: Spawn) -> None:
    before = api.put("persistentvolumeclaims", claim("claim-ann", "ann"))["metadata"] | {"resourceVersion": ""}

    await start(spawn(storage_capacity="5Gi", **DISKS))

    assert size_of(api, "claim-ann") == "5Gi"
    assert api.objects["persistentvolumeclaims", "claim-ann"]["metadata"] | {"resourceVersion": ""} == before
    assert api.calls.index(("PATCH", "persistentvolumeclaims")) < api.calls.index(("POST", "pods"))


@pytest.mark.usefixtures("kubelet")
@pytest.mark.parametrize(
    ("disk", "wanted"),
    [
        ({}, "1Gi"),
        ({}, "2Gi"),
        ({}, "2048Mi"),
        ({}, None),
        ({}, "much"),
        ({"phase": "Pending"}, "5Gi"),
        ({"volume": "10Gi"}, "5Gi"),
    ],
)
async def test_a_disk_is_left_as_it_is(api: FakeApi, spawn: Spawn, disk: dict[str, str], wanted: str | None) -> None:
    api.put("persistentvolumeclaims", claim("claim-ann", "ann", **disk))

    await start(spawn(storage_capacity=wanted, **DISKS))

    assert size_of(api, "claim-ann") == "2Gi"
    assert ("PATCH", "persistentvolumeclaims") not in api.calls


@pytest.mark.usefixtures("kubelet")
@pytest.mark.parametrize("status", [403, 409, 422, 429, 503])
async def test_a_disk_that_may_not_grow_stops_no_start(
    api: FakeApi, spawn: Spawn, caplog: pytest.LogCaptureFixture, status: int
) -> None:
    api.put("persistentvolumeclaims", claim("claim-ann", "ann"))
    api.fault = fail("persistentvolumeclaims", "PATCH", status)

    assert await start(spawn(storage_capacity="5Gi", **DISKS))

    assert api.calls.count(("PATCH", "persistentvolumeclaims")) == 1
    assert f"does not grow to 5Gi: {status} made to fail" in caplog.text


async def test_a_disk_that_grew_meanwhile_is_not_made_smaller_again(api: FakeApi, spawn: Spawn) -> None:
    seen = json.loads(json.dumps(api.put("persistentvolumeclaims", claim("claim-ann", "ann"))))
    api.put("persistentvolumeclaims", claim("claim-ann", "ann", "9Gi"), "MODIFIED")

    await spawn(storage_capacity="5Gi", **DISKS)._grow(seen, 5)

    assert size_of(api, "claim-ann") == "9Gi"
