# Copyright: campus.jupyterhub contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Say what is wrong with the options of the role hub_backup."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.campus.jupyterhub.plugins.module_utils import _hub_backup_schedule

DOCUMENTATION = r"""
name: hub_backup_problems
author:
  - campus.jupyterhub contributors (@campus-jupyterhub)
version_added: 0.2.0
short_description: Say what is wrong with the options of the role hub_backup
description:
  - Checks everything that can be known without asking the cluster.
positional: _input, schedule
options:
  _input:
    description: The options of M(campus.jupyterhub.hub_backup) that every run is given.
    type: dict
    required: true
  schedule:
    description: When runs begin, as a CronJob has it.
    type: str
    required: true
"""

EXAMPLES = r"""
- name: Refuse wrong options
  ansible.builtin.assert:
    that: arguments | campus.jupyterhub.hub_backup_problems('23 3 * * *') | length == 0
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
        return {"hub_backup_problems": hub_backup_problems}


def hub_backup_problems(arguments: Mapping[str, Any], schedule: str) -> list[str]:
    """Return the problems of the options."""
    return _hub_backup_schedule.problems(arguments, schedule)
