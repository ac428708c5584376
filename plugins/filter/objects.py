# Copyright: campus.jupyterhub contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Read rendered manifests, and keep the values of Secrets apart from everything that may be logged."""

from __future__ import annotations

import base64
from typing import Any

import yaml
from ansible.errors import AnsibleFilterError

DOCUMENTATION = r"""
name: objects
author:
  - campus.jupyterhub contributors (@campus-jupyterhub)
version_added: 0.1.0
short_description: Read the objects out of rendered manifests
description:
  - Parses YAML texts of any number of documents.
  - The values of Secrets are taken out and returned apart, for an argument that is never logged.
positional: _input
options:
  _input:
    description: The rendered texts.
    type: list
    elements: str
    required: true
"""

EXAMPLES = r"""
- name: Apply a template
  campus.jupyterhub.apply:
    objects: "{{ read.objects }}"
    secret_values: "{{ read.secret_values }}"
  vars:
    read: "{{ query('ansible.builtin.template', 'config.yml.j2') | campus.jupyterhub.objects }}"
"""

RETURN = r"""
_value:
  description: The objects in C(objects), and the values of Secrets in C(secret_values), by name and key.
  type: dict
"""

Json = dict[str, Any]


def parse(text: str | None) -> list[Json]:
    """Return the objects of a multi-document YAML text; raises AnsibleFilterError when one is no Kubernetes object.

    A template of which nothing was left is None to Ansible.
    """
    try:
        documents = [document for document in yaml.safe_load_all(str(text or "")) if document]
    except yaml.YAMLError as error:
        raise AnsibleFilterError(f"Could not read a rendered manifest: {error}") from error
    for document in documents:
        named = isinstance(document, dict) and document.get("kind") and (document.get("metadata") or {}).get("name")
        if not named or not document.get("apiVersion"):
            raise AnsibleFilterError("Could not read a rendered manifest: it has no apiVersion, kind or name.")
    return documents


def take_values(secret: Json) -> dict[str, str]:
    """Take the values out of a Secret and return them, base64-encoded."""
    plain = secret.pop("stringData", None) or {}
    encoded = secret.pop("data", None) or {}
    return {**encoded, **{key: base64.b64encode(str(value).encode()).decode() for key, value in plain.items()}}


def objects(texts: list[str | None]) -> Json:
    """Return the objects, and the values of Secrets apart."""
    found = [document for text in texts for document in parse(text)]
    values = {item["metadata"]["name"]: take_values(item) for item in found if item["kind"] == "Secret"}
    return {"objects": found, "secret_values": values}


class FilterModule:
    """The filter as Ansible finds it."""

    def filters(self) -> Json:
        """Return the filters of this file by name."""
        return {"objects": objects}
