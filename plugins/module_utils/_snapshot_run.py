# Copyright: campus.jupyterhub contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A run of snapshots: choose disks, take, prune, and tell what became of each.

Private to the collection: it may change in any release.
"""

from __future__ import annotations

import random
import secrets
import time
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from ansible_collections.campus.jupyterhub.plugins.module_utils import _retention
from ansible_collections.campus.jupyterhub.plugins.module_utils._cluster import ClusterError
from ansible_collections.campus.jupyterhub.plugins.module_utils._disk_events import warn, warning_about
from ansible_collections.campus.jupyterhub.plugins.module_utils._disk_snapshots import (
    API,
    OURS,
    snapshot_name,
    snapshot_of,
)
from ansible_collections.campus.jupyterhub.plugins.module_utils._snapshot_leftovers import LeftBehind, left_behind
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
    chosen,
    disk_of,
    required_namespace,
)

Json = dict[str, Any]

LEAST = {"parallel": 1, "timeout": 1, "spread": 0, "min_age": 0}
CLOCK = Clock(time.monotonic, time.sleep)
ARGUMENTS: Json = {
    **CHOICE,
    "take": {"type": "bool", "default": True},
    "snapshot_class": {"type": "str", "default": "jupyterhub"},
    "reason": {"type": "str", "default": "asked for"},
    "min_age": {"type": "int", "default": 0},
    **_retention.ARGUMENTS,
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
    left_behind: list[Json] = field(default_factory=list)
    """A dictionary a content that an earlier run left behind: content, snapshot, state, message."""

    def count(self, state: str) -> int:
        """Return how many disks ended in a state."""
        return sum(1 for disk in self.disks if disk["state"] == state)

    @property
    def removed(self) -> int:
        """How many snapshots were removed."""
        return sum(len(disk["removed"]) for disk in self.disks)

    def along_with(self, left_behind: Iterable[Json]) -> Report:
        """Return the report of a run that also removed, or would remove, what an earlier one left behind."""
        rows = list(left_behind)
        lines = [f"left behind: {each['content']}\n" for each in rows if each["state"] == "removed"]
        diff = {**self.diff, "before": "".join([self.diff["before"], *lines])}
        return replace(self, left_behind=rows, diff=diff)

    def as_dict(self) -> Json:
        """Return what the module returns."""
        taken = sum(1 for disk in self.disks if disk["snapshot"])
        return {
            "changed": bool(taken or self.removed or any(each["state"] == "removed" for each in self.left_behind)),
            "run": self.run,
            "disks": self.disks,
            "taken": taken,
            "skipped": self.count("skipped"),
            # The word failed alone is Ansible's own.
            "failed_disks": self.count("failed"),
            "removed": self.removed,
            "left_behind": self.left_behind,
        }

    @property
    def message(self) -> str:
        """What failed, for people; empty when nothing did."""
        failed = [disk for disk in self.disks if disk["state"] == "failed"]
        more = f" The others are in the list of disks: {len(failed) - 1} more." if len(failed) > 1 else ""
        of_disks = f"{len(failed)} of {len(self.disks)} disks failed. {failed[0]['message']}{more}" if failed else ""
        stuck = [each["message"] for each in self.left_behind if each["state"] == "failed"]
        of_contents = f"What an earlier run left behind is still there. {stuck[0]}" if stuck else ""
        return f"{of_disks} {of_contents}".strip()


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
    return Wish(options["take"], _retention.policy_if_any(options), fraction, options["min_age"])


def snapshot_disks(cluster: Any, options: Mapping[str, Any], check: bool, clock: Clock = CLOCK) -> Report:
    """Run, or in check mode only tell what a run would do.

    Raises:
        ClusterError: the cluster does not answer or lacks what snapshots need; nothing was changed.
        SelectionError: no disk can be meant; nothing was changed.
        ValueError: an option cannot be meant; nothing was changed.
    """
    wish = wish_of(options)
    namespace = required_namespace(options)
    cluster.expect_uid(options["cluster_uid"])
    driver = _driver(cluster, options["snapshot_class"], wish.take)
    if options["spread"] and not check:
        clock.sleep(random.uniform(0, options["spread"]))
    claims = cluster.list("PersistentVolumeClaim", "v1", namespace, DISKS)
    disks = chosen(map(disk_of, claims), options["students"], options["courses"], options["query"])
    snapshots = [snapshot_of(item) for item in cluster.each("VolumeSnapshot", API, namespace, OURS)]
    now = datetime.now(UTC)
    plan = steps(disks, snapshots, wish, now)
    run = f"{now:%Y%m%d-%H%M%S}-{secrets.token_hex(3)}"
    wanted = [step.disk for step in plan if not step.why_not]
    # A run over a few disks is asked about those alone.
    whole = wish.policy is not None and not any(options[name] for name in ("students", "courses", "query"))
    known = {snapshot.name for snapshot in snapshots}
    if check:
        taken = {disk.name: Taken(snapshot_name(disk, now), now, "") for disk in wanted}
        left = _left_behind(cluster, known, namespace, driver) if whole else []
        return _report(run, plan, taken, _prunings(plan, wish, now, taken), {}).along_with(map(_left_row, left))
    parallel, timeout = options["parallel"], options["timeout"]
    order = Order(namespace, options["snapshot_class"], options["reason"], run, now, parallel, timeout)
    taken = take_all(cluster, wanted, order, clock)
    prunings = _prunings(plan, wish, now, taken)
    going = [snapshot for found in prunings for snapshot in found.remove]
    errors = remove_all(cluster, going, parallel, timeout, clock)
    report = _report(run, plan, taken, prunings, errors)
    if whole:
        # Last: what there is to protect comes first.
        known |= {found.name for found in taken.values()}
        report = report.along_with(_remove_left_behind(cluster, known, driver, order, clock))
    _tell(cluster, plan, report, now)
    return report


def _left_behind(cluster: Any, known: Container[str], namespace: str, driver: str) -> list[LeftBehind]:
    """Return what is left of snapshots that are gone; one whose snapshot is there after all is none."""
    contents = cluster.each("VolumeSnapshotContent", API)
    found = left_behind(contents, known, namespace, driver)
    return [each for each in found if cluster.get("VolumeSnapshot", each.name, namespace, API) is None]


def _remove_left_behind(cluster: Any, known: Container[str], driver: str, order: Order, clock: Clock) -> list[Json]:
    """Remove what an earlier run left behind; that it cannot be looked for undoes nothing of this one."""
    try:
        left = _left_behind(cluster, known, order.namespace, driver)
    except ClusterError as error:
        return [_left_row(LeftBehind("", order.namespace, "", ""), str(error))]
    errors = remove_all(cluster, left, order.parallel, order.timeout, clock)
    return [_left_row(each, errors.get(each.name, "")) for each in left]


def _left_row(left: LeftBehind, trouble: str = "") -> Json:
    return {
        "content": left.content,
        "snapshot": left.name,
        "state": "failed" if trouble else "removed",
        "message": trouble,
    }


def _prunings(plan: Iterable[Step], wish: Wish, now: datetime, taken: Mapping[str, Taken]) -> list[Pruning]:
    """Return what goes of each disk's snapshots, in the order of the plan."""
    nothing = Taken("", None, "")
    new = [(step, taken.get(step.disk.name, nothing)) for step in plan]
    return [pruning(step, wish, now, found.name, found.time) for step, found in new]


def _driver(cluster: Any, name: str, needed: bool) -> str:
    """Return whose snapshots those of a class are; one that is needed and not there is refused."""
    found = cluster.get("VolumeSnapshotClass", name, None, API)
    if found is None and needed:
        hint = "Name one that there is, or run the role storage, which makes it."
        raise ClusterError("take snapshots with", f"VolumeSnapshotClass {name}", "it is not there", hint, 404)
    return str((found or {}).get("driver", ""))


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
            disk = disks[line["disk"]]
            warn(cluster, warning_about(disk, "SnapshotFailed", line["message"], now, report.run))
