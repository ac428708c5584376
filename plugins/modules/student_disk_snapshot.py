#!/usr/bin/python
# Copyright: campus.jupyterhub contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: student_disk_snapshot
short_description: Take snapshots of students' disks, and remove old ones by a policy
version_added: 0.2.0
author:
  - campus.jupyterhub contributors (@campus-jupyterhub)
description:
  - Takes a VolumeSnapshot of each chosen disk, side by side, and waits until it can be restored from.
  - Then removes the snapshots that the policy does not keep, a disk at a time, so that their space is freed.
  - It never removes the newest good snapshot of a disk, nor one that the collection did not make, nor one whose date
    cannot be true. A failed snapshot counts for nothing, and goes after an hour.
  - One disk's failure never stops the others; the module fails at the end and says which they were. A warning is put
    beside the claim of each as an Event.
  - Without any of the O(keep_last) to O(keep_within) options nothing is removed.
  - A run over all disks that removes old snapshots also goes on with what an earlier one left when it was killed.
    It deletes contents of this namespace and of the class's driver that were marked to be deleted and whose snapshots
    are gone.
extends_documentation_fragment:
  - kubernetes.core.k8s_auth_options
  - campus.jupyterhub.retention
  - campus.jupyterhub.student_disks
attributes:
  check_mode:
    description: Tells what would be taken and removed; the diff is the plan.
    support: full
options:
  take:
    description: Take snapshots; V(false) only removes old ones.
    type: bool
    default: true
  snapshot_class:
    description: VolumeSnapshotClass to take them with.
    type: str
    default: jupyterhub
  reason:
    description: Why they are taken, kept with each.
    type: str
    default: asked for
  min_age:
    description: Seconds; a disk whose newest good snapshot is younger gets no further one.
    type: int
    default: 0
  max_delete_fraction:
    description:
      - Share of the snapshots of a disk that may go in one run; the oldest go first.
      - V(1) sets no limit.
    type: float
    default: 0.5
  parallel:
    description: How many snapshots may be under way at once.
    type: int
    default: 20
  spread:
    description: Wait a random time of up to so many seconds before, so that several hubs do not begin at once.
    type: int
    default: 0
  timeout:
    description: Seconds after which a snapshot that is not ready, or not gone, counts as failed.
    type: int
    default: 300
"""

EXAMPLES = r"""
---
- name: Take a snapshot of every disk and keep what a term needs
  campus.jupyterhub.student_disk_snapshot:
    namespace: jupyterhub
    keep_hourly: 24
    keep_daily: 14
    keep_weekly: 8
    keep_monthly: 6
    timezone: America/Los_Angeles

- name: Take one of ann's disk before she tries something
  campus.jupyterhub.student_disk_snapshot:
    namespace: jupyterhub
    students: [ann@example.edu]
    reason: before the migration of her notebooks
"""

RETURN = r"""
disks:
  description:
    - One entry a disk, in order of student. C(state) is C(taken), C(skipped) or C(failed), and C(message) says why.
    - C(held_back) would go too, if O(max_delete_fraction) did not forbid it. The date of those in C(strange) cannot be
      true, such as one in the future.
  returned: always, except when nothing could be begun
  type: list
  elements: dict
  sample:
    - student: ann@example.edu
      disk: claim-ann-40example-2eedu---d9bcb1cf
      snapshot: claim-ann-40example-2eedu---d9bcb1cf-20261125-090000-123
      state: taken
      message: ""
      removed: [claim-ann-40example-2eedu---d9bcb1cf-20261124-080000-456]
      held_back: []
      strange: []
taken:
  description: How many snapshots were taken.
  returned: always, except when nothing could be begun
  type: int
  sample: 1
skipped:
  description: How many disks got none.
  returned: always, except when nothing could be begun
  type: int
  sample: 0
failed_disks:
  description: How many disks failed.
  returned: always, except when nothing could be begun
  type: int
  sample: 0
removed:
  description: How many snapshots were removed.
  returned: always, except when nothing could be begun
  type: int
  sample: 1
left_behind:
  description:
    - One entry a VolumeSnapshotContent that an earlier run left behind.
      C(state) is C(removed) or C(failed), and C(message) says why.
  returned: always, except when nothing could be begun
  type: list
  elements: dict
  sample:
    - content: snapcontent-0b5a5f3e-1f5c-4d0e-9a53-5a3f0f5f8a11
      snapshot: claim-ann-40example-2eedu---d9bcb1cf-20261124-080000-456
      state: removed
      message: ""
run:
  description: What the label C(campus.jupyterhub/run) of the snapshots of this run begins with.
  returned: always, except when nothing could be begun
  type: str
  sample: 20261125-090000-3f9a1c
"""

from ansible_collections.campus.jupyterhub.plugins.module_utils._cluster import ClusterError, connect, new_module
from ansible_collections.campus.jupyterhub.plugins.module_utils._snapshot_run import ARGUMENTS, snapshot_disks
from ansible_collections.campus.jupyterhub.plugins.module_utils._student_disks import SelectionError


def main() -> None:
    """Run the module."""
    module = new_module(ARGUMENTS, supports_check_mode=True)
    try:
        report = snapshot_disks(connect(module), module.params, module.check_mode)
    except (ClusterError, SelectionError, ValueError) as error:
        module.fail_json(msg=str(error))
    if report.message:
        module.fail_json(msg=report.message, diff=report.diff, **report.as_dict())
    module.exit_json(diff=report.diff, **report.as_dict())


if __name__ == "__main__":
    main()
