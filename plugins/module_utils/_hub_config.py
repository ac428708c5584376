# Copyright: campus.jupyterhub contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""From the options of the role hub to JupyterHub's own configuration: class -> trait -> value."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from copy import deepcopy
from typing import Any, Final
from urllib.parse import urlsplit

from ansible_collections.campus.jupyterhub.plugins.module_utils import _quantity

Traits = dict[str, dict[str, Any]]

HUB_PORT: Final = 8081
STUDENT_PORT: Final = 8888
STUDENT_ID: Final = 1000
STARTS_AT_ONCE: Final = 300
HOME: Final = "/home/jovyan"
DB_FOLDER: Final = "/srv/jupyterhub"
FILES_HISTORY: Final = "files-history"
"""The service that shows students their snapshots; its pod's Service has the same name."""
FILES_HISTORY_PORT: Final = 8080
FILES_HISTORY_SCOPE: Final = f"access:services!service={FILES_HISTORY}"

# Classes that configure one and the same object; traitlets lets the later one win.
FAMILIES: Final = (
    ("Spawner", "KubeSpawner", "CampusSpawner"),
    ("Authenticator", "SharedPasswordAuthenticator"),
    ("Proxy", "EndpointSliceProxy"),
)
# LTI11Authenticator.consumers maps keys to secrets.
_SENSITIVE: Final = re.compile(
    r"secret|password|passwd|api_token|access_token|private_key|credential|^consumers$", re.IGNORECASE
)
_NOT_SENSITIVE: Final = re.compile(r"(url|file|path|name|template|pull_secret)s?$", re.IGNORECASE)


def build(options: Mapping[str, Any]) -> dict[str, Any]:
    """What the hub's pod and the manifests need to know.

    Args:
        options: the role's options without their prefix; shared ones as name, namespace and url.

    Returns:
        config: for the ConfigMap: what the hub's image reads as config.yaml.
        private: for a Secret: the traits of hub_config that hold secrets.
        base_path: path of the hub's pages, with a slash at both ends.
        database_port: TCP port of the database server; 0 for sqlite.
        student_port: port of a student's server.
        images: images that students' servers may use.
    """
    merged = merge(defaults(options), options["config"])
    if options["files_history"]:
        # Beside those that the user names, which would replace a default.
        hub = merged["JupyterHub"]
        hub["extra_user_scopes"] = sorted({*hub.get("extra_user_scopes", ()), FILES_HISTORY_SCOPE})
    public, private = split(merged)
    config = {
        "name": options["name"],
        "namespace": options["namespace"],
        "agent_namespace": options["proxy_namespace"],
        "canary_user": options["canary_user"] if options["canary"] else "",
        "hub_config": public,
        "services": _services(options),
        "roles": _roles(options),
        "extra_config": dict(options["extra_config"]),
    }
    return {
        "config": config,
        "private": private,
        "base_path": base_path(options["url"]),
        "database_port": database_port(options["db_url"]),
        "student_port": effective(merged, "Spawner", "port", STUDENT_PORT) or STUDENT_PORT,
        "images": images(merged),
    }


def defaults(options: Mapping[str, Any]) -> Traits:
    """The configuration that follows from the options alone."""
    callback = {"oauth_callback_url": _with_slash(options["url"]) + "hub/oauth_callback"} if options["url"] else {}
    return {
        "JupyterHub": _hub(options),
        "Authenticator": authenticator(options),
        "OAuthenticator": callback,
        "Spawner": _spawner(options),
        "KubeSpawner": _kube_spawner(options),
    }


def authenticator(options: Mapping[str, Any]) -> dict[str, Any]:
    """Who may log in, and who administers."""
    return {
        "admin_users": list(options["admin_users"]),
        "allowed_users": list(options["allowed_users"]),
        "allow_all": options["allow_all"],
    }


def base_path(url: str) -> str:
    """Path part of the public URL, with a slash at both ends."""
    path = urlsplit(url).path.strip("/")
    return f"/{path}/" if path else "/"


def database_url(url: str) -> str:
    """The URL as SQLAlchemy needs it; PostgreSQL gets the driver that the hub's image carries."""
    if not url:
        return f"sqlite:///{DB_FOLDER}/jupyterhub.sqlite"
    return re.sub(r"^postgres(?:ql)?://", "postgresql+psycopg://", url)


def database_port(url: str) -> int:
    """TCP port of the database server, the usual one where the URL has none; 0 for sqlite."""
    parts = urlsplit(url)
    if not url or parts.scheme.startswith("sqlite"):
        return 0
    return parts.port or (3306 if parts.scheme.startswith(("mysql", "mariadb")) else 5432)


def images(config: Traits) -> list[str]:
    """Every image that a student's server may start from, the default one first."""
    default = effective(config, "KubeSpawner", "image", "")
    profiles = effective(config, "KubeSpawner", "profile_list", [])
    found = [default, *(override.get("image") for override in _overrides(profiles))]
    # A template such as "{value}" is filled in by the student.
    return list(dict.fromkeys(image for image in found if image and "{" not in image))


def overridden(profile: Mapping[str, Any]) -> list[str]:
    """Traits of the spawner that a profile or one of its options changes."""
    return list(dict.fromkeys(trait for override in _overrides(profile) for trait in override))


def effective(config: Traits, cls: str, trait: str, default: Any) -> Any:
    """The value that a trait of a family of classes ends up with."""
    for member in reversed(family(cls)):
        if trait in config.get(member, {}):
            return config[member][trait]
    return default


def merge(ours: Traits, user: Mapping[str, Mapping[str, Any]]) -> Traits:
    """The user's configuration over ours, mappings merged deeply.

    A trait that the user sets on another class of the same family (Spawner.environment, KubeSpawner.environment) moves
    there, so that ours neither hides the user's value nor is lost.
    """
    merged = deepcopy(ours)
    for cls, traits in user.items():
        for trait, value in (traits or {}).items():
            home = next((member for member in family(cls) if trait in merged.get(member, {})), cls)
            before = merged.get(home, {}).pop(trait, None)
            merged.setdefault(cls, {})[trait] = _deep(before, value)
    return {cls: traits for cls, traits in merged.items() if traits}


def split(config: Traits) -> tuple[Traits, Traits]:
    """Traits that may be read by anyone who may read the ConfigMap, and traits that hold a secret in clear text."""
    public: Traits = {}
    private: Traits = {}
    for cls, traits in config.items():
        for trait, value in traits.items():
            target = private if _holds_secret(trait, value) or (cls, trait) == ("JupyterHub", "db_url") else public
            target.setdefault(cls, {})[trait] = value
    return public, private


def _hub(options: Mapping[str, Any]) -> dict[str, Any]:
    hub: dict[str, Any] = {
        "base_url": base_path(options["url"]),
        "hub_bind_url": f"http://:{HUB_PORT}",
        "hub_connect_url": f"http://hub:{HUB_PORT}",
        "authenticator_class": options["authenticator"],
        "spawner_class": "campus_hub.spawner.CampusSpawner",
        "proxy_class": "campus_hub.proxy.EndpointSliceProxy",
        "db_url": database_url(options["db_url"]),
        # Students' servers outlive the hub.
        "cleanup_servers": False,
        # The page that shows the progress of a start comes at once.
        "tornado_settings": {"slow_spawn_timeout": 0},
        "allow_named_servers": options["named_servers"] > 0,
        "named_server_limit_per_user": options["named_servers"],
        # A whole lecture may begin at once; whoever is beyond this number is sent away for half a minute or more.
        "concurrent_spawn_limit": STARTS_AT_ONCE,
    }
    if options["subdomain_host"]:
        hub["subdomain_host"] = options["subdomain_host"].rstrip("/")
    if options["subdomain_host"] or (options["url"] and not _is_loopback(options["url"])):
        hub["public_url"] = _with_slash(options["url"])
    return hub


def _services(options: Mapping[str, Any]) -> list[dict[str, Any]]:
    services: list[dict[str, Any]] = []
    if options["cull"]:
        command = [
            "python3",
            "-m",
            "jupyterhub_idle_culler",
            f"--url=http://127.0.0.1:{HUB_PORT}{base_path(options['url'])}hub/api",
            f"--timeout={options['cull_timeout']}",
            f"--cull-every={options['cull_every']}",
            f"--max-age={options['cull_max_age']}",
        ]
        services.append({"name": "idle-culler", "token": "culler_token", "command": command})
    if options["canary"]:
        services.append({"name": "canary", "token": "canary_token"})
    if options["files_history"]:
        # It learns who somebody is and nothing else, so nobody has to be asked whether it may.
        url = f"http://{FILES_HISTORY}.{options['namespace']}:{FILES_HISTORY_PORT}"
        token = {"token": "files_history_token", "oauth_no_confirm": True}
        services.append({"name": FILES_HISTORY, "url": url, **token})
    return services


def _roles(options: Mapping[str, Any]) -> list[dict[str, Any]]:
    roles: list[dict[str, Any]] = []
    if options["cull"]:
        scopes = ["list:users", "read:users:activity", "read:servers", "delete:servers"]
        roles.append({"name": "idle-culler", "services": ["idle-culler"], "scopes": scopes})
    if options["canary"]:
        only = f"!user={options['canary_user']}"
        scopes = [scope + only for scope in ("admin:users", "read:users", "servers", "access:servers")]
        roles.append({"name": "canary", "services": ["canary"], "scopes": scopes})
    return roles


def _spawner(options: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "default_url": "/lab",
        "start_timeout": options["student_start_timeout"],
        "http_timeout": options["student_http_timeout"],
        "cpu_guarantee": cores(options["student_cpu_guarantee"]),
        "cpu_limit": cores(options["student_cpu_limit"]),
        "mem_guarantee": size(options["student_memory_guarantee"]),
        "mem_limit": size(options["student_memory_limit"]),
        "environment": {"CAMPUS_HUB_AUTH_GRACE": str(options["auth_grace"]), **options["student_env"]},
    }


def _kube_spawner(options: Mapping[str, Any]) -> dict[str, Any]:
    volumes = {volume["name"]: volume for volume in options["student_volumes"]}
    mounts = {mount["mountPath"].strip("/"): mount for mount in options["student_volume_mounts"]}
    return {
        "namespace": options["namespace"],
        "image": options["singleuser_image"],
        "image_pull_policy": options["image_pull_policy"],
        "image_pull_secrets": list(options["image_pull_secrets"]),
        # What Pod Security "restricted" asks for.
        "uid": STUDENT_ID,
        "gid": STUDENT_ID,
        "fs_gid": STUDENT_ID,
        "allow_privilege_escalation": False,
        "automount_service_account_token": False,
        "container_security_context": {"capabilities": {"drop": ["ALL"]}},
        "pod_security_context": {
            "runAsNonRoot": True,
            "seccompProfile": {"type": "RuntimeDefault"},
            # A full disk with many files must not be walked at every start.
            "fsGroupChangePolicy": "OnRootMismatch",
        },
        "extra_pod_config": {"enableServiceLinks": False},
        # Seconds. When many start at once, hub and API server are slow: no reason to give a start up before its time.
        "k8s_api_request_timeout": 10,
        "k8s_api_request_retry_timeout": options["student_start_timeout"],
        "storage_pvc_ensure": True,
        "delete_pvc": False,
        "pvc_name_template": "claim-{user_server}",
        "storage_capacity": str(options["student_disk_size"]),
        "storage_class": options["storage_class"] or None,
        "storage_access_modes": ["ReadWriteOnce"],
        "volumes": {"home": {"name": "home", "persistentVolumeClaim": {"claimName": "{pvc_name}"}}, **volumes},
        "volume_mounts": {"home": {"name": "home", "mountPath": HOME}, **mounts},
        "node_selector": dict(options["student_node_selector"]),
        "tolerations": list(options["student_tolerations"]),
        "profile_list": list(options["profiles"]),
    }


def _is_loopback(url: str) -> bool:
    """Whether only this machine knows it: people then also use another name or a tunnel, so links stay relative."""
    host = urlsplit(url).hostname or ""
    return host in {"localhost", "::1"} or host.startswith("127.")


def _with_slash(url: str) -> str:
    return url.rstrip("/") + "/"


def cores(quantity: object) -> float | None:
    """CPU cores of a quantity; none when it is empty or 0.

    Raises:
        ValueError: not a quantity, or below zero; the message is one sentence.
    """
    if not _given(quantity):
        return None
    number = float(_quantity.parse(quantity))
    if number < 0:
        raise ValueError(f"{quantity!r} is below zero; use 0 for none.")
    return number


def size(quantity: object) -> int | None:
    """Bytes of a quantity; none when it is empty or 0.

    Raises:
        ValueError: not a quantity, or below zero; the message is one sentence.
    """
    return _quantity.to_bytes(quantity) if _given(quantity) else None


def _given(quantity: object) -> bool:
    return str(quantity or "") not in {"", "0"}


def family(cls: str) -> tuple[str, ...]:
    """The classes whose traits reach the same object as those of this class."""
    for family in FAMILIES:
        if cls in family:
            return family
    return ("Authenticator", cls) if cls.endswith("Authenticator") else (cls,)


def _deep(before: object, after: object) -> Any:
    if not isinstance(before, Mapping) or not isinstance(after, Mapping):
        return deepcopy(after)
    return {**before, **{key: _deep(before.get(key), value) for key, value in after.items()}}


def _holds_secret(name: str, value: object) -> bool:
    """Whether a trait is a secret, or text deep inside it is; passwords may also be the keys of a mapping."""
    return (bool(value) and not isinstance(value, bool) and _is_sensitive(name)) or _text_is_secret(name, value)


def _text_is_secret(name: str, value: object) -> bool:
    if isinstance(value, Mapping):
        return any(_text_is_secret(str(key), item) for key, item in value.items())
    if isinstance(value, list):
        return any(_text_is_secret(name, item) for item in value)
    return isinstance(value, str) and value != "" and _is_sensitive(name)


def _is_sensitive(name: str) -> bool:
    return bool(_SENSITIVE.search(name)) and not _NOT_SENSITIVE.search(name)


def _overrides(profiles: object) -> Iterator[Mapping[str, Any]]:
    """Every kubespawner_override in profiles and their options."""
    if isinstance(profiles, Mapping):
        override = profiles.get("kubespawner_override")
        if isinstance(override, Mapping):
            yield override
        for key, value in profiles.items():
            if key != "kubespawner_override":
                yield from _overrides(value)
    elif isinstance(profiles, list):
        for profile in profiles:
            yield from _overrides(profile)
