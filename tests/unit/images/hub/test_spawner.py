"""The spawner: what counts as stopped, whose pod is taken over, what a start shows."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.campus.jupyterhub.tests.unit.waiting import eventually
from campus_hub.reflectors import EventsByPod
from campus_hub.spawner import StartRefusedError
from jupyterhub.utils import exponential_backoff, maybe_future

from .conftest import FakeApi, Spawn, fail, start, student_pod

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


async def test_a_server_is_told_the_hub_s_address_where_it_is_known(
    spawn: Spawn, monkeypatch: pytest.MonkeyPatch
) -> None:
    spawner = spawn()
    spawner.hub.api_url = "http://hub:8081/hub/api"
    assert "CAMPUS_HUB_ADDRESS" not in spawner.get_env()
    monkeypatch.setenv("HUB_SERVICE_HOST", "10.96.1.2")

    assert spawner.get_env()["CAMPUS_HUB_ADDRESS"] == "10.96.1.2"


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


# What is shown


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
