#!/usr/bin/python
# Copyright: campus.jupyterhub contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: student_disk_drill
short_description: Prove on a sample of students that their snapshots can be restored
version_added: 0.2.0
author:
  - campus.jupyterhub contributors (@campus-jupyterhub)
description:
  - Restores snapshots to side disks, one after the other, hashes everything on them, and removes them again.
    Students notice nothing.
  - First compares a sample with what was recorded when their snapshots were new, then records the newest snapshots of
    another sample. A record is an annotation of the snapshot, so it is kept by the API server and not by the storage.
  - What a comparison found is kept in the same way, for the figures.
  - One that differs or cannot be restored never stops the others; the module fails at the end and says which they were.
    A warning is put beside the claim of each as an Event.
  - What a drill that was killed left behind is removed first, once it is older than any drill that goes on could be.
extends_documentation_fragment:
  - kubernetes.core.k8s_auth_options
  - campus.jupyterhub.student_disks
attributes:
  check_mode:
    description: Tells which snapshots would be restored.
    support: full
  diff_mode:
    description: The difference is which snapshots are restored, and what for.
    support: full
options:
  actions:
    description: V(compare) compares with records that there are, V(record) makes new ones.
    type: list
    elements: str
    choices: [compare, record]
    default: [compare, record]
  sample:
    description: How many disks of each of the actions; V(0) for all.
    type: int
    default: 5
  seed:
    description: The same text gives the same sample. Without it, it is the date and hour in UTC.
    type: str
    default: ""
  image:
    description:
      - Image with the Python package C(campus_jobs), which reads.
      - Without it the one of the snapshots' own CronJob is taken.
    type: str
    default: ""
  scratch_class:
    description: StorageClass of side disks. One that retains its volumes is refused, since the copies would stay.
    type: str
    default: jupyterhub-scratch
  timeout:
    description: Seconds that each step may take, such as reading a disk.
    type: int
    default: 600
"""

EXAMPLES = r"""
---
- name: Prove on ten students that their snapshots can be restored
  campus.jupyterhub.student_disk_drill:
    namespace: jupyterhub
    sample: 10
"""

RETURN = r"""
disks:
  description:
    - One entry a snapshot. C(state) is C(equal), C(different), C(recorded) or C(failed), and C(planned) in check mode.
    - C(differs) names what differs at the top of the home, C(message) why it failed.
  returned: success, and when some failed
  type: list
  elements: dict
  sample:
    - action: compare
      student: ann
      disk: claim-ann
      snapshot: claim-ann-20261125-080000
      taken: "2026-11-25T08:00:00Z"
      state: equal
      files: 1204
      bytes: 73400320
      differs: []
      message: ""
failed_trials:
  description: How many differ or could not be restored.
  returned: success, and when some failed
  type: int
  sample: 0
"""

from ansible_collections.campus.jupyterhub.plugins.module_utils._drill_run import ARGUMENTS, drill
from ansible_collections.campus.jupyterhub.plugins.module_utils._student_module import run_module


def main() -> None:
    """Run the module."""
    run_module(ARGUMENTS, drill, failures="failed_trials")


if __name__ == "__main__":
    main()
