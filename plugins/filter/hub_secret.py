# Copyright: campus.jupyterhub contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Complete the hub's Secret."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.campus.jupyterhub.plugins.module_utils import _hub_secret

DOCUMENTATION = r"""
name: hub_secret
author:
  - campus.jupyterhub contributors (@campus-jupyterhub)
version_added: 0.1.0
short_description: Complete the hub's Secret
description:
  - Keeps every value of the Secret that is there, and draws at random what is missing.
positional: _input
options:
  _input:
    description: The Secret as the cluster knows it, or nothing.
    type: list
    elements: dict
    required: true
  given:
    description: Values that come before those of the Secret, in clear text.
    type: dict
    default: {}
  draw:
    description: Whether missing values are drawn.
    type: bool
    default: true
"""

EXAMPLES = r"""
- name: Draw the values once
  ansible.builtin.set_fact:
    data: "{{ found.resources | campus.jupyterhub.hub_secret(given={'student_password': 'a long one'}) }}"
  no_log: true
"""

RETURN = r"""
_value:
  description: The data of the Secret, values encoded in base64.
  type: dict
"""


class FilterModule:
    """The filter as Ansible finds it."""

    def filters(self) -> dict[str, Any]:
        """Return the filters of this file by name."""
        return {"hub_secret": hub_secret}


def hub_secret(
    found: Sequence[Mapping[str, Any]], given: Mapping[str, str] | None = None, draw: bool = True
) -> dict[str, str]:
    """Return the complete data of the Secret."""
    return _hub_secret.complete(_hub_secret.data_of(found), given or {}, draw)
