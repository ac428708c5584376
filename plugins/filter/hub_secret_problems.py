# Copyright: campus.jupyterhub contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Say what is wrong with the hub's Secret."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.campus.jupyterhub.plugins.module_utils import _hub_secret

DOCUMENTATION = r"""
name: hub_secret_problems
author:
  - campus.jupyterhub contributors (@campus-jupyterhub)
version_added: 0.1.0
short_description: Say what is wrong with the hub's Secret
description:
  - Checks the Secret as it is in the cluster. The answer names keys, never values.
positional: _input, options
options:
  _input:
    description: The Secret as the cluster knows it, or nothing.
    type: list
    elements: dict
    required: true
  options:
    description: The role's options without their prefix.
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Refuse a Secret that lacks a key
  ansible.builtin.assert:
    that: found.resources | campus.jupyterhub.hub_secret_problems(options) | length == 0
"""

RETURN = r"""
_value:
  description: One sentence for each problem, with what to do about it.
  type: list
  elements: str
"""


class FilterModule:
    """The filter as Ansible finds it."""

    def filters(self) -> dict[str, Any]:
        """Return the filters of this file by name."""
        return {"hub_secret_problems": hub_secret_problems}


def hub_secret_problems(found: Sequence[Mapping[str, Any]], options: Mapping[str, Any]) -> list[str]:
    """Return the problems of the Secret."""
    return _hub_secret.problems(found, options)
