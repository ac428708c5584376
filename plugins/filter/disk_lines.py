# Copyright: campus.jupyterhub contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Show disks of students as lines for a terminal."""

from __future__ import annotations

from typing import Any

from ansible_collections.campus.jupyterhub.plugins.module_utils._disk_report import summary, table

DOCUMENTATION = r"""
name: disk_lines
author:
  - campus.jupyterhub contributors (@campus-jupyterhub)
version_added: 0.2.0
short_description: Show disks of students as lines for a terminal
description:
  - Returns a few sentences about all disks together and a table with a line a disk, the fullest first.
positional: _input
options:
  _input:
    description: The C(disks) that M(campus.jupyterhub.student_disk_info) returned.
    type: list
    elements: dict
    required: true
"""

EXAMPLES = r"""
- name: Show the disks
  ansible.builtin.debug:
    msg: "{{ found.disks | campus.jupyterhub.disk_lines }}"
"""

RETURN = r"""
_value:
  description: The lines.
  type: list
  elements: str
"""


def disk_lines(disks: list[dict[str, Any]]) -> list[str]:
    """Return the figures of all disks and a table of them, a line each."""
    return [*summary(disks), *(table(disks) if disks else [])]


class FilterModule:
    """The filter as Ansible finds it."""

    def filters(self) -> dict[str, Any]:
        """Return the filters of this file by name."""
        return {"disk_lines": disk_lines}
