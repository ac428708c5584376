# Copyright: campus.jupyterhub contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Remove snapshots so that their space is freed, though their class retains them.

Private to the collection: it may change in any release.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

from ansible_collections.campus.jupyterhub.plugins.module_utils._cluster import ClusterError
from ansible_collections.campus.jupyterhub.plugins.module_utils._cluster_verbs import Deletes, Gets, Patches
from ansible_collections.campus.jupyterhub.plugins.module_utils._disk_snapshots import API, Snapshot
from ansible_collections.campus.jupyterhub.plugins.module_utils._snapshot_leftovers import LeftBehind

Json = dict[str, Any]


class Remover(Deletes, Gets, Patches, Protocol):
    """What this file needs of a cluster."""


def _present() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True)
class Clock:
    """How time passes; a test has its own."""

    now: Callable[[], float]
    """Seconds of a clock that never jumps."""
    sleep: Callable[[float], None]
    date: Callable[[], datetime] = _present
    """The present time."""


def remove_all(
    cluster: Remover, snapshots: Iterable[Snapshot | LeftBehind], parallel: int, timeout: float, clock: Clock
) -> dict[str, str]:
    """Remove snapshots, at most ``parallel`` at once, and return by name why one is not gone; empty: it is.

    ``timeout`` is in seconds, for each. One that cannot be removed does not keep the others.
    """
    waiting = list(snapshots)
    results: dict[str, str] = {}
    going: dict[str, tuple[Snapshot | LeftBehind, float]] = {}
    while waiting or going:
        while waiting and len(going) < parallel:
            snapshot = waiting.pop(0)
            reason = _begin(cluster, snapshot)
            if reason or not snapshot.content:
                results[snapshot.name] = reason
            else:
                going[snapshot.name] = (snapshot, clock.now() + timeout)
        for name, (snapshot, deadline) in list(going.items()):
            end = _rest(cluster, snapshot, clock.now() > deadline)
            if end is not None:
                results[name] = end
                del going[name]
        if going:
            clock.sleep(0.5)
    return results


def _begin(cluster: Remover, snapshot: Snapshot | LeftBehind) -> str:
    """Ask for the end of a snapshot and of what it keeps; return why that failed, or nothing."""
    try:
        if snapshot.content:
            _free(cluster, snapshot.content)
        cluster.delete("VolumeSnapshot", snapshot.name, snapshot.namespace, snapshot.uid, API)
    except ClusterError as error:
        return str(error)
    return ""


def _free(cluster: Remover, content: str) -> None:
    """Let the driver delete what a content stands for when its snapshot goes."""
    try:
        cluster.patch("VolumeSnapshotContent", content, None, {"spec": {"deletionPolicy": "Delete"}}, API)
    except ClusterError as error:
        if error.status != 404:
            raise


def _take_along(cluster: Remover, snapshot: Snapshot | LeftBehind, content: Json) -> None:
    """Delete a content that stayed behind when its snapshot went.

    The snapshot controller reads a content from its memory. When the snapshot goes before the new policy is there, it
    keeps the content as the old one said, and never looks at it again: seen with one of 300.
    """
    going = content["metadata"].get("deletionTimestamp")
    if not going and cluster.get("VolumeSnapshot", snapshot.name, snapshot.namespace, API) is None:
        cluster.delete("VolumeSnapshotContent", snapshot.content, None, content["metadata"]["uid"], API)


def _rest(cluster: Remover, snapshot: Snapshot | LeftBehind, late: bool) -> str | None:
    """Return nothing once the content is gone, why it will not be, or None while it may still go."""
    try:
        found = cluster.get("VolumeSnapshotContent", snapshot.content, None, API)
        if found is not None:
            _take_along(cluster, snapshot, found)
    except ClusterError as error:
        return str(error) if late else None
    if found is None:
        return ""
    if not late:
        return None
    said = ((found.get("status") or {}).get("error") or {}).get("message") or "its driver has not said why"
    reason = " ".join(said.split()).rstrip(".")
    return f"Could not free the space of the snapshot {snapshot.name}: {reason}. Kubernetes goes on trying."
