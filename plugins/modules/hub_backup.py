#!/usr/bin/python
# Copyright: campus.jupyterhub contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: hub_backup
short_description: Write what the hub knows into one file
version_added: 0.2.0
author:
  - campus.jupyterhub contributors (@campus-jupyterhub)
description:
  - Writes the hub's database, its Secrets, and which volume and which snapshots belong to which student into one
    archive, so that M(campus.jupyterhub.hub_restore) and M(campus.jupyterhub.hub_database_restore) can bring them back
    on an empty cluster that has the storage. The content of students' disks is not in it.
  - The archive holds all Secrets in plain text. It is readable for its owner alone; keep every copy like a password.
  - A new archive is written beside and gets its name when it is whole and was read back. Only then do older ones go
    that no O(keep_last) to O(keep_within) keeps; never the newest, nor a file that is no such archive.
  - Archives that were made before an upgrade or a restore, as their O(reason) says, stay for at least 30 days, whatever
    O(keep_last) to O(keep_within) say. Afterwards they are judged like the others.
  - Without any of these options nothing is removed.
  - It runs where the database's file is, which is a pod; only one run works in a folder at a time.
extends_documentation_fragment:
  - kubernetes.core.k8s_auth_options
  - campus.jupyterhub.retention
attributes:
  check_mode:
    description: Tells what would be written and removed.
    support: full
  diff_mode:
    description: The difference is the list of archives.
    support: full
options:
  namespace:
    description: Namespace of the hub.
    type: str
    required: true
  folder:
    description: Folder of the archives; it has to be there.
    type: path
    required: true
  reason:
    description: Why the archive is made; a part of its name.
    type: str
    choices: [scheduled, upgrade, restore, asked]
    default: asked
  database_path:
    description: The file of the hub's sqlite database. The hub may go on writing to it; the folder must be writable.
    type: str
    default: ""
  database_url_file:
    description:
      - File with the URL of the hub's PostgreSQL database, as in the option C(hub_db_url) of the role hub.
      - When this and O(database_path) are empty, the archive holds no database.
    type: str
    default: ""
  secrets:
    description:
      - Names of the Secrets to keep. One of another namespace is written as V(namespace/name).
      - One that is not there is an error, and nothing is written.
    type: list
    elements: str
    default: []
  optional_secrets:
    description: Names of Secrets to keep where they are there.
    type: list
    elements: str
    default: []
  canary_user:
    description: Name of the user of the smoke test, whose disk is not kept.
    type: str
    default: ""
  cluster_uid:
    description:
      - The uid of the namespace kube-system of the cluster that is meant; another cluster is refused.
      - An account that may not read that namespace has to give it, if the archive is to say where it is from.
    type: str
    default: ""
requirements:
  - python >= 3.11
  - kubernetes >= 24.2.0
  - PyYAML >= 3.11
  - pg_dump and psql, where O(database_url_file) is given
"""

EXAMPLES = r"""
---
- name: Keep what the hub knows
  campus.jupyterhub.hub_backup:
    namespace: jupyterhub
    folder: /backups
    reason: scheduled
    database_path: /srv/jupyterhub/jupyterhub.sqlite
    secrets: [hub-secret]
    optional_secrets: [proxy-tls]
    canary_user: canary
    keep_last: 3
    keep_daily: 14
    keep_weekly: 8
"""

RETURN = r"""
file:
  description: Path of the archive; in check mode of what it would be.
  returned: success
  type: str
  sample: /backups/hub-20261126T031500Z-scheduled.tar.gz
bytes:
  description: Size of the archive; 0 in check mode.
  returned: success
  type: int
  sample: 48211
counts:
  description: How many disks of students, snapshots of them, Secrets and users are in it. C(users) is empty where
    there is no database, or when it has no such table.
  returned: success
  type: dict
  sample: {disks: 212, snapshots: 5088, secrets: 2, users: 214}
removed:
  description: Names of the archives that were removed, oldest first.
  returned: success
  type: list
  elements: str
  sample: [hub-20261101T031500Z-scheduled.tar.gz]
left_out:
  description: Names of claims of students that have no volume, and so nothing to be kept.
  returned: success
  type: list
  elements: str
  sample: []
"""

from ansible_collections.campus.jupyterhub.plugins.module_utils._cluster import ClusterError, connect, new_module
from ansible_collections.campus.jupyterhub.plugins.module_utils._hub_archive import ArchiveError
from ansible_collections.campus.jupyterhub.plugins.module_utils._hub_backup_run import ARGUMENTS, back_up
from ansible_collections.campus.jupyterhub.plugins.module_utils._hub_database_facts import DatabaseError


def main() -> None:
    """Run the module."""
    module = new_module(ARGUMENTS, supports_check_mode=True)
    try:
        outcome = back_up(connect(module), module.params, module.check_mode)
    except (ArchiveError, ClusterError, DatabaseError, ValueError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(**outcome)


if __name__ == "__main__":
    main()
