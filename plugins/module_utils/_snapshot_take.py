# Copyright: campus.jupyterhub contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Take snapshots of many disks side by side and wait until each can be restored from.

Private to the collection: it may change in any release.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Protocol

from ansible_collections.campus.jupyterhub.plugins.module_utils._cluster import PASSING, ClusterError
from ansible_collections.campus.jupyterhub.plugins.module_utils._cluster_verbs import Creates, Lists
from ansible_collections.campus.jupyterhub.plugins.module_utils._disk_snapshots import (
    API,
    RUN,
    manifest,
    snapshot_of,
)
from ansible_collections.campus.jupyterhub.plugins.module_utils._snapshot_remove import Clock
from ansible_collections.campus.jupyterhub.plugins.module_utils._student_disks import Disk

Json = dict[str, Any]

# Disks that are asked about by one list; a run of thousands does not read all of them each time.
GROUP = 100
# Seconds after which a reported error is believed; the driver may try again and succeed before.
PATIENCE = 30.0
# Seconds until a snapshot is asked for again that an API server in trouble did not make.
PAUSE = 5.0


class Taker(Creates, Lists, Protocol):
    """What this file needs of a cluster."""


@dataclass(frozen=True)
class Order:
    """How snapshots are to be taken."""

    namespace: str
    snapshot_class: str
    reason: str
    run: str
    """Label value that all snapshots of this run begin with."""
    now: datetime
    parallel: int
    """How many may be under way at once."""
    timeout: float
    """Seconds until one that is not ready counts as failed."""


@dataclass(frozen=True)
class Taken:
    """What became of the snapshot of one disk."""

    name: str
    """Name of the snapshot; empty where none could be made."""
    time: datetime | None
    """When the content was kept; None where it failed."""
    message: str
    """Why it failed; empty where it did not."""
    strange: bool = False
    """Whether that time cannot be true."""


@dataclass(frozen=True)
class _Pending:
    """A disk whose snapshot is wanted since ``begun``, in seconds of the clock."""

    disk: Disk
    group: str
    begun: float
    asked: float | None = None
    """When it was last asked for in vain; the answer may have been lost, and the snapshot made."""


@dataclass
class _Round:
    """The disks under way, by the name of their snapshot, and the results by the name of the claim."""

    unmade: dict[str, _Pending] = field(default_factory=dict)
    """Those whose snapshot the API server could not make so far."""
    in_vain: bool = False
    """Whether one was given up on for that and none was made since: no further one is waited for then."""
    going: dict[str, _Pending] = field(default_factory=dict)
    results: dict[str, Taken] = field(default_factory=dict)


def take_all(cluster: Taker, disks: Iterable[Disk], order: Order, clock: Clock) -> dict[str, Taken]:
    """Take a snapshot of each disk and return the results by the name of its claim.

    One that fails does not keep the others. A failed one is left where it is: its driver may still finish it.
    """
    waiting = list(disks)
    state = _Round()
    begun = 0
    while waiting or state.unmade or state.going:
        for pending in list(state.unmade.values()):
            if pending.asked is None or clock.now() - pending.asked >= PAUSE:
                _begin(cluster, pending, order, clock.now(), state)
        while waiting and len(state.unmade) + len(state.going) < order.parallel:
            pending = _Pending(waiting.pop(0), f"{order.run}-{begun // GROUP}", clock.now())
            _begin(cluster, pending, order, pending.begun, state)
            begun += 1
        for group in sorted({pending.group for pending in state.going.values()}):
            _look(cluster, group, order, clock.now(), state)
        if state.unmade or state.going:
            clock.sleep(0.5)
    return state.results


def _begin(cluster: Taker, pending: _Pending, order: Order, now: float, state: _Round) -> None:
    """Ask for a snapshot, again if need be; what passes by itself has as long as a snapshot has to become ready."""
    item = manifest(pending.disk, order.snapshot_class, order.now, pending.group, order.reason)
    name = item["metadata"]["name"]
    state.unmade.pop(name, None)
    try:
        cluster.create(item)
    except ClusterError as error:
        made_before = error.status == 409 and pending.asked is not None
        passes = error.status in PASSING
        if passes and not state.in_vain and now - pending.begun < order.timeout:
            state.unmade[name] = replace(pending, asked=now)
            return
        if not made_before:
            state.in_vain = state.in_vain or passes
            state.results[pending.disk.name] = Taken("", None, str(error))
            return
    state.in_vain = False
    state.going[name] = replace(pending, begun=now)


def _look(cluster: Taker, group: str, order: Order, now: float, state: _Round) -> None:
    """Settle whatever of a group is ready, failed or late."""
    try:
        listed = cluster.list("VolumeSnapshot", API, order.namespace, f"{RUN}={group}")
    except ClusterError as error:
        found, trouble = {}, str(error)
    else:
        found, trouble = {item["metadata"]["name"]: snapshot_of(item) for item in listed}, ""
    for name, pending in [pair for pair in state.going.items() if pair[1].group == group]:
        snapshot = found.get(name)
        waited = now - pending.begun
        if snapshot is not None and snapshot.ready:
            state.results[pending.disk.name] = Taken(name, snapshot.taken, "", snapshot.strange)
        elif snapshot is None and not trouble:
            state.results[pending.disk.name] = Taken(name, None, f"The snapshot {name} was deleted by somebody.")
        elif snapshot is not None and snapshot.error and waited >= min(PATIENCE, order.timeout):
            state.results[pending.disk.name] = Taken(name, None, _failed(pending.disk, snapshot.error))
        elif waited >= order.timeout:
            reason = trouble or (snapshot.error if snapshot else "") or f"it was not ready after {waited:.0f} s"
            state.results[pending.disk.name] = Taken(name, None, _failed(pending.disk, reason))
        else:
            continue
        del state.going[name]


def _failed(disk: Disk, reason: str) -> str:
    return f"Could not snapshot the disk {disk.name} of {disk.student}: {' '.join(reason.split()).rstrip('.')}."
