# Copyright: campus.jupyterhub contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A run of snapshots: choose disks, take, prune, and tell what became of each.

Private to the collection: it may change in any release.
"""

from __future__ import annotations

import contextlib
import random
import secrets
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from ansible_collections.campus.jupyterhub.plugins.module_utils._cluster import ClusterError
from ansible_collections.campus.jupyterhub.plugins.module_utils._disk_snapshots import (
    API,
    OURS,
    snapshot_name,
    snapshot_of,
)
from ansible_collections.campus.jupyterhub.plugins.module_utils._retention import policy_of
from ansible_collections.campus.jupyterhub.plugins.module_utils._snapshot_plan import (
    Pruning,
    Step,
    Wish,
    listing,
    pruning,
    steps,
)
from ansible_collections.campus.jupyterhub.plugins.module_utils._snapshot_remove import Clock, remove_all
from ansible_collections.campus.jupyterhub.plugins.module_utils._snapshot_take import Order, Taken, take_all
from ansible_collections.campus.jupyterhub.plugins.module_utils._student_disks import (
    CHOICE,
    DISKS,
    Disk,
    chosen,
    disk_of,
)

Json = dict[str, Any]

KEEPS = ("keep_last", "keep_hourly", "keep_daily", "keep_weekly", "keep_monthly", "keep_yearly")
LEAST = {"parallel": 1, "timeout": 1, "spread": 0, "min_age": 0}
CLOCK = Clock(time.monotonic, time.sleep)
ARGUMENTS: Json = {
    **CHOICE,
    "take": {"type": "bool", "default": True},
    "snapshot_class": {"type": "str", "default": "jupyterhub"},
    "reason": {"type": "str", "default": "asked for"},
    "min_age": {"type": "int", "default": 0},
    **{name: {"type": "int"} for name in KEEPS},
    "keep_within": {"type": "str", "default": ""},
    "timezone": {"type": "str", "default": "UTC"},
    "max_delete_fraction": {"type": "float", "default": 0.5},
    "parallel": {"type": "int", "default": 20},
    "spread": {"type": "int", "default": 0},
    "timeout": {"type": "int", "default": 300},
}
"""The options of the module student_disk_snapshot."""


@dataclass(frozen=True)
class Report:
    """What a run did, or would do."""

    disks: list[Json]
    """A dictionary a disk: student, disk, snapshot, state, message, removed, held_back, strange."""
    diff: Mapping[str, str]
    run: str
    """What the labels of its snapshots begin with."""

    def count(self, state: str) -> int:
        """Return how many disks ended in a state."""
        return sum(1 for disk in self.disks if disk["state"] == state)

    @property
    def removed(self) -> int:
        """How many snapshots were removed."""
        return sum(len(disk["removed"]) for disk in self.disks)

    def as_dict(self) -> Json:
        """Return what the module returns."""
        taken = sum(1 for disk in self.disks if disk["snapshot"])
        return {
            "changed": bool(taken or self.removed),
            "run": self.run,
            "disks": self.disks,
            "taken": taken,
            "skipped": self.count("skipped"),
            # The word failed alone is Ansible's own.
            "failed_disks": self.count("failed"),
            "removed": self.removed,
        }

    @property
    def message(self) -> str:
        """One sentence about what failed; empty when nothing did."""
        failed = [disk for disk in self.disks if disk["state"] == "failed"]
        if not failed:
            return ""
        more = f" The others are in the list of disks: {len(failed) - 1} more." if len(failed) > 1 else ""
        return f"{len(failed)} of {len(self.disks)} disks failed. {failed[0]['message']}{more}"


def wish_of(options: Mapping[str, Any]) -> Wish:
    """Return what the module's options ask for.

    Raises:
        ValueError: an option cannot be meant; the message is for the user.
    """
    for name, least in LEAST.items():
        if options[name] < least:
            raise ValueError(f"{name} is {options[name]}; it is at least {least}.")
    fraction = options["max_delete_fraction"]
    if not 0 < fraction <= 1:
        raise ValueError(f"max_delete_fraction is {fraction:g}; it is a share above 0, and 1 sets no limit.")
    prunes = bool(options["keep_within"]) or any(options[name] is not None for name in KEEPS)
    policy = policy_of({**options, **{name: options[name] or 0 for name in KEEPS}}) if prunes else None
    return Wish(options["take"], policy, fraction, options["min_age"])


def snapshot_disks(cluster: Any, options: Mapping[str, Any], check: bool, clock: Clock = CLOCK) -> Report:
    """Run, or in check mode only tell what a run would do.

    Raises:
        ClusterError: the cluster does not answer or lacks what snapshots need; nothing was changed.
        SelectionError: no disk can be meant; nothing was changed.
        ValueError: an option cannot be meant; nothing was changed.
    """
    wish = wish_of(options)
    namespace = options["namespace"]
    cluster.expect_uid(options["cluster_uid"])
    _require_class(cluster, options["snapshot_class"], wish.take)
    if options["spread"] and not check:
        clock.sleep(random.uniform(0, options["spread"]))
    claims = cluster.list("PersistentVolumeClaim", "v1", namespace, DISKS)
    disks = chosen(map(disk_of, claims), options["students"], options["courses"], options["query"])
    snapshots = [snapshot_of(item) for item in cluster.each("VolumeSnapshot", API, namespace, OURS)]
    now = datetime.now(UTC)
    plan = steps(disks, snapshots, wish, now)
    run = f"{now:%Y%m%d-%H%M%S}-{secrets.token_hex(3)}"
    wanted = [step.disk for step in plan if not step.why_not]
    if check:
        taken = {disk.name: Taken(snapshot_name(disk, now), now, "") for disk in wanted}
        return _report(run, plan, taken, _prunings(plan, wish, now, taken), {})
    parallel, timeout = options["parallel"], options["timeout"]
    order = Order(namespace, options["snapshot_class"], options["reason"], run, now, parallel, timeout)
    taken = take_all(cluster, wanted, order, clock)
    prunings = _prunings(plan, wish, now, taken)
    going = [snapshot for found in prunings for snapshot in found.remove]
    report = _report(run, plan, taken, prunings, remove_all(cluster, going, parallel, timeout, clock))
    _tell(cluster, plan, report, now)
    return report


def _prunings(plan: Iterable[Step], wish: Wish, now: datetime, taken: Mapping[str, Taken]) -> list[Pruning]:
    """Return what goes of each disk's snapshots, in the order of the plan."""
    nothing = Taken("", None, "")
    new = [(step, taken.get(step.disk.name, nothing)) for step in plan]
    return [pruning(step, wish, now, found.name, found.time) for step, found in new]


def _require_class(cluster: Any, name: str, needed: bool) -> None:
    """Refuse a class that is not there, before anything is taken."""
    if needed and cluster.get("VolumeSnapshotClass", name, None, API) is None:
        hint = "Name one that there is, or run the role storage, which makes it."
        raise ClusterError("take snapshots with", f"VolumeSnapshotClass {name}", "it is not there", hint, 404)


def _report(
    run: str, plan: Sequence[Step], taken: Mapping[str, Taken], prunings: Iterable[Pruning], errors: Mapping[str, str]
) -> Report:
    """Tell what became of each disk; ``errors`` says by name why a snapshot could not be removed."""
    rows = [_row(step, taken.get(step.disk.name), pruned, errors) for step, pruned in zip(plan, prunings, strict=True)]
    return Report(rows, listing(plan, rows), run)


def _row(step: Step, found: Taken | None, pruned: Pruning, errors: Mapping[str, str]) -> Json:
    trouble = [found.message] if found and found.message else []
    trouble += [errors[item.name] for item in pruned.remove if errors.get(item.name)]
    return {
        "student": step.disk.student,
        "disk": step.disk.name,
        "snapshot": found.name if found and found.time else "",
        "state": "failed" if trouble else "taken" if found else "skipped",
        "message": " ".join(trouble) or step.why_not,
        "removed": [item.name for item in pruned.remove if not errors.get(item.name)],
        "held_back": list(pruned.held_back),
        "strange": list(pruned.strange),
    }


def _tell(cluster: Any, plan: Iterable[Step], report: Report, now: datetime) -> None:
    """Put a warning beside each disk that failed, where staff look for the reason."""
    disks = {step.disk.name: step.disk for step in plan}
    for line in report.disks:
        if line["state"] == "failed":
            # A run that may not write events has still done its work.
            with contextlib.suppress(ClusterError):
                cluster.create(_event(disks[line["disk"]], line["message"], now, report.run))


def _event(disk: Disk, message: str, now: datetime, run: str) -> Json:
    """Return the warning about a disk as an Event; its note may have 1024 characters."""
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
        "reason": "SnapshotFailed",
        "message": message[:1024],
        "source": {"component": "campus.jupyterhub"},
        "firstTimestamp": stamp,
        "lastTimestamp": stamp,
        "count": 1,
    }
