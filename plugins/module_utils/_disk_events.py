# Copyright: campus.jupyterhub contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Warnings that stand beside a student's disk, where staff look for the reason.

Private to the collection: it may change in any release.
"""

from __future__ import annotations

import contextlib
from datetime import datetime
from typing import Any, Final

from ansible_collections.campus.jupyterhub.plugins.module_utils._cluster import ClusterError
from ansible_collections.campus.jupyterhub.plugins.module_utils._cluster_verbs import Creates
from ansible_collections.campus.jupyterhub.plugins.module_utils._student_disks import Disk

Json = dict[str, Any]

NOTE: Final = 1024
"""Characters that the note of an Event may have."""


def warn(cluster: Creates, warning: Json) -> None:
    """Put a warning where it belongs; a run that may not write events has still done its work."""
    with contextlib.suppress(ClusterError):
        cluster.create(warning)


def warning_about(disk: Disk, reason: str, message: str, now: datetime, run: str) -> Json:
    """Return the warning about a disk as an Event beside its claim.

    ``reason`` is one word for programs, ``run`` tells the Events of one run from those of another.
    """
    stamp = f"{now:%Y-%m-%dT%H:%M:%SZ}"
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": f"{disk.name[:200]}.{run}", "namespace": disk.namespace},
        "involvedObject": {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "name": disk.name,
            "namespace": disk.namespace,
            "uid": disk.uid,
        },
        "type": "Warning",
        "reason": reason,
        "message": message[:NOTE],
        "source": {"component": "campus.jupyterhub"},
        "firstTimestamp": stamp,
        "lastTimestamp": stamp,
        "count": 1,
    }
