# Copyright: campus.jupyterhub contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

from base64 import b64decode, b64encode
from typing import Any

import pytest
from ansible_collections.campus.jupyterhub.plugins.module_utils import _hub_secret as hub_secret

OPTIONS: dict[str, Any] = {
    "namespace": "jupyterhub",
    "existing_secret": "mine",
    "authenticator": "shared-password",
    "admin_users": ["ann"],
    "cull": True,
    "canary": True,
    "files_history": True,
    "secrets": {},
}
COMPLETE = {
    "cookie_secret": "ab" * 32,
    "culler_token": "t",
    "canary_token": "t",
    "files_history_token": "t",
    "student_password": "s" * 8,
    "admin_password": "a" * 32,
}


def encoded(values: dict[str, str]) -> dict[str, str]:
    return {key: b64encode(value.encode()).decode() for key, value in values.items()}


def decoded(data: dict[str, str]) -> dict[str, str]:
    return {key: b64decode(value).decode() for key, value in data.items()}


def problems(values: dict[str, str], **options: Any) -> list[str]:
    return hub_secret.problems([{"data": encoded(values)}], {**OPTIONS, **options})


def test_drawn_values_are_what_the_hub_accepts() -> None:
    values = decoded(hub_secret.complete({}, {}))
    assert set(values) == set(hub_secret.KEYS)
    assert hub_secret.value_problems(values, "drawn") == []
    assert len(set(values.values())) == len(values)


def test_two_draws_differ() -> None:
    assert not set(hub_secret.complete({}, {}).values()) & set(hub_secret.complete({}, {}).values())


def test_what_is_there_is_kept_and_only_what_is_missing_is_drawn() -> None:
    first = hub_secret.complete({}, {})
    assert hub_secret.complete(first, {}) == first
    partly = {key: value for key, value in first.items() if key != "canary_token"}
    second = hub_secret.complete(partly, {})
    assert {key for key in first if first[key] != second[key]} == {"canary_token"}


def test_an_empty_value_is_drawn_anew() -> None:
    assert hub_secret.complete({"cookie_secret": ""}, {})["cookie_secret"]


def test_given_values_come_first() -> None:
    data = hub_secret.complete(hub_secret.complete({}, {}), {"student_password": "from the user"})
    assert decoded(data)["student_password"] == "from the user"


def test_nothing_is_drawn_for_the_users_own_secret() -> None:
    assert hub_secret.complete({"cookie_secret": "eA=="}, {}, draw=False) == {"cookie_secret": "eA=="}


def test_a_query_without_result_is_an_empty_secret() -> None:
    assert hub_secret.data_of([]) == {}
    assert hub_secret.data_of([{"metadata": {}}]) == {}


def test_a_complete_secret_of_the_user_is_accepted() -> None:
    assert problems(COMPLETE) == []


@pytest.mark.parametrize("key", sorted(COMPLETE))
def test_a_missing_key_is_named(key: str) -> None:
    assert problems({**COMPLETE, key: ""}) == [f"Secret mine lacks the key {key!r}; add it."]


@pytest.mark.parametrize(
    ("options", "key"),
    [
        ({"cull": False}, "culler_token"),
        ({"canary": False}, "canary_token"),
        ({"files_history": False}, "files_history_token"),
        ({"authenticator": "github"}, "student_password"),
        ({"admin_users": []}, "admin_password"),
    ],
)
def test_a_key_is_not_asked_for_when_nothing_needs_it(options: dict[str, Any], key: str) -> None:
    assert problems({**COMPLETE, key: ""}, **options) == []


def test_a_secret_that_does_not_exist_is_told() -> None:
    assert hub_secret.problems([], OPTIONS) == [
        "Secret mine does not exist in namespace jupyterhub; create it or empty hub_existing_secret."
    ]
    assert hub_secret.problems([], {**OPTIONS, "existing_secret": ""}) == []


def test_a_password_given_now_is_compared_with_the_one_kept() -> None:
    found = [{"data": encoded({"admin_password": "x" * 32})}]
    options = {**OPTIONS, "existing_secret": "", "secrets": {"student_password": "x" * 32}}
    assert hub_secret.problems(found, options) == [
        "Secret hub-secret: admin_password and student_password are the same; use two different ones."
    ]


def test_a_value_that_is_not_base64_counts_as_missing() -> None:
    found = [{"data": {**encoded(COMPLETE), "canary_token": "%"}}]
    assert hub_secret.problems(found, OPTIONS) == ["Secret mine lacks the key 'canary_token'; add it."]
