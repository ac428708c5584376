# Copyright: campus.jupyterhub contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""From the module's options and the hub's Secret to a smoke test that can be run.

Private to the collection: it may change in any release.
"""

from __future__ import annotations

import base64
import importlib.util
from pathlib import Path
from typing import Any

from ansible.module_utils.common.yaml import yaml_load
from ansible_collections.campus.jupyterhub.plugins.module_utils._cluster import ClusterError
from ansible_collections.campus.jupyterhub.plugins.module_utils._cluster_verbs import Gets
from ansible_collections.campus.jupyterhub.plugins.module_utils._smoke_test import SmokeTest

ARGUMENTS: dict[str, Any] = {
    "url": {"type": "str", "required": True},
    "namespace": {"type": "str", "required": True},
    "user": {"type": "str", "default": "canary"},
    "login": {"type": "str", "choices": ["auto", "form", "token"], "default": "auto"},
    "secret": {"type": "str", "default": "hub-secret", "no_log": False},
    "config": {"type": "str", "default": "hub-config"},
    "timeout": {"type": "int", "default": 180},
    "log_lines": {"type": "int", "default": 15},
    "url_validate_certs": {"type": "bool", "default": True},
    "url_ca_path": {"type": "path"},
    "connect_to": {"type": "str", "default": ""},
    "proxy_namespace": {"type": "str", "default": ""},
}

SELF_SIGNED = "proxy-self-signed"
SHARED_PASSWORD = ("shared-password", "SharedPasswordAuthenticator")


def needed(cluster: Gets, kind: str, name: str, namespace: str) -> dict[str, str]:
    """Return the data of a ConfigMap or Secret; raises ClusterError when it is not there."""
    found = cluster.get(kind, name, namespace)
    if not found:
        hint = "Run the playbook that brings up the hub first."
        raise ClusterError("read", f"{kind} {namespace}/{name}", "it is not there", hint, 404)
    return found.get("data") or {}


def has_shared_password(config: str) -> bool:
    """Say whether the hub's configuration, a YAML text, chooses JupyterHub's shared password."""
    chosen = ((yaml_load(config) or {}).get("hub_config") or {}).get("JupyterHub") or {}
    return str(chosen.get("authenticator_class", "")).endswith(SHARED_PASSWORD)


def own_certificate(cluster: Gets, namespace: str) -> str:
    """Return the certificate, as PEM, of a proxy that signed its own; empty when it serves another or none."""
    deployment = cluster.get("Deployment", "proxy", namespace, "apps/v1") or {}
    volumes = deployment.get("spec", {}).get("template", {}).get("spec", {}).get("volumes") or []
    if SELF_SIGNED not in [(volume.get("secret") or {}).get("secretName") for volume in volumes]:
        return ""
    return base64.b64decode(needed(cluster, "Secret", SELF_SIGNED, namespace).get("tls.crt", "")).decode()


def smoke_test(cluster: Gets, options: dict[str, Any], folder: str) -> SmokeTest:
    """Return the smoke test that the options describe; raises ClusterError when something for it is missing.

    ``folder`` is for the certificate of a proxy that signed its own: nobody else could say that it is the right one.
    """
    if importlib.util.find_spec("websocket") is None:
        raise ClusterError("try", options["url"], "websocket-client is not installed", "pip install websocket-client")
    namespace = options["namespace"]
    login = options["login"]
    if login == "auto":
        config = needed(cluster, "ConfigMap", options["config"], namespace).get("config.yaml", "")
        login = "form" if has_shared_password(config) else "token"
    secret = needed(cluster, "Secret", options["secret"], namespace)
    keys = ["canary_token", "student_password"] if login == "form" else ["canary_token"]
    values = {key: base64.b64decode(secret.get(key, "")).decode() for key in keys}
    for key in keys:
        if not values[key]:
            what, hint = f"Secret {namespace}/{options['secret']}", "Run the playbook that brings up the hub again."
            raise ClusterError("read", what, f"it has no {key}", hint)
    ca_path = options["url_ca_path"]
    own = "" if ca_path else own_certificate(cluster, options["proxy_namespace"] or namespace)
    if own:
        ca_path = str(Path(folder, "proxy.pem"))
        Path(ca_path).write_text(own, encoding="ascii")
    return SmokeTest(
        url=options["url"],
        user=options["user"],
        token=values["canary_token"],
        password=values.get("student_password", ""),
        seconds=options["timeout"],
        validate_certs=options["url_validate_certs"],
        ca_path=ca_path,
        connect_to=options["connect_to"],
    )
