"""Which login the smoke test takes, and what it says when something for it is missing."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from ansible_collections.campus.jupyterhub.plugins.module_utils._cluster import ClusterError
from ansible_collections.campus.jupyterhub.plugins.module_utils._smoke_test_setup import has_shared_password, smoke_test

OPTIONS = {
    "url": "http://127.0.0.1:8000",
    "namespace": "jupyterhub",
    "user": "canary",
    "login": "auto",
    "secret": "hub-secret",
    "config": "hub-config",
    "timeout": 60,
    "url_validate_certs": True,
    "url_ca_path": None,
}
SHARED = "hub_config: {JupyterHub: {authenticator_class: shared-password}}"
OAUTH = "hub_config: {JupyterHub: {authenticator_class: generic-oauth}}"


class Cluster:
    """Answers from memory."""

    def __init__(self, config: str | None, **secret: str) -> None:
        data = {key: base64.b64encode(value.encode()).decode() for key, value in secret.items()}
        self.objects: dict[str, Any] = {"Secret": {"data": data}}
        if config is not None:
            self.objects["ConfigMap"] = {"data": {"config.yaml": config}}

    def get(self, kind: str, name: str, namespace: str | None = None, api_version: str = "v1") -> dict[str, Any] | None:
        found: dict[str, Any] | None = self.objects.get(kind)
        return found


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (SHARED, True),
        (
            "hub_config: {JupyterHub: {authenticator_class: hub.SharedPasswordAuthenticator}}",
            True,
        ),
        (OAUTH, False),
        ("hub_config: {JupyterHub: }", False),
        ("", False),
    ],
)
def test_the_shared_password_is_seen_in_the_configuration(config: str, expected: bool) -> None:
    assert has_shared_password(config) is expected


@pytest.mark.parametrize(
    ("config", "login", "password"),
    [(SHARED, "auto", "p"), (OAUTH, "auto", ""), (OAUTH, "form", "p"), (None, "token", "")],
)
def test_the_password_is_used_only_where_the_form_takes_it(config: str | None, login: str, password: str) -> None:
    cluster = Cluster(config, canary_token="t", student_password="p")
    test = smoke_test(cluster, {**OPTIONS, "login": login})
    assert (test.token, test.password, test.seconds) == ("t", password, 60)


@pytest.mark.parametrize(
    ("cluster", "words"),
    [
        (Cluster(None, canary_token="t"), "ConfigMap jupyterhub/hub-config: it is not there"),
        (Cluster(SHARED, canary_token="t"), "Secret jupyterhub/hub-secret: it has no student_password"),
        (Cluster(OAUTH), "Secret jupyterhub/hub-secret: it has no canary_token"),
    ],
)
def test_what_is_missing_is_named(cluster: Cluster, words: str) -> None:
    with pytest.raises(ClusterError, match=words):
        smoke_test(cluster, OPTIONS)
