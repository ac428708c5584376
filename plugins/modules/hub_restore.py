#!/usr/bin/python
# Copyright: campus.jupyterhub contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: hub_restore
short_description: Bring back the hub's Secrets and whose disk is whose from an archive
version_added: 0.2.0
author:
  - campus.jupyterhub contributors (@campus-jupyterhub)
description:
  - Makes a cluster know again what an archive of M(campus.jupyterhub.hub_backup) says, whose storage is still there.
    Each student's disk gets its claim bound to the volume that it had, so nobody meets a new, empty one.
  - It copies no data, deletes nothing, and changes nothing before it has seen that all of it can be done.
  - When a student has a disk of the same name on another volume by now, nothing is changed at all, unless O(keep_new)
    is set.
  - A volume that is still known to the cluster and belongs to nobody is used again. What is as it should be stays
    as it is, so the call may be repeated.
  - The database is brought back by M(campus.jupyterhub.hub_database_restore), where its file is. The playbook
    C(campus.jupyterhub.hub_restore) does both.
extends_documentation_fragment:
  - kubernetes.core.k8s_auth_options
attributes:
  check_mode:
    description: Tells what would be made; every refusal comes here too.
    support: full
  diff_mode:
    description: The difference is what the cluster knows, without the values of Secrets.
    support: full
options:
  file:
    description: The archive, on the machine where the module runs.
    type: path
    required: true
  namespace:
    description: Namespace to restore into; that of the archive when empty. It is made when it is not there.
    type: str
    default: ""
  cluster_uid:
    description: The uid of the namespace kube-system of the cluster that is meant; another cluster is refused.
    type: str
    default: ""
  keep_new:
    description:
      - Leave out what is in conflict instead of refusing. The students who have a new disk keep it, and their old
        volume stays in the storage, unknown to the cluster.
    type: bool
    default: false
  timeout:
    description:
      - Seconds for which the API server may be away, and after which claims that are not bound are an error. Snapshots
        that are not ready by then are counted as lost, those of which the storage knows nothing after 30 seconds.
    type: int
    default: 300
requirements:
  - python >= 3.11
  - kubernetes >= 24.2.0
  - PyYAML >= 3.11
"""

EXAMPLES = r"""
---
- name: Bring back what the hub knew before the cluster was lost
  campus.jupyterhub.hub_restore:
    file: /safe/hub-20261126T031500Z-scheduled.tar.gz
    cluster_uid: 0f6c2f4e-6d3f-4f0b-9a53-0b9e8a1f4c77
"""

RETURN = r"""
disks:
  description:
    - One entry a disk, in order of student. C(state) is C(bound) when its volume is given back, C(there) when the
      student has it already, and C(conflict) when it is left out; C(message) says why.
  returned: success, and when a conflict was refused
  type: list
  elements: dict
  sample:
    - student: ann@example.edu
      disk: claim-ann-40example-2eedu---d9bcb1cf
      volume: pvc-5b2f3f0e-5b1e-4d7c-8a0a-2f7f5cf2b7d1
      state: bound
      message: ""
secrets:
  description:
    - One entry a Secret. C(state) is C(created), C(replaced), C(same), C(conflict), or C(kept) for a certificate that
      is there and may be newer.
  returned: success, and when a conflict was refused
  type: list
  elements: dict
  sample:
    - name: hub-secret
      namespace: jupyterhub
      state: replaced
      message: ""
snapshots:
  description:
    - How many snapshots are made known again, are known already, are left out for a conflict, and are not in the
      storage any more, since they were pruned after the archive was made. In check mode nobody knows the last before
      they are made known.
  returned: success, and when a conflict was refused
  type: dict
  sample: {bound: 5088, there: 0, conflict: 0, lost: 212}
began:
  description: Whether something may have been made before it failed.
  returned: failure
  type: bool
  sample: true
database:
  description: What the archive holds of the database. C(kind) is C(sqlite), C(postgresql) or C(none).
  returned: success, and when a conflict was refused
  type: dict
  sample: {kind: sqlite, revision: 4621fec11365, users: 214, made: "2026-11-26T03:15:00Z"}
namespace:
  description: Namespace that is restored into.
  returned: success, and when a conflict was refused
  type: str
  sample: jupyterhub
"""

from pathlib import Path

from ansible_collections.campus.jupyterhub.plugins.module_utils._cluster import ClusterError, connect, new_module
from ansible_collections.campus.jupyterhub.plugins.module_utils._hub_archive import ArchiveError, load
from ansible_collections.campus.jupyterhub.plugins.module_utils._hub_restore_run import (
    ARGUMENTS,
    StoppedError,
    restore_hub,
)
from ansible_collections.campus.jupyterhub.plugins.module_utils._side_disk_run import RestoreError


def main() -> None:
    """Run the module."""
    module = new_module(ARGUMENTS, supports_check_mode=True)
    try:
        contents = load(Path(module.params["file"]))
        outcome = restore_hub(connect(module), contents, module.params, module.check_mode)
    except (ArchiveError, ClusterError, RestoreError) as error:
        module.fail_json(msg=str(error), began=isinstance(error, StoppedError))
    if outcome["msg"]:
        module.fail_json(began=False, **outcome)
    module.exit_json(**outcome)


if __name__ == "__main__":
    main()
