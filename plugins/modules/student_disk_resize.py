#!/usr/bin/python
# Copyright: campus.jupyterhub contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: student_disk_resize
short_description: Make students' disks larger
version_added: 0.2.0
author:
  - campus.jupyterhub contributors (@campus-jupyterhub)
description:
  - Asks for a larger size of the disks of the named students and courses, or of all.
  - A disk never shrinks. When one of the chosen would, or cannot grow, none is changed.
  - Many drivers grow the file system only when the student's server starts next, and the result says so.
extends_documentation_fragment:
  - kubernetes.core.k8s_auth_options
  - campus.jupyterhub.student_disks
attributes:
  check_mode:
    description: Returns what would be done, and refuses what cannot be.
    support: full
  diff_mode:
    description: Shows the size of each disk in bytes, before and after.
    support: full
options:
  size:
    description: The size that each is to have, such as V(20Gi).
    type: str
    required: true
  wait:
    description: Wait until each disk has grown, or is known to grow at the next start.
    type: bool
    default: true
  timeout:
    description: Seconds to wait for all of them together.
    type: int
    default: 300
"""

EXAMPLES = r"""
---
- name: Give a course more room
  campus.jupyterhub.student_disk_resize:
    namespace: jupyterhub
    courses: [data8]
    size: 20Gi
"""

RETURN = r"""
disks:
  description:
    - The chosen disks with their sizes in bytes.
    - C(state) is C(unchanged), C(asked) where it is on its way and was not waited for, C(grown), C(at_next_start) or
      C(failed).
  returned: success, and when some did not grow
  type: list
  elements: dict
  sample:
    - {student: ann, disk: claim-ann, before: 10737418240, after: 21474836480, state: grown, message: ""}
failed_disks:
  description: How many of them did not grow.
  returned: success, and when some did not grow
  type: int
  sample: 0
"""

from ansible_collections.campus.jupyterhub.plugins.module_utils._resize import ARGUMENTS, resize
from ansible_collections.campus.jupyterhub.plugins.module_utils._student_module import run_module


def main() -> None:
    """Run the module."""
    run_module(ARGUMENTS, resize, failures="failed_disks")


if __name__ == "__main__":
    main()
