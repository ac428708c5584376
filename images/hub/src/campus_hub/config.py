"""Turn /etc/campus into JupyterHub's configuration."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import yaml

from campus_hub import adoption, database, external, health, patience

CONFIG_DIR = "/etc/campus"
SHARED_PASSWORD = ("shared-password", "SharedPasswordAuthenticator")
PASSWORDS = {"admin_password": "admin_password", "user_password": "student_password"}


class ConfigError(ValueError):
    """A configuration that cannot be used; the message says where and what to do."""


@dataclass(frozen=True)
class Settings:
    """What config.yaml holds. README.md of the image describes each key."""

    name: str = "jupyterhub"
    namespace: str = ""
    agent_namespace: str = ""
    canary_user: str = ""
    hub_config: dict[str, dict[str, Any]] = field(default_factory=dict)
    services: list[dict[str, Any]] = field(default_factory=list)
    roles: list[dict[str, Any]] = field(default_factory=list)
    extra_config: dict[str, str] = field(default_factory=dict)


def read_settings(text: str) -> Settings:
    """Return the settings in a YAML text.

    Raises ConfigError for what is not YAML, an unknown key and a value of a wrong type.
    """
    try:
        found = yaml.safe_load(text) or {}
    except yaml.YAMLError as error:
        raise ConfigError(f"config.yaml is not YAML: {error}") from error
    if not isinstance(found, dict):
        raise ConfigError("config.yaml must hold a mapping")
    known = {item.name for item in fields(Settings)}
    if unknown := sorted(set(found) - known):
        raise ConfigError(f"config.yaml: unknown key {unknown[0]!r}; known are {', '.join(sorted(known))}")
    present = {key: value for key, value in found.items() if value is not None}
    empty = Settings()
    for key, value in present.items():
        if not isinstance(value, type(getattr(empty, key))):
            raise ConfigError(f"config.yaml: {key} must be a {type(getattr(empty, key)).__name__}")
    settings = Settings(**present)
    check_hub_config(settings.hub_config, "hub_config")
    return settings


def check_hub_config(hub_config: Any, where: str) -> dict[str, dict[str, Any]]:
    """Return hub_config if it maps classes to traits. Raises ConfigError."""
    if not isinstance(hub_config, dict):
        raise ConfigError(f"{where} must map classes to their traits")
    for section, traits in hub_config.items():
        if not isinstance(traits, dict):
            raise ConfigError(f"{where}.{section} must map traits to values")
    return hub_config


def read_secrets(folder: Path) -> dict[str, str]:
    """Return file name → content of the files in a mounted Secret; Kubernetes' own hidden entries are left out."""
    if not folder.is_dir():
        return {}
    return {
        path.name: path.read_text().strip()
        for path in sorted(folder.iterdir())
        if not path.name.startswith(".") and path.is_file()
    }


def defaults(settings: Settings) -> dict[str, dict[str, Any]]:
    """Return what holds unless hub_config says otherwise."""
    from campus_hub.proxy import EndpointSliceProxy  # noqa: PLC0415  (loads the Kubernetes client, which the pure parts do not need)
    from campus_hub.spawner import CampusSpawner  # noqa: PLC0415

    namespace = {"namespace": settings.namespace} if settings.namespace else {}
    agents = {"agent_namespace": settings.agent_namespace} if settings.agent_namespace else {}
    return {
        "JupyterHub": {
            "hub_bind_url": "http://0.0.0.0:8081",
            "hub_connect_url": "http://hub:8081",
            "db_url": "sqlite:////srv/jupyterhub/jupyterhub.sqlite",
            "authenticator_class": "shared-password",
            "spawner_class": CampusSpawner,
            "proxy_class": EndpointSliceProxy,
            # A hub that goes away takes no server with it.
            "cleanup_servers": False,
            # Show the progress page at once instead of a blank one.
            "tornado_settings": {"slow_spawn_timeout": 0},
        },
        # A cluster without room for some students is no reason to restart the hub of all.
        "Spawner": {"consecutive_failure_limit": 0},
        "KubeSpawner": {
            "pvc_name_template": "claim-{user_server}",
            "storage_pvc_ensure": True,
            "volumes": {"home": {"name": "home", "persistentVolumeClaim": {"claimName": "{pvc_name}"}}},
            "volume_mounts": {"home": {"name": "home", "mountPath": "/home/jovyan"}},
            **namespace,
        },
        "CampusSpawner": {"canary_user": settings.canary_user},
        "EndpointSliceProxy": {"name": settings.name, **namespace, **agents},
    }


def merge(*layers: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return the classes and traits of all layers; a later layer's trait replaces an earlier one's."""
    merged: dict[str, dict[str, Any]] = {}
    for layer in layers:
        for section, traits in layer.items():
            merged.setdefault(section, {}).update(traits)
    return merged


def services(declared: list[dict[str, Any]], secrets: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return the services with their tokens in place of the names of the files.

    Raises ConfigError for a missing file.
    """
    return [
        {key: value for key, value in service.items() if key != "token"}
        | (
            {"api_token": _secret(secrets, service["token"], f"service {service.get('name')}")}
            if "token" in service
            else {}
        )
        for service in declared
    ]


def _secret(secrets: Mapping[str, str], key: str, what: str) -> str:
    if not secrets.get(key):
        raise ConfigError(f"{what} needs the secret {key!r}, which is missing or empty")
    return secrets[key]


def secret_traits(config: Mapping[str, Mapping[str, Any]], secrets: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """Return the traits that come from the Secret.

    Raises ConfigError for a cookie secret that is missing or not 32 bytes in hex.
    """
    try:
        cookie_secret = bytes.fromhex(_secret(secrets, "cookie_secret", "JupyterHub"))
    except ValueError as error:
        raise (
            error if isinstance(error, ConfigError) else ConfigError("the secret 'cookie_secret' must be in hex")
        ) from error
    if len(cookie_secret) != 32:
        raise ConfigError(f"the secret 'cookie_secret' must be 32 bytes, not {len(cookie_secret)}")
    found: dict[str, dict[str, Any]] = {"JupyterHub": {"cookie_secret": cookie_secret}}
    if keys := [key.strip() for key in secrets.get("crypt_keys", "").split(";") if key.strip()]:
        found["CryptKeeper"] = {"keys": keys}
    if uses_shared_password(config["JupyterHub"]["authenticator_class"]):
        given = config.get("SharedPasswordAuthenticator", {})
        found["SharedPasswordAuthenticator"] = {
            trait: secrets[key] for trait, key in PASSWORDS.items() if trait not in given and secrets.get(key)
        }
    return found


def uses_shared_password(authenticator_class: Any) -> bool:
    """Say whether authenticator_class (a short name, a dotted one, a class) is the SharedPasswordAuthenticator."""
    name = authenticator_class if isinstance(authenticator_class, str) else getattr(authenticator_class, "__name__", "")
    return name.rsplit(".", 1)[-1] in SHARED_PASSWORD


def build(
    settings: Settings, secrets: Mapping[str, str], base: Mapping[str, Mapping[str, Any]]
) -> dict[str, dict[str, Any]]:
    """Return every class and trait to set: base, hub_config, the Secret's own hub_config, secrets, services."""
    try:
        hidden = check_hub_config(yaml.safe_load(secrets.get("hub_config", "")) or {}, "the secret 'hub_config'")
    except yaml.YAMLError:
        # Its text is secret, so the parser's words about it are not shown.
        raise ConfigError("the secret 'hub_config' is not YAML") from None
    config = merge(base, settings.hub_config, hidden)
    config = merge(config, secret_traits(config, secrets))
    hub = config["JupyterHub"]
    hub["services"] = [*hub.get("services", []), *services(settings.services, secrets)]
    hub["load_roles"] = [*hub.get("load_roles", []), *settings.roles]
    hub["extra_handlers"] = [*hub.get("extra_handlers", []), *health.HANDLERS]
    hub.setdefault("db_kwargs", database.connection(str(hub["db_url"])))
    # JupyterHub copies a sqlite file before it changes it; of another database the operator has a dump.
    hub.setdefault("upgrade_db", str(hub["db_url"]).startswith("sqlite"))
    return config


def run_snippets(snippets: Mapping[str, str], c: Any) -> None:
    """Run the snippets of extra_config in the order of their names.

    Raises ConfigError that names the one that failed.
    """
    for name in sorted(snippets):
        try:
            exec(compile(snippets[name], f"extra_config/{name}", "exec"), {"c": c, "get_config": lambda: c})
        except Exception as error:
            raise ConfigError(f"extra_config {name!r}: {type(error).__name__}: {error}") from error


def configure(c: Any) -> None:
    """Apply the folder's configuration onto a traitlets Config. Raises ConfigError."""
    folder = Path(os.environ.get("CAMPUS_CONFIG_DIR", CONFIG_DIR))
    secret_folder = Path(os.environ.get("CAMPUS_SECRET_DIR", folder / "secret"))
    path = folder / "config.yaml"
    settings = read_settings(path.read_text() if path.exists() else "")
    patience.install()
    adoption.install()
    database.install()
    external.install()
    for section, traits in build(settings, read_secrets(secret_folder), defaults(settings)).items():
        for trait, value in traits.items():
            c[section][trait] = value
    run_snippets(settings.extra_config, c)
