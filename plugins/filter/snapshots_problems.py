# Copyright: campus.jupyterhub contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Say what is wrong with the options of the role snapshots."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.campus.jupyterhub.plugins.module_utils import _snapshot_schedule

DOCUMENTATION = r"""
name: snapshots_problems
author:
  - campus.jupyterhub contributors (@campus-jupyterhub)
version_added: 0.2.0
short_description: Say what is wrong with the options of the role snapshots
description:
  - Checks everything that can be known without asking the cluster.
positional: _input, schedule, deadline, drill
options:
  _input:
    description: The options of M(campus.jupyterhub.student_disk_snapshot) that every run is given.
    type: dict
    required: true
  schedule:
    description: When runs begin, as a CronJob has it.
    type: str
    required: true
  deadline:
    description: Seconds after which a run is ended.
    type: int
    required: true
  drill:
    description:
      - When restore drills run. C(schedules) has the schedules by the names of the role's options, C(timeout) the
        seconds of a step, and C(deadline) those after which a run is ended.
    type: dict
    default: {}
"""

EXAMPLES = r"""
- name: Refuse wrong options
  ansible.builtin.assert:
    that: arguments | campus.jupyterhub.snapshots_problems('7 * * * *', 3000) | length == 0
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
        return {"snapshots_problems": snapshots_problems}


def snapshots_problems(
    arguments: Mapping[str, Any], schedule: str, deadline: int | str, drill: Mapping[str, Any] | None = None
) -> list[str]:
    """Return the problems of the options."""
    found = _snapshot_schedule.problems(arguments, schedule, int(deadline))
    return found + _snapshot_schedule.drill_problems(drill or {})
