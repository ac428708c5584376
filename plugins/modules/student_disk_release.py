#!/usr/bin/python
# Copyright: campus.jupyterhub contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: student_disk_release
short_description: Delete students' disks for good
version_added: 0.2.0
author:
  - campus.jupyterhub contributors (@campus-jupyterhub)
description:
  - Deletes the chosen disks with their volumes and waits until their storage is given back. Nothing else in the
    collection deletes a student's disk, but a teardown that is told to.
  - Deletes none of them when one is in use, or has no good snapshot that is young enough, or when O(confirm) does not
    repeat what is going to happen.
  - The snapshots stay, and a disk can be made from them again, unless O(snapshots) says otherwise.
  - One that was stopped goes on when it is repeated with the same options and the words for what is left. The volume of
    a claim that is still there is always retained, whatever stopped it.
extends_documentation_fragment:
  - kubernetes.core.k8s_auth_options
  - campus.jupyterhub.student_disks
attributes:
  check_mode:
    description: Tells what would be deleted, and in RV(confirmation) what O(confirm) has to be.
    support: full
  diff_mode:
    description: The difference is the volumes that go.
    support: full
options:
  confirm:
    description:
      - What is going to happen, such as V(delete 12 disks), or with O(snapshots) V(delete 12 disks and 340 snapshots).
      - A refusal says which words are right.
    type: str
    default: ""
  hours:
    description: A disk whose newest good snapshot is older than so many hours is not deleted.
    type: float
    default: 24.0
  snapshots:
    description:
      - Delete the snapshots of these disks too, before their volumes. Then nothing of them is left here.
      - A volume stays until its snapshots are gone, so that a repeat finds both.
    type: bool
    default: false
  replaced:
    description:
      - Delete, instead of disks, the volumes that they had before a whole disk was put back.
      - These are in use by nobody, and need no snapshot.
    type: bool
    default: false
  parallel:
    description: How many snapshots may be on their way out at once.
    type: int
    default: 20
  timeout:
    description: Seconds that each disk may take.
    type: int
    default: 300
"""

EXAMPLES = r"""
---
- name: Delete the disks of a course that is over
  campus.jupyterhub.student_disk_release:
    namespace: jupyterhub
    courses: [data8-2025]
    confirm: delete 212 disks
"""

RETURN = r"""
disks:
  description:
    - One entry a disk or replaced volume, with its size in bytes. C(state) is C(released) or C(failed), and C(planned)
      in check mode. C(snapshots) are those that go too.
  returned: success, and when some could not be deleted
  type: list
  elements: dict
  sample:
    - student: ann
      disk: claim-ann
      volume: pvc-5b2f3f0e-5b1e-4d7c-8a0a-2f7f5cf2b7d1
      size: 10737418240
      last_snapshot: "2026-11-25T08:00:00Z"
      snapshots: []
      state: released
      message: ""
confirmation:
  description: What O(confirm) has to be.
  returned: success, and when some could not be deleted
  type: str
  sample: delete 1 disk
failed_disks:
  description: How many could not be deleted.
  returned: success, and when some could not be deleted
  type: int
  sample: 0
"""

from ansible_collections.campus.jupyterhub.plugins.module_utils._release_run import ARGUMENTS, release
from ansible_collections.campus.jupyterhub.plugins.module_utils._student_module import run_module


def main() -> None:
    """Run the module."""
    run_module(ARGUMENTS, release, failures="failed_disks")


if __name__ == "__main__":
    main()
