# Copyright: campus.jupyterhub contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Show disks of students as a page with a plot."""

from __future__ import annotations

from typing import Any

from ansible_collections.campus.jupyterhub.plugins.module_utils._disk_report import page

DOCUMENTATION = r"""
name: disk_page
author:
  - campus.jupyterhub contributors (@campus-jupyterhub)
version_added: 0.2.0
short_description: Show disks of students as a page with a plot
description:
  - Returns a page of HTML with a bar and a line a disk, the fullest first. It needs nothing from elsewhere.
positional: _input, title
options:
  _input:
    description: The C(disks) that M(campus.jupyterhub.student_disk_info) returned.
    type: list
    elements: dict
    required: true
  title:
    description: Title of the page.
    type: str
    required: true
"""

EXAMPLES = r"""
- name: Keep a page about the disks
  ansible.builtin.copy:
    content: "{{ found.disks | campus.jupyterhub.disk_page('Disks of Data 8') }}"
    dest: disks.html
    mode: "0600"
"""

RETURN = r"""
_value:
  description: The page.
  type: str
"""


def disk_page(disks: list[dict[str, Any]], title: str) -> str:
    """Return a page of HTML with the figures of all disks, and a line and a bar each."""
    return page(disks, title)


class FilterModule:
    """The filter as Ansible finds it."""

    def filters(self) -> dict[str, Any]:
        """Return the filters of this file by name."""
        return {"disk_page": disk_page}
