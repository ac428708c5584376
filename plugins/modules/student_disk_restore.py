#!/usr/bin/python
# Copyright: campus.jupyterhub contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: student_disk_restore
short_description: Give a student back a file, a folder or a whole disk out of a snapshot
version_added: 0.2.0
author:
  - campus.jupyterhub contributors (@campus-jupyterhub)
description:
  - Makes a side disk from a snapshot, and by O(path) copies one file or folder of it back into the student's home,
    beside what is there. Nothing is ever overwritten, and the copy is compared with the snapshot by hash before it gets
    its name.
  - With O(whole_disk) the student's disk becomes what the snapshot holds, while no pod uses it. The present disk is
    itself snapshotted first, and its volume stays, named in RV(kept_volume).
  - Without either the side disk is the result.
  - A run that was interrupted goes on when it is called again with the same options.
extends_documentation_fragment:
  - kubernetes.core.k8s_auth_options
attributes:
  check_mode:
    description: Returns what would be done, and refuses what cannot be.
    support: full
  diff_mode:
    description: The difference is what will be done.
    support: full
options:
  namespace:
    description: Namespace of the hub, where the disks are.
    type: str
    required: true
  student:
    description: The student, as they log in.
    type: str
    required: true
  disk:
    description: Name of the student's claim; needed where the student has several disks.
    type: str
    default: ""
  snapshot:
    description:
      - Name of the snapshot. Without it and O(time) the newest good one is taken.
      - One that is dated in the future is only taken by name.
    type: str
    default: ""
  time:
    description:
      - The newest good snapshot at this time or before it is taken.
      - In ISO 8601 with the time zone, such as V(2026-11-25T09:00:00+01:00).
    type: str
    default: ""
  path:
    description: The file or folder to bring back, from the home on, such as V(hw/lab3.ipynb).
    type: str
    default: ""
  whole_disk:
    description: Put the whole disk back. O(snapshot) or O(time) has to say which.
    type: bool
    default: false
  to:
    description:
      - Name of the side disk's claim. Without it one is chosen.
      - It may not be that of a student's disk, not even of one that is gone.
    type: str
    default: ""
  into:
    description:
      - Folder in the home that O(path) is put into, with the folders that it names.
      - Without it V(restored/) and the snapshot's date and time in O(timezone).
    type: str
    default: ""
  keep_side_disk:
    description: Keep the side disk after O(path) was brought back.
    type: bool
    default: false
  timezone:
    description: Time zone of the folder's name, such as V(Europe/Berlin).
    type: str
    default: UTC
  image:
    description:
      - Image with the Python package C(campus_jobs), which reads and copies.
      - Without it the one of the snapshots' own CronJob is taken.
    type: str
    default: ""
  scratch_class:
    description: StorageClass of side disks. Its disks go with their claims.
    type: str
    default: jupyterhub-scratch
  storage_class:
    description: StorageClass of a whole disk whose claim is gone; otherwise it gets that of its claim.
    type: str
    default: jupyterhub
  snapshot_class:
    description: VolumeSnapshotClass of the snapshot that is taken of the present disk before a whole one is put back.
    type: str
    default: jupyterhub
  snapshot_present:
    description:
      - Take that snapshot. Switch it off for a disk that is broken and cannot be snapshotted.
      - The present disk's volume stays in either case.
    type: bool
    default: true
  timeout:
    description: Seconds that each step may take, such as the copy.
    type: int
    default: 600
  cluster_uid:
    description: Uid of the namespace kube-system. Another cluster is refused.
    type: str
    default: ""
requirements:
  - python >= 3.11
  - kubernetes >= 24.2.0
  - PyYAML >= 3.11
  - jmespath
"""

EXAMPLES = r"""
---
- name: Bring back a notebook as it was on Wednesday morning
  campus.jupyterhub.student_disk_restore:
    namespace: jupyterhub
    student: ann
    path: hw/lab3.ipynb
    time: 2026-11-25T09:00:00+01:00

- name: Put a whole disk back
  campus.jupyterhub.student_disk_restore:
    namespace: jupyterhub
    student: ann
    snapshot: claim-ann-20261125-080000
    whole_disk: true
"""

RETURN = r"""
plan:
  description: What was, or in check mode would be, done.
  returned: success
  type: str
  sample: A side disk ann-before is made from snapshot claim-ann-20261125-080000 of 2026-11-25T08:00:00Z of ann.
mode:
  description: Whether a path, the whole disk, or a side disk alone is restored.
  returned: success
  type: str
  sample: path
student:
  description: Whose disk it is.
  returned: success
  type: str
  sample: ann
disk:
  description: Name of the student's claim.
  returned: success
  type: str
  sample: claim-ann
snapshot:
  description: The snapshot that was chosen.
  returned: success
  type: str
  sample: claim-ann-20261125-080000
taken:
  description: When it was taken.
  returned: success
  type: str
  sample: "2026-11-25T08:00:00Z"
path:
  description: The path that is brought back; empty where none is.
  returned: success
  type: str
  sample: hw/lab3.ipynb
into:
  description: The folder in the home that it is put into.
  returned: success
  type: str
  sample: restored/2026-11-25 0800
size:
  description: Bytes of the disk made from the snapshot.
  returned: success
  type: int
  sample: 10737418240
side_disk:
  description: Name of the side disk's claim, empty where none is left.
  returned: success
  type: str
  sample: ""
target:
  description: The path in the home that the copy got.
  returned: a path was brought back
  type: str
  sample: restored/2026-11-25 0800/hw/lab3.ipynb
hash:
  description: SHA-256 of the file, or of the folder's names and hashes; equal in the snapshot and the copy.
  returned: a path was brought back
  type: str
  sample: 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
root:
  description: Hash of all that is on the disk made from the snapshot.
  returned: a side disk was made, or a whole disk put back, unless it was begun by an earlier run
  type: str
  sample: 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
files:
  description: Files that were restored.
  returned: something was restored, unless it was begun by an earlier run
  type: int
  sample: 1
folders:
  description: Folders that were restored.
  returned: something was restored, unless it was begun by an earlier run
  type: int
  sample: 0
links:
  description: Symbolic links that were restored.
  returned: something was restored, unless it was begun by an earlier run
  type: int
  sample: 0
bytes:
  description: Bytes of those files.
  returned: something was restored, unless it was begun by an earlier run
  type: int
  sample: 72031
unreadable:
  description: Files and folders on it that the student's user may not read, or that are too deep; they are not hashed.
  returned: a side disk was made, or a whole disk put back, unless it was begun by an earlier run
  type: int
  sample: 0
matches:
  description: Whether the disk made from the snapshot is what was recorded when the snapshot was taken.
  returned: hashes were recorded, and a side disk was made or a whole disk put back
  type: bool
  sample: true
differs:
  description: What differs from the record.
  returned: hashes were recorded, and a side disk was made or a whole disk put back
  type: list
  elements: str
  sample: []
volume:
  description: The volume that the student's claim has now.
  returned: a whole disk was put back
  type: str
  sample: pvc-0d0e7a3c-9a39-4a0e-9c3f-6f7c4e5f1a55
kept_volume:
  description: The volume that it had before, which stays; empty where it had none.
  returned: a whole disk was put back
  type: str
  sample: pvc-5b2f3f0e-5b1e-4d7c-8a0a-2f7f5cf2b7d1
present_snapshot:
  description: The snapshot that was taken of the disk before; empty where none was.
  returned: a whole disk was put back
  type: str
  sample: claim-ann-20261126-101500
"""

from ansible_collections.campus.jupyterhub.plugins.module_utils._restore_run import ARGUMENTS, restore
from ansible_collections.campus.jupyterhub.plugins.module_utils._student_module import run_module


def main() -> None:
    """Run the module."""
    run_module(ARGUMENTS, restore)


if __name__ == "__main__":
    main()
