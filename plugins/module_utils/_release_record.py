# Copyright: campus.jupyterhub contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What is kept about a disk while it is being deleted, so that a repeat goes on where its claim is gone. Pure.

The record lies on the volume, which is the last to go. Private to the collection: it may change in any release.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Final

from ansible_collections.campus.jupyterhub.plugins.module_utils._disk_swap import REPLACED
from ansible_collections.campus.jupyterhub.plugins.module_utils._student_disks import STUDENT, Disk

Json = dict[str, Any]

RELEASING: Final = "campus.jupyterhub/releasing"


@dataclass(frozen=True)
class Begun:
    """A disk whose release was begun."""

    disk: Disk
    """The disk as it was when all that is asked before a release was true of it."""
    newest: str
    """When the snapshot was taken that made it safe, as the API server writes times."""
    ended: bool = False
    """Whether the run saw the claim go, so that nothing can have been written since."""
    snapshots: bool = False
    """Whether its snapshots began to go too, so that some may be gone."""


def recorded(begun: Begun) -> Json:
    """Return the patch that keeps a volume whatever becomes of its claim, and says that it is to go."""
    return {
        "metadata": {
            "annotations": {STUDENT: begun.disk.student, RELEASING: json.dumps(asdict(begun), sort_keys=True)},
        },
        "spec": {"persistentVolumeReclaimPolicy": "Retain"},
    }


def begun_in(volumes: Iterable[Json], namespace: str) -> list[Begun]:
    """Return the disks of a namespace whose release was begun, and whose claim is gone since.

    A volume that was given to another claim after that is no longer what was to be deleted, and neither is one whose
    place a restore has taken.
    """
    found = []
    for volume in volumes:
        annotations = volume["metadata"].get("annotations") or {}
        if RELEASING in annotations and REPLACED not in annotations and is_unclaimed(volume):
            record = json.loads(annotations[RELEASING])
            begun = Begun(**{**record, "disk": Disk(**record["disk"])})
            same_name = volume["metadata"]["name"] == begun.disk.volume
            if begun.disk.namespace == namespace and same_name and belonged_to(volume, begun.disk):
                found.append(begun)
    return found


def is_unclaimed(volume: Json) -> bool:
    """Say whether the claim that a volume had is gone, so that nobody can use it."""
    return (volume.get("status") or {}).get("phase") == "Released"


def belonged_to(volume: Json, disk: Disk) -> bool:
    """Say whether the claim that a volume has, or had last, is a disk's."""
    claim = volume["spec"].get("claimRef") or {}
    return (claim.get("namespace"), claim.get("name"), claim.get("uid")) == (disk.namespace, disk.name, disk.uid)
