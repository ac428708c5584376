"""The smoke test against a real web server that answers as JupyterHub does."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any

import pytest
from ansible_collections.campus.jupyterhub.plugins.module_utils._smoke_test import SmokeTest, StepFailed
from ansible_collections.campus.jupyterhub.plugins.module_utils._smoke_test_client import (
    Client,
    Deadline,
    Refused,
    shown,
)
from ansible_collections.campus.jupyterhub.tests.unit.plugins.module_utils.fake_hub import (
    PASSWORD,
    TOKEN,
    FakeHub,
    serving,
)

STEPS = ["log in", "start the server", "open the server", "start a kernel", "run 1+1", "stop the server"]


@pytest.fixture
def hub() -> Iterator[FakeHub]:
    with serving(FakeHub()) as fake:
        yield fake


def smoke_test(hub: FakeHub, **changes: Any) -> SmokeTest:
    return SmokeTest(**{"url": hub.url, "user": "canary", "token": TOKEN, "seconds": 10.0, **changes})


def names(test: SmokeTest) -> list[str]:
    return [step["name"] for step in test.steps]


def test_with_the_token_alone_every_step_is_done_and_timed(hub: FakeHub) -> None:
    test = smoke_test(hub)
    test.run()
    assert names(test) == STEPS
    assert all(step["seconds"] >= 0 for step in test.steps)
    assert not hub.running
    assert "POST /hub/login" not in hub.requests


def test_with_a_password_the_login_form_and_the_lab_are_used(hub: FakeHub) -> None:
    test = smoke_test(hub, password=PASSWORD)
    test.run()
    assert names(test) == STEPS
    assert {"POST /hub/login", "GET /user/canary/lab"} <= set(hub.requests)


@pytest.mark.parametrize(("host", "connect_to"), [("hub.localhost", ""), ("hub.example.org", "127.0.0.1")])
def test_a_server_at_a_host_of_its_own_that_no_name_server_knows(host: str, connect_to: str) -> None:
    with serving(FakeHub(host=host, subdomains=True)) as hub:
        test = smoke_test(hub, password=PASSWORD, connect_to=connect_to)
        test.run()
    assert names(test) == STEPS
    cookies = {(cookie.name, cookie.domain) for cookie in test._browser.cookies}
    assert {("login", host), ("login", f"canary.{host}")} <= cookies


def test_the_token_is_sent_to_no_other_host() -> None:
    with serving(FakeHub(host="hub.localhost", subdomains=True, fault="elsewhere")) as hub:
        words = "the server is at http://evil.example.org/user/canary/, which is not below its own"
        with pytest.raises(StepFailed, match=words):
            smoke_test(hub).run()


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("/user/ann/", True),
        ("https://hub.example.org/user/ann/", True),
        ("https://ann.hub.example.org:443/user/ann/", True),
        ("https://ann.hub.example.org:8443/user/ann/", False),
        ("http://ann.hub.example.org/user/ann/", False),
        ("https://annhub.example.org/user/ann/", False),
        ("https://example.org/user/ann/", False),
    ],
)
def test_what_is_the_hubs_own(url: str, expected: bool) -> None:
    assert Client("https://hub.example.org", Deadline(5)).belongs(url) is expected


def test_names_are_looked_up_again_as_before() -> None:
    asked = socket.getaddrinfo
    with serving(FakeHub(host="hub.localhost")) as hub:
        Client(hub.url, Deadline(5), TOKEN).ask("GET", "hub/home")
    assert socket.getaddrinfo is asked


def test_a_canary_unknown_to_the_hub_is_made(hub: FakeHub) -> None:
    hub.users.clear()
    smoke_test(hub).run()
    assert hub.users == {"canary"}


def test_a_server_left_by_an_interrupted_run_is_stopped_first(hub: FakeHub) -> None:
    hub.running.add("canary")
    smoke_test(hub).run()
    assert hub.requests.index("DELETE /hub/api/users/canary/server") < hub.requests.index(
        "POST /hub/api/users/canary/server"
    )


@pytest.mark.parametrize(
    ("fault", "step", "words"),
    [
        ("quota", "start the server", "exceeded quota: students"),
        ("spawn", "start the server", "Spawn failed: 0/2 nodes are available"),
        ("cut", "start the server", "the hub's last words: Server requested"),
        ("503", "open the server", "was answered with 503: <p>Hub down</p>"),
        ("no websocket", "run 1+1", "no websocket to ws://"),
        ("dropped", "run 1+1", "websocket was closed before the cell was done"),
        ("error", "run 1+1", "the cell failed with MemoryError: no memory"),
        ("wrong", "run 1+1", "the kernel answered '3' instead of '2'"),
    ],
)
def test_a_failure_names_the_step_and_says_what_was_answered(hub: FakeHub, fault: str, step: str, words: str) -> None:
    hub.fault = fault
    test = smoke_test(hub)
    with pytest.raises(StepFailed) as failed:
        test.run()
    assert failed.value.step == step
    assert words in failed.value.reason
    assert names(test) == STEPS[: STEPS.index(step)]
    assert TOKEN not in str(failed.value)


def test_clean_up_stops_what_a_failed_run_left(hub: FakeHub) -> None:
    hub.fault = "503"
    test = smoke_test(hub)
    with pytest.raises(StepFailed):
        test.run()
    assert hub.running == {"canary"}
    test.clean_up()
    assert not hub.running


def test_clean_up_touches_nothing_when_nothing_was_started(hub: FakeHub) -> None:
    test = smoke_test(hub, token="wrong")
    with pytest.raises(StepFailed, match="log in"):
        test.run()
    test.clean_up()
    assert "DELETE /hub/api/users/canary/server" not in hub.requests


def test_a_wrong_password_is_a_refused_login(hub: FakeHub) -> None:
    with pytest.raises(StepFailed, match="the login form refused 'canary'") as failed:
        smoke_test(hub, password="wrong").run()
    assert failed.value.step == "log in"


def test_a_login_that_does_not_reach_the_server_is_seen(hub: FakeHub) -> None:
    hub.fault = "oauth"
    with pytest.raises(StepFailed, match="instead of the student's own server"):
        smoke_test(hub, password=PASSWORD).run()


def test_a_server_that_never_gets_ready_ends_at_the_deadline(hub: FakeHub) -> None:
    hub.fault = "silence"
    with pytest.raises(StepFailed, match=r"not done within 3 s; the hub's last words: Server requested") as failed:
        smoke_test(hub, seconds=3).run()
    assert failed.value.step == "start the server"


def test_nobody_at_the_address_is_one_sentence() -> None:
    with pytest.raises(Refused, match="Connection refused"):
        Client("http://127.0.0.1:1", Deadline(5)).ask("GET", "hub/login")


def test_the_deadline_counts_from_its_making() -> None:
    now = [100.0]
    deadline = Deadline(5, clock=lambda: now[0])
    now[0] = 103.0
    assert deadline.left() == 2.0
    now[0] = 105.0
    with pytest.raises(Refused, match="not done within 5 s"):
        deadline.left()


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ('{"message": "no  such\\nuser"}', "no such user"),
        ("<p>\n oops </p>", "<p> oops </p>"),
        ("", "nothing"),
        ("[]", "[]"),
    ],
)
def test_an_answer_is_shown_in_few_words(body: str, words: str) -> None:
    assert shown(body) == words
