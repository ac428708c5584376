"""The spawner: what counts as stopped, whose pod is taken over, which disk is a student's."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from aiohttp import web
from ansible_collections.campus.jupyterhub.tests.unit.waiting import eventually
from campus_hub.reflectors import EventsByPod
from campus_hub.spawner import CampusSpawner, StartRefusedError
from jupyterhub.utils import exponential_backoff, maybe_future
from kubespawner import KubeSpawner
from kubespawner.slugs import escape_slug, is_valid_object_name

from .conftest import FakeApi, Spawn, student_pod

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


def fail(kind: str, method: str, status: int) -> Any:
    """Return a fault for one kind and method."""

    def fault(request: web.Request) -> int | None:
        return status if (request.method, request.match_info["kind"]) == (method, kind) else None

    return fault


async def start(spawner: CampusSpawner) -> str:
    """Start as the hub does, without the profile."""
    url: str = await asyncio.wait_for(spawner.start(), 60)
    return url


@pytest.fixture
async def kubelet(api: FakeApi) -> None:
    """Run every pod soon after it is created."""
    api.kubelet = True


# Polls


async def test_a_running_pod_runs(api: FakeApi, spawn: Spawn) -> None:
    api.put("pods", student_pod("jupyter-ann", "ann"))

    assert await spawn().poll() is None


@pytest.mark.parametrize("status", [{"phase": "Pending"}, {"phase": "Running", "containerStatuses": None}])
async def test_a_pod_that_has_not_told_much_yet_counts_as_running(
    api: FakeApi, spawn: Spawn, status: dict[str, Any]
) -> None:
    api.put("pods", student_pod("jupyter-ann", "ann", **status))

    assert await spawn().poll() is None


async def test_a_pod_that_is_gone_is_stopped(api: FakeApi, spawn: Spawn) -> None:
    assert await spawn().poll() == 1


async def test_an_ended_server_gives_its_exit_code_and_is_removed(api: FakeApi, spawn: Spawn) -> None:
    ended = [{"name": "notebook", "ready": False, "state": {"terminated": {"exitCode": 137}}}]
    api.put("pods", student_pod("jupyter-ann", "ann", containerStatuses=ended))

    assert await spawn().poll() == 137
    assert api.of("pods") == []


async def test_a_watch_that_is_behind_does_not_stop_a_server(api: FakeApi, spawn: Spawn) -> None:
    spawner = spawn()
    await spawner.poll()
    pod = student_pod("jupyter-ann", "ann")
    # The watch hears nothing of it.
    api.objects["pods", "jupyter-ann"] = pod
    spawner.pod_reflector.resources.clear()

    assert await spawner.poll() is None


@pytest.mark.parametrize("status", [403, 429, 500, 503])
async def test_an_api_server_that_cannot_tell_does_not_stop_a_server(api: FakeApi, spawn: Spawn, status: int) -> None:
    spawner = spawn()
    await spawner.poll()
    api.fault = lambda request: status

    assert await spawner.poll() is None


async def test_the_first_poll_waits_for_the_api_server(api: FakeApi, spawn: Spawn) -> None:
    api.put("pods", student_pod("jupyter-ann", "ann"))
    api.fault = lambda request: 503
    poll = asyncio.create_task(spawn().poll())
    await eventually(lambda: len(api.calls) > 2)
    assert not poll.done()
    api.fault = lambda request: None

    assert await asyncio.wait_for(poll, 30) is None


async def test_a_start_that_is_given_up_spoils_the_watch_for_nobody(api: FakeApi, spawn: Spawn) -> None:
    api.fault = lambda request: 503
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(spawn("bob").poll(), 0.3)
    api.fault = lambda request: None
    api.put("pods", student_pod("jupyter-ann", "ann"))

    assert await asyncio.wait_for(spawn().poll(), 30) is None


# Starts


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What KubeSpawner itself had to pause for: each time that it looks and finds something not done yet."""
    found: list[str] = []

    async def noting(look: Callable[[], Any], message: str, **options: Any) -> Any:
        async def noting_look() -> Any:
            done = await maybe_future(look())
            if not done:
                found.append(message)
            return done

        return await exponential_backoff(noting_look, message, **options)

    monkeypatch.setattr("kubespawner.spawner.exponential_backoff", noting)
    return found


@pytest.mark.usefixtures("kubelet")
async def test_a_start_makes_disk_and_pod(api: FakeApi, spawn: Spawn) -> None:
    spawner = spawn(storage_pvc_ensure=True, pvc_name_template="claim-{user_server}")

    assert await start(spawner) == "http://10.1.2.3:8888"

    claim = api.objects["persistentvolumeclaims", "claim-ann"]["metadata"]
    assert claim["labels"]["component"] == "singleuser-storage"
    assert claim["annotations"]["hub.jupyter.org/username"] == "ann"
    assert spawner.get_state()["pvc_name"] == "claim-ann"


@pytest.mark.usefixtures("kubelet")
async def test_a_start_notices_at_once_that_the_pod_runs(api: FakeApi, spawn: Spawn, pauses: list[str]) -> None:
    await start(spawn())

    assert pauses == []


@pytest.mark.usefixtures("kubelet")
@pytest.mark.parametrize("kind", ["pods", "persistentvolumeclaims"])
async def test_a_start_outlives_a_short_failure_of_the_api_server(api: FakeApi, spawn: Spawn, kind: str) -> None:
    answers = iter([503, 429])
    api.fault = lambda request: (
        next(answers, None) if (request.method, request.match_info["kind"]) == ("POST", kind) else None
    )

    assert await start(spawn(storage_pvc_ensure=True))


async def test_a_refusal_says_why(api: FakeApi, spawn: Spawn) -> None:
    api.fault = fail("pods", "POST", 403)

    with pytest.raises(Exception, match="made to fail: 403"):
        await start(spawn())


async def test_the_student_s_own_pod_is_taken_over_with_its_token(api: FakeApi, spawn: Spawn) -> None:
    before = api.put("pods", student_pod("jupyter-ann", "ann"))["metadata"]["uid"]
    spawner = spawn()

    assert await start(spawner) == "http://10.1.2.3:8888"

    assert spawner.adopted
    assert spawner.api_token == "token-of-ann"
    assert api.objects["pods", "jupyter-ann"]["metadata"]["uid"] == before
    assert ("DELETE", "pods") not in api.calls


async def test_another_s_pod_of_the_same_name_is_left_alone(api: FakeApi, spawn: Spawn) -> None:
    api.put("pods", student_pod("jupyter-ann", "bob"))

    with pytest.raises(StartRefusedError, match="is taken") as refused:
        await start(spawn())

    assert "tell the staff" in refused.value.jupyterhub_message
    assert ("DELETE", "pods") not in api.calls


@pytest.mark.usefixtures("kubelet")
async def test_an_ended_pod_makes_way(api: FakeApi, spawn: Spawn) -> None:
    before = api.put("pods", student_pod("jupyter-ann", "ann", phase="Failed", containerStatuses=None))
    spawner = spawn()

    await start(spawner)

    assert not spawner.adopted
    assert api.objects["pods", "jupyter-ann"]["metadata"]["uid"] != before["metadata"]["uid"]


@pytest.mark.usefixtures("kubelet")
async def test_a_pod_that_is_being_deleted_is_waited_for_and_not_forced(api: FakeApi, spawn: Spawn) -> None:
    pod = student_pod("jupyter-ann", "ann")
    pod["metadata"]["deletionTimestamp"] = "2030-01-01T00:00:00Z"
    api.put("pods", pod)
    spawner = spawn()
    starting = asyncio.create_task(start(spawner))
    await eventually(lambda: api.calls.count(("POST", "pods")) > 1)
    assert not starting.done()
    api.drop("pods", "jupyter-ann")

    await starting

    assert not spawner.adopted
    assert ("DELETE", "pods") not in api.calls


@pytest.mark.usefixtures("kubelet")
async def test_a_stop_deletes_the_pod_and_notices_at_once(api: FakeApi, spawn: Spawn, pauses: list[str]) -> None:
    spawner = spawn()
    await start(spawner)

    await spawner.stop()

    assert pauses == []
    assert api.of("pods") == []


# Disks


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


@pytest.mark.usefixtures("kubelet")
@pytest.mark.parametrize("name", [name for name in NAMES if escape_slug(name) != name and len(name) < 60])
async def test_a_disk_from_before_kubespawner_7_is_found_again_and_again(api: FakeApi, spawn: Spawn, name: str) -> None:
    legacy = f"claim-{escape_slug(name)}"
    api.put("persistentvolumeclaims", claim(legacy, name))

    for state in ({}, {"kubespawner_version": "7.1.0"}, {"pod_name": "x"}):
        spawner = spawn(name, storage_pvc_ensure=True, pvc_name_template="claim-{user_server}")
        spawner.load_state(dict(state))
        spawner.clear_state()
        await start(spawner)
        assert spawner.pvc_name == legacy
        await spawner.stop()

    assert len(api.of("persistentvolumeclaims")) == 1


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


def claim(name: str, user: str, size: str = "2Gi", phase: str = "Bound", volume: str = "1Gi") -> dict[str, Any]:
    """Return a disk as KubeSpawner makes it, with a volume of some size."""
    return {
        "metadata": {"name": name, "annotations": {"hub.jupyter.org/username": user}},
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


async def test_a_start_shows_what_is_said_about_its_own_pod_since_it_began(spawn: Spawn) -> None:
    spawner = spawn("ann")
    names = (("1", spawner.pod_name), ("2", spawner.pod_name), ("3", "jupyter-bob"), ("4", spawner.pod_name))
    said = {
        uid: {"metadata": {"uid": uid}, "involvedObject": {"name": pod}, "lastTimestamp": uid} for uid, pod in names
    }
    spawner.reflectors[spawner._get_reflector_key("events")] = SimpleNamespace(of=EventsByPod(said).of)
    assert [each["metadata"]["uid"] for each in spawner.events] == ["1", "2", "4"]
    spawner._last_event = "2"
    assert [each["metadata"]["uid"] for each in spawner.events] == ["4"]
    spawner._last_event = "expired"
    assert [each["metadata"]["uid"] for each in spawner.events] == ["1", "2", "4"]
