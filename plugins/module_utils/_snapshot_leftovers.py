# Copyright: campus.jupyterhub contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Contents that a killed run left behind: they were to go, their snapshots went, and nobody deletes them. Pure.

Private to the collection: it may change in any release.
"""

from __future__ import annotations

from collections.abc import Container, Iterable
from dataclasses import dataclass
from typing import Any

from ansible_collections.campus.jupyterhub.plugins.module_utils._disk_snapshots import is_named_as_ours

Json = dict[str, Any]


@dataclass(frozen=True)
class LeftBehind:
    """A snapshot that is gone while its content is still there; the names are those of a snapshot."""

    name: str
    namespace: str
    uid: str
    content: str
    """Name of the VolumeSnapshotContent."""


def left_behind(contents: Iterable[Json], known: Container[str], namespace: str, driver: str) -> list[LeftBehind]:
    """Return what seems to be left of snapshots of students' disks, for the caller to ask after each snapshot.

    A content counts that was marked to be deleted and is not on its way out. One that somebody made by hand, for a
    snapshot that is still to come, never does.

    Args:
        contents: all VolumeSnapshotContents.
        known: names of snapshots in the namespace that are there.
        namespace: whose contents they are.
        driver: of the class with which snapshots are taken; empty for none.
    """
    found = []
    for item in contents:
        spec, meta = item["spec"], item["metadata"]
        reference = spec["volumeSnapshotRef"]
        name, uid = reference.get("name", ""), reference.get("uid", "")
        if (
            spec.get("deletionPolicy") == "Delete"
            and reference.get("namespace") == namespace
            and driver
            and spec.get("driver") == driver
            and spec.get("source", {}).get("volumeHandle")
            and uid
            and is_named_as_ours(name)
            and name not in known
            and not meta.get("deletionTimestamp")
        ):
            found.append(LeftBehind(name, namespace, uid, meta["name"]))
    return found
