# Copyright: campus.jupyterhub contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What is wrong with hub_config and what goes with it, beyond the names and kinds that the schema knows."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from ansible_collections.campus.jupyterhub.plugins.module_utils import _hub_config, _hub_schema

_VOLUME: Final = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
# Traits that follow from an option of the role, and the option to use.
_OPTION_FOR: Final = {
    ("JupyterHub", "db_url"): "hub_db_url",
    ("JupyterHub", "base_url"): "jupyterhub_url",
    ("JupyterHub", "bind_url"): "jupyterhub_url",
    ("JupyterHub", "public_url"): "jupyterhub_url",
    ("JupyterHub", "subdomain_host"): "hub_subdomain_host",
    ("JupyterHub", "cookie_secret"): "hub_secrets",
    ("CryptKeeper", "keys"): "hub_secrets",
}
# Traits that must keep our value: the words say why.
_FIXED: Final = {
    ("JupyterHub", "proxy_class"): "the collection's proxy is the only one that it runs",
    ("JupyterHub", "hub_bind_url"): "the Service and the network policies rely on port 8081",
    ("JupyterHub", "hub_ip"): "the Service and the network policies rely on port 8081",
    ("JupyterHub", "hub_port"): "the Service and the network policies rely on port 8081",
}
# Traits that must not be switched on.
_OFF: Final = {
    ("JupyterHub", "internal_ssl"): "the replicated proxy speaks plain HTTP to students' servers",
    ("KubeSpawner", "delete_pvc"): "a student's disk must outlive the student's account",
    ("KubeSpawner", "enable_user_namespaces"): "the hub has rights in its own namespace only",
}
_LETS_IN: Final = re.compile(r"allow_all|allow_existing_users|allowed_\w+|admin_users|any_allow_config|open_signup")


def problems(options: Mapping[str, Any], schema: Mapping[str, Any]) -> Iterator[str]:
    """One sentence for each problem; arguments as for _hub_problems.problems."""
    yield from _hub_schema.problems(options["config"], schema, options["extra_classes"])
    yield from _reserved(options["config"])
    yield from _services(options)
    yield from _login(options)
    yield from _profiles(options, schema)
    yield from _volumes(options)
    yield from _python(options["extra_config"])


def _reserved(config: Mapping[str, Any]) -> Iterator[str]:
    for cls, traits in config.items():
        for trait, value in traits.items() if isinstance(traits, Mapping) else ():
            for key in ((member, trait) for member in _hub_config.family(cls)):
                if key in _OPTION_FOR:
                    yield f"hub_config sets {cls}.{trait}; use {_OPTION_FOR[key]} instead."
                elif key in _FIXED:
                    yield f"hub_config sets {cls}.{trait}; leave it out, since {_FIXED[key]}."
                elif key in _OFF and value:
                    yield f"hub_config switches {cls}.{trait} on; leave it off, since {_OFF[key]}."


def _services(options: Mapping[str, Any]) -> Iterator[str]:
    ours = {name for name, on in (("idle-culler", options["cull"]), ("canary", options["canary"])) if on}
    switch = {"idle-culler": "hub_cull", "canary": "hub_canary"}
    hub = options["config"].get("JupyterHub") or {}
    for trait in ("services", "load_roles"):
        items = hub.get(trait) if isinstance(hub, Mapping) else None
        names = {str(item.get("name")) for item in items or () if isinstance(item, Mapping)}
        for name in sorted(names & ours):
            yield (
                f"hub_config: JupyterHub.{trait} defines {name!r}, which the role defines as well;"
                f" rename it or set {switch[name]}: false."
            )


def _login(options: Mapping[str, Any]) -> Iterator[str]:
    ours = {"Authenticator": _hub_config.authenticator(options)}
    merged = _hub_config.merge(ours, _sound(options["config"]))
    set_traits = [
        (trait, value)
        for cls, traits in merged.items()
        if cls.endswith("Authenticator")
        for trait, value in traits.items()
    ]
    known = not options["extra_classes"] and not options["extra_config"]
    if known and not any(value and _LETS_IN.fullmatch(trait) for trait, value in set_traits):
        yield "Nobody could log in; name people in hub_admin_users or hub_allowed_users, or set hub_allow_all: true."
    admins = next((value for trait, value in set_traits if trait == "admin_users"), None) or []
    if options["canary"] and options["canary_user"] in admins:
        yield (
            f"The smoke test's user {options['canary_user']!r} is in hub_admin_users;"
            " take it out or choose another hub_canary_user."
        )


def _profiles(options: Mapping[str, Any], schema: Mapping[str, Any]) -> Iterator[str]:
    known = _hub_schema.traits_of("KubeSpawner", schema)
    if "CampusSpawner" in schema["classes"]:
        known |= _hub_schema.traits_of("CampusSpawner", schema)
    for number, profile in enumerate(options["profiles"], start=1):
        if not profile.get("display_name"):
            yield f"hub_profiles: profile {number} has no display_name; give it the name that students choose it by."
        for trait in _hub_config.overridden(profile):
            if trait not in known:
                near = _hub_schema.nearest(trait, known)
                yield f"hub_profiles: profile {number}: KubeSpawner has no trait {trait!r}{near}; correct the name."


def _volumes(options: Mapping[str, Any]) -> Iterator[str]:
    volumes = [volume.get("name", "") for volume in options["student_volumes"]]
    for name in volumes:
        if not _VOLUME.fullmatch(name) or name == "home" or volumes.count(name) > 1:
            yield (
                f"hub_student_volumes: {name!r} cannot name a volume;"
                " use lower-case letters, digits and '-', each name once, and not 'home'."
            )
    for mount in options["student_volume_mounts"]:
        if mount.get("name") not in [*volumes, "home"]:
            yield f"hub_student_volume_mounts: no volume is named {mount.get('name')!r}; see hub_student_volumes."
        if not str(mount.get("mountPath", "")).startswith("/"):
            yield f"hub_student_volume_mounts: {mount.get('name')!r} has no absolute mountPath; add one such as /data."


def _python(extra_config: Mapping[str, str]) -> Iterator[str]:
    for name, source in extra_config.items():
        try:
            ast.parse(source)
        except SyntaxError as error:
            yield f"hub_extra_config: {name!r} is not Python, line {error.lineno}: {error.msg}; correct it."


def _sound(config: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    return {cls: traits for cls, traits in config.items() if isinstance(traits, Mapping)}
