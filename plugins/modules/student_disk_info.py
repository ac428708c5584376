#!/usr/bin/python
# Copyright: campus.jupyterhub contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: student_disk_info
short_description: Tell of each student's disk how large, how full and how well protected it is
version_added: 0.2.0
author:
  - campus.jupyterhub contributors (@campus-jupyterhub)
description:
  - Lists the disks (PersistentVolumeClaims) of students with their size, age and snapshots.
  - How full a disk is can be told while it is mounted, that is, while its student's server runs.
  - Changes nothing.
extends_documentation_fragment:
  - kubernetes.core.k8s_auth_options
  - campus.jupyterhub.student_disks
attributes:
  check_mode:
    description: Runs the same in check mode, since it only reads.
    support: full
options:
  measure:
    description: Ask the nodes how full the disks of running servers are; needs the right to C(get) C(nodes/proxy).
    type: bool
    default: true
"""

EXAMPLES = r"""
---
- name: Look at all disks
  campus.jupyterhub.student_disk_info:
    namespace: jupyterhub
  register: found

- name: Who has had no snapshot for a day
  ansible.builtin.debug:
    msg: "{{ found.disks | selectattr('unprotected_seconds', 'gt', 86400) | map(attribute='student') }}"
"""

RETURN = r"""
disks:
  description:
    - One entry a disk, in order of student. C(size), C(wanted) and C(used) are bytes; C(used) and C(used_share) are
      null where nobody knows.
    - C(unprotected_seconds) is the time since the last good snapshot of this very disk, else since it was made.
      C(snapshots) also counts those of an earlier disk of the same claim, which can be restored from as well.
      A snapshot whose date cannot be true, such as one in the future, counts for none of these.
  returned: success
  type: list
  elements: dict
  sample:
    - student: ann@example.edu
      disk: claim-ann-40example-2eedu---d9bcb1cf
      course: data8
      storage_class: jupyterhub
      phase: Bound
      size: 10737418240
      wanted: 10737418240
      used: 3221225472
      used_share: 0.3
      age_seconds: 604800
      snapshots: 31
      first_snapshot: "2026-11-18T09:00:00Z"
      last_snapshot: "2026-11-25T09:00:00Z"
      unprotected_seconds: 1800
"""

from ansible_collections.campus.jupyterhub.plugins.module_utils._cluster import ClusterError, connect, new_module
from ansible_collections.campus.jupyterhub.plugins.module_utils._disk_info import disk_info
from ansible_collections.campus.jupyterhub.plugins.module_utils._student_disks import CHOICE, SelectionError


def main() -> None:
    """Run the module."""
    module = new_module({**CHOICE, "measure": {"type": "bool", "default": True}}, supports_check_mode=True)
    try:
        disks, warnings = disk_info(connect(module), module.params)
    except (ClusterError, SelectionError) as error:
        module.fail_json(msg=str(error))
    for warning in warnings:
        module.warn(warning)
    module.exit_json(changed=False, disks=disks)


if __name__ == "__main__":
    main()
