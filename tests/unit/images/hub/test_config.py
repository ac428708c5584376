"""From /etc/campus to JupyterHub's configuration."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from campus_hub import adoption, config, patience
from campus_hub.config import ConfigError, Settings
from jupyterhub.app import JupyterHub
from jupyterhub.authenticators.shared import SharedPasswordAuthenticator
from traitlets.config import Config

SECRETS = {"cookie_secret": "ab" * 32}
BASE = {"JupyterHub": {"authenticator_class": "shared-password", "db_url": "sqlite:////srv/x"}}


def build(settings: Settings | None = None, **secrets: str) -> dict[str, dict[str, Any]]:
    return config.build(settings or Settings(), SECRETS | secrets, BASE)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a: [", "is not YAML"),
        ("[]x", "is not YAML"),
        ("- a", "must hold a mapping"),
        ("hub_confg: {}", "unknown key 'hub_confg'; known are agent_namespace"),
        ("hub_config: []", "hub_config must be a dict"),
        ("services: {}", "services must be a list"),
        ("name: 3", "name must be a str"),
        ("hub_config: {KubeSpawner: 3}", "hub_config.KubeSpawner must map traits to values"),
    ],
)
def test_settings_that_cannot_be_used_are_refused_with_the_place(text: str, says: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(says)):
        config.read_settings(text)


def test_nothing_at_all_is_fine() -> None:
    assert config.read_settings("") == config.read_settings("hub_config:\nroles:") == Settings()


def test_hub_config_goes_over_the_defaults_and_the_secret_s_over_both() -> None:
    settings = Settings(hub_config={"JupyterHub": {"db_url": "sqlite:///b", "base_url": "/x/"}, "A": {"b": 1}})

    found = build(settings, hub_config="JupyterHub: {db_url: postgresql+psycopg://u:p@db/hub}")

    assert found["JupyterHub"]["db_url"] == "postgresql+psycopg://u:p@db/hub"
    assert found["JupyterHub"]["base_url"] == "/x/"
    assert found["JupyterHub"]["upgrade_db"] is False
    assert found["JupyterHub"]["db_kwargs"]["connect_args"]["connect_timeout"] > 0
    assert found["A"] == {"b": 1}


def test_the_defaults_are_not_changed_by_a_build() -> None:
    build(Settings(hub_config={"JupyterHub": {"db_url": "x"}}))

    assert BASE == {"JupyterHub": {"authenticator_class": "shared-password", "db_url": "sqlite:////srv/x"}}


def test_a_database_that_jupyterhub_copies_first_is_upgraded() -> None:
    assert build()["JupyterHub"]["upgrade_db"] is True
    assert not build(Settings(hub_config={"JupyterHub": {"upgrade_db": False}}))["JupyterHub"]["upgrade_db"]


@pytest.mark.parametrize("text", ["JupyterHub: [oh", "5", "JupyterHub: db-password"])
def test_the_secret_s_hub_config_is_refused_without_showing_it(text: str) -> None:
    with pytest.raises(ConfigError) as refused:
        build(hub_config=text)

    assert "the secret 'hub_config'" in str(refused.value)
    assert "oh" not in str(refused.value)
    assert "db-password" not in str(refused.value)


def test_a_service_gets_its_token_from_the_secret() -> None:
    settings = Settings(services=[{"name": "canary", "token": "canary_token"}, {"name": "x", "url": "http://x.svc"}])

    found = build(settings, canary_token="t" * 32)["JupyterHub"]["services"]

    assert found == [{"name": "canary", "api_token": "t" * 32}, {"name": "x", "url": "http://x.svc"}]


def test_a_service_without_its_token_is_refused() -> None:
    with pytest.raises(ConfigError, match="service canary needs the secret 'canary_token'"):
        build(Settings(services=[{"name": "canary", "token": "canary_token"}]))


def test_services_and_roles_are_added_to_those_in_hub_config() -> None:
    settings = Settings(
        hub_config={"JupyterHub": {"services": [{"name": "a"}], "load_roles": [{"name": "r"}]}},
        services=[{"name": "b"}],
        roles=[{"name": "s"}],
    )

    found = build(settings)["JupyterHub"]

    assert [service["name"] for service in found["services"]] == ["a", "b"]
    assert [role["name"] for role in found["load_roles"]] == ["r", "s"]


@pytest.mark.parametrize(
    ("value", "says"),
    [("", "needs the secret 'cookie_secret'"), ("xyz", "must be in hex"), ("abcd", "must be 32 bytes, not 2")],
)
def test_a_cookie_secret_that_is_none_is_refused(value: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        build(cookie_secret=value)


def test_crypt_keys_are_split() -> None:
    first, second = "aa" * 32, "bb" * 32

    assert build(crypt_keys=f"{first};{second};")["CryptKeeper"]["keys"] == [first, second]
    assert "CryptKeeper" not in build()


@pytest.mark.parametrize(
    ("chosen", "uses"),
    [
        ("shared-password", True),
        ("jupyterhub.authenticators.shared.SharedPasswordAuthenticator", True),
        (SharedPasswordAuthenticator, True),
        ("generic-oauth", False),
        ("nativeauthenticator.NativeAuthenticator", False),
        (None, False),
    ],
)
def test_the_passwords_go_to_the_shared_password_authenticator_only(chosen: Any, uses: bool) -> None:
    settings = Settings(hub_config={"JupyterHub": {"authenticator_class": chosen}})

    found = build(settings, admin_password="a" * 32, student_password="s" * 8)

    expected = {"admin_password": "a" * 32, "user_password": "s" * 8} if uses else None
    assert found.get("SharedPasswordAuthenticator") == expected


def test_a_password_in_hub_config_stays() -> None:
    settings = Settings(hub_config={"SharedPasswordAuthenticator": {"user_password": "mine-mine"}})

    found = build(settings, student_password="s" * 8, admin_password="a" * 32)["SharedPasswordAuthenticator"]

    assert found == {"user_password": "mine-mine", "admin_password": "a" * 32}


def test_secrets_are_read_without_what_kubernetes_adds(tmp_path: Path) -> None:
    (tmp_path / "..data").mkdir()
    (tmp_path / ".hidden").write_text("x")
    (tmp_path / "folder").mkdir()
    (tmp_path / "culler_token").write_text("token\n")

    assert config.read_secrets(tmp_path) == {"culler_token": "token"}
    assert config.read_secrets(tmp_path / "none") == {}


def test_snippets_run_in_the_order_of_their_names() -> None:
    c = Config()

    config.run_snippets({"20-b": "c.JupyterHub.base_url += 'b/'", "10-a": "c.JupyterHub.base_url = '/a/'"}, c)

    assert c.JupyterHub.base_url == "/a/b/"


@pytest.mark.parametrize("snippet", ["1/0", "def"])
def test_a_snippet_that_fails_is_named(snippet: str) -> None:
    with pytest.raises(ConfigError, match="extra_config 'mine': "):
        config.run_snippets({"mine": snippet}, Config())


async def test_jupyterhub_takes_all_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret/cookie_secret").write_text("cd" * 32)
    (tmp_path / "secret/student_password").write_text("student-student")
    (tmp_path / "config.yaml").write_text(
        """
name: stats
namespace: teaching
canary_user: canary
hub_config:
  JupyterHub: {concurrent_spawn_limit: 7}
  Authenticator: {allow_all: true, admin_users: [admin]}
  KubeSpawner: {image: campus/singleuser, mem_limit: 2G, profile_list: [{display_name: small}]}
extra_config: {limits: "c.KubeSpawner.cpu_limit = 2"}
"""
    )
    monkeypatch.setenv("CAMPUS_CONFIG_DIR", str(tmp_path))
    for wrapper in (patience, adoption):
        monkeypatch.setattr(wrapper, "install", lambda: None)
    c = Config()

    config.configure(c)

    app = JupyterHub(config=c)
    assert app.cookie_secret == b"\xcd" * 32
    assert app.concurrent_spawn_limit == 7
    assert app.cleanup_servers is False
    assert app.spawner_class.__name__ == "CampusSpawner"
    assert app.proxy_class.__name__ == "EndpointSliceProxy"
    assert app.authenticator_class is SharedPasswordAuthenticator
    assert app.authenticator_class(config=c).user_password == "student-student"
    assert app.authenticator_class(config=c).admin_users == {"admin"}
    assert c.KubeSpawner.namespace == c.EndpointSliceProxy.namespace == "teaching"
    assert c.EndpointSliceProxy.name == "stats"
    assert c.KubeSpawner.cpu_limit == 2
    assert app.extra_handlers[0][0] == "/campus/health$"
