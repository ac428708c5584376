# Copyright: campus.jupyterhub contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Say what is wrong with the options of the role hub."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.campus.jupyterhub.plugins.module_utils import _hub_problems

DOCUMENTATION = r"""
name: hub_problems
author:
  - campus.jupyterhub contributors (@campus-jupyterhub)
version_added: 0.1.0
short_description: Say what is wrong with the options of the role hub
description:
  - Checks everything that can be known without asking the cluster.
positional: _input, schema
options:
  _input:
    description: The role's options without their prefix.
    type: dict
    required: true
  schema:
    description: Classes and traits that the hub's image has.
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Refuse wrong options
  ansible.builtin.assert:
    that: options | campus.jupyterhub.hub_problems(schema) | length == 0
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
        return {"hub_problems": hub_problems}


def hub_problems(options: Mapping[str, Any], schema: Mapping[str, Any]) -> list[str]:
    """Return the problems of the options."""
    return _hub_problems.problems(options, schema)
