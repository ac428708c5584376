# Copyright: campus.jupyterhub contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What is wrong with a schedule of backups of the hub, so far as it can be known without a cluster. Pure.

Private to the collection: it may change in any release.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from ansible_collections.campus.jupyterhub.plugins.module_utils._retention import COUNTS, policy_of
from ansible_collections.campus.jupyterhub.plugins.module_utils._snapshot_schedule import (
    as_options_of,
    schedule_problem,
)

PREFIX: Final = "hub_backup_"


def problems(arguments: Mapping[str, Any], schedule: str) -> list[str]:
    """Return what is wrong with the options of the role hub_backup, a sentence each.

    ``arguments`` are those of the module hub_backup, numbers as text where Ansible made it of them.
    """
    found = []
    if problem := schedule_problem(schedule):
        found.append(f"{PREFIX}schedule: {problem}")
    counts = {name: int(arguments[name]) for name in COUNTS if name in arguments}
    try:
        policy_of({**arguments, **counts})
    except ValueError as error:
        if not any(counts.values()):
            found.append(f"This policy keeps no backup; set {PREFIX}keep_last or {PREFIX}keep_daily above 0.")
        else:
            found.append(as_options_of(PREFIX, arguments, str(error)))
    return found
