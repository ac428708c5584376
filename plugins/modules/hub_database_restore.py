#!/usr/bin/python
# Copyright: campus.jupyterhub contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: hub_database_restore
short_description: Bring back the hub's database from an archive
version_added: 0.2.0
author:
  - campus.jupyterhub contributors (@campus-jupyterhub)
description:
  - Puts the database that M(campus.jupyterhub.hub_backup) kept into the place of the present one, which is lost by
    that. The hub has to be stopped meanwhile.
  - The database is the old one or the new one at every moment. A sqlite file is written beside, checked and renamed;
    PostgreSQL gets it in one transaction.
  - It runs where the database's file is, which is a pod, and asks nothing of the cluster.
attributes:
  check_mode:
    description: Reads and checks the archive, and changes nothing.
    support: full
options:
  file:
    description:
      - The archive.
      - A PostgreSQL database is unpacked beside it for as long as the module runs, as SQL, which needs room there.
    type: path
    required: true
  database_path:
    description: The file of the hub's sqlite database; it need not be there yet.
    type: str
    default: ""
  database_url_file:
    description: File with the URL of the hub's PostgreSQL database, as in the option C(hub_db_url) of the role hub.
    type: str
    default: ""
requirements:
  - python >= 3.11
  - pg_restore and psql, where O(database_url_file) is given
"""

EXAMPLES = r"""
---
- name: Bring back the database
  campus.jupyterhub.hub_database_restore:
    file: /backups/hub-20261126T031500Z-scheduled.tar.gz
    database_path: /srv/jupyterhub/jupyterhub.sqlite
"""

RETURN = r"""
users:
  description: How many users the database has; empty when it has no such table.
  returned: success
  type: int
  sample: 214
revision:
  description: Alembic's revision of its tables, which says which JupyterHub wrote it; empty when it tells none.
  returned: success
  type: str
  sample: 4621fec11365
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.campus.jupyterhub.plugins.module_utils._hub_archive import ArchiveError
from ansible_collections.campus.jupyterhub.plugins.module_utils._hub_database_facts import DatabaseError
from ansible_collections.campus.jupyterhub.plugins.module_utils._hub_database_restore import ARGUMENTS, restore_database


def main() -> None:
    """Run the module."""
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    try:
        outcome = restore_database(module.params, module.check_mode)
    except (ArchiveError, DatabaseError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(**outcome)


if __name__ == "__main__":
    main()
