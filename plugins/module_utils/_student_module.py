# Copyright: campus.jupyterhub contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The course of the modules that change students' disks: connect, see that it is the right cluster, act, report.

Private to the collection: it may change in any release.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ansible_collections.campus.jupyterhub.plugins.module_utils._cluster import (
    Cluster,
    ClusterError,
    connect,
    new_module,
)
from ansible_collections.campus.jupyterhub.plugins.module_utils._side_disk_run import RestoreError
from ansible_collections.campus.jupyterhub.plugins.module_utils._student_disks import (
    SelectionError,
    required_namespace,
)

Json = dict[str, Any]


def run_module(arguments: Json, act: Callable[[Cluster, Mapping[str, Any], bool], Json], failures: str = "") -> None:
    """Run a module and end it.

    Args:
        arguments: its options, of which two are ``namespace`` and ``cluster_uid``.
        act: what it does with a cluster, its options and whether in check mode; returns its result.
        failures: name of the value in the result that counts what failed; above zero the module fails.
    """
    module = new_module(arguments, supports_check_mode=True)
    try:
        required_namespace(module.params)
        cluster = connect(module)
        cluster.expect_uid(module.params["cluster_uid"])
        outcome = act(cluster, module.params, module.check_mode)
    except (ClusterError, RestoreError, SelectionError) as error:
        module.fail_json(msg=str(error))
    if outcome.get(failures):
        module.fail_json(**outcome)
    module.exit_json(**outcome)
