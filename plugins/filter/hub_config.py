# Copyright: campus.jupyterhub contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Turn the options of the role hub into JupyterHub's configuration."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.campus.jupyterhub.plugins.module_utils import _hub_config

DOCUMENTATION = r"""
name: hub_config
author:
  - campus.jupyterhub contributors (@campus-jupyterhub)
version_added: 0.1.0
short_description: Turn the options of the role hub into JupyterHub's configuration
description:
  - Builds the mapping of class to trait to value and lays the user's own over it.
  - The options have to be free of problems, see P(campus.jupyterhub.hub_problems#filter).
positional: _input
options:
  _input:
    description: The role's options without their prefix.
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: The traits that go into the ConfigMap
  ansible.builtin.debug:
    msg: "{{ (options | campus.jupyterhub.hub_config).config.hub_config }}"
"""

RETURN = r"""
_value:
  description:
    - C(config) for the ConfigMap, C(private) for a Secret, and what the manifests need to know besides,
      C(base_path), C(student_port), C(database_port) and C(images).
  type: dict
"""


class FilterModule:
    """The filter as Ansible finds it."""

    def filters(self) -> dict[str, Any]:
        """Return the filters of this file by name."""
        return {"hub_config": hub_config}


def hub_config(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the configuration that follows from the options."""
    return _hub_config.build(options)
