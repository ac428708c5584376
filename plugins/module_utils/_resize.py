# Copyright: campus.jupyterhub contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Make students' disks larger.

Private to the collection: it may change in any release.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Protocol

from ansible_collections.campus.jupyterhub.plugins.module_utils._cluster import PASSING, ClusterError
from ansible_collections.campus.jupyterhub.plugins.module_utils._cluster_verbs import Gets, Lists, Patches
from ansible_collections.campus.jupyterhub.plugins.module_utils._quantity import to_bytes
from ansible_collections.campus.jupyterhub.plugins.module_utils._rollout import condition, is_true
from ansible_collections.campus.jupyterhub.plugins.module_utils._student_disks import (
    CHOICE,
    DISKS,
    Disk,
    SelectionError,
    chosen,
    disk_of,
)

Json = dict[str, Any]

CLAIM: Final = "PersistentVolumeClaim"
STEP_SECONDS: Final = 1.0
SHOWN: Final = 5

UNCHANGED, ASKED, GROWN, AT_START, FAILED = "unchanged", "asked", "grown", "at_next_start", "failed"

ARGUMENTS: dict[str, Any] = {
    **CHOICE,
    "size": {"type": "str", "required": True},
    "wait": {"type": "bool", "default": True},
    "timeout": {"type": "int", "default": 300},
}


class Api(Gets, Lists, Patches, Protocol):
    """What resizing needs of a cluster."""


@dataclass(frozen=True)
class Resize:
    """One disk and what becomes of it."""

    disk: Disk
    size: int
    """Bytes that it is to have."""
    state: str
    message: str = ""

    @property
    def is_new(self) -> bool:
        """Whether the size has not been asked for yet."""
        return self.disk.wanted < self.size

    def as_dict(self) -> Json:
        """Return what the module reports."""
        return {
            "student": self.disk.student,
            "disk": self.disk.name,
            "before": self.disk.wanted,
            "after": self.size,
            "state": self.state,
            "message": self.message,
        }


def plan(disks: Sequence[Disk], size: int, classes: Mapping[str, bool]) -> list[Resize]:
    """Return what is to be done with each disk.

    Args:
        disks: the chosen ones.
        size: bytes that they are to have.
        classes: whether disks of a StorageClass can grow, by its name.

    Raises:
        SelectionError: a disk would shrink, cannot grow, or is not made yet; then none is changed.
    """
    larger = [disk for disk in disks if size < max(disk.wanted, disk.size)]
    if larger:
        least = max(max(disk.wanted, disk.size) for disk in larger)
        raise SelectionError(f"A disk never shrinks, and {_names(larger)} larger; name {least} bytes or more.")
    growing = [disk for disk in disks if disk.wanted < size]
    fixed = [disk for disk in growing if not classes.get(disk.storage_class)]
    if fixed:
        raise SelectionError(
            f"Disks of the StorageClass {fixed[0].storage_class} cannot grow, and {_names(fixed)} of it; "
            "set allowVolumeExpansion there if its driver can."
        )
    unmade = [disk for disk in growing if not disk.bound or disk.deleting]
    if unmade:
        raise SelectionError(
            f"Only a disk that is in place can grow, and {_names(unmade)} not; start the student's server once."
        )
    # An earlier run may have asked for it: a disk that is still on its way is not one that stays as it is.
    on_the_way = [disk for disk in disks if disk.bound and not disk.deleting and disk.size < size]
    return [Resize(disk, size, ASKED if disk in growing or disk in on_the_way else UNCHANGED) for disk in disks]


def _names(disks: Sequence[Disk]) -> str:
    """Return whose disks these are, as the subject of a sentence and its verb."""
    names = [disk.student for disk in disks]
    more = [f"{len(names) - SHOWN} more"] if len(names) > SHOWN else []
    return f"that of {', '.join(names[:SHOWN] + more)} is"


def state_of(claim: Json | None, size: int) -> tuple[str, str]:
    """Return how far a claim is on its way to a size, and what stands in the way."""
    if claim is None:
        return FAILED, "the claim was removed meanwhile"
    status = claim.get("status") or {}
    has = (status.get("capacity") or {}).get("storage")
    if has and to_bytes(has) >= size:
        return GROWN, ""
    if is_true(claim, "FileSystemResizePending"):
        return AT_START, "it grows when the student's server starts next"
    for kind in ("ControllerResizeError", "NodeResizeError"):
        if is_true(claim, kind):
            return ASKED, str(condition(claim, kind).get("message") or kind)
    return ASKED, ""


def wait(
    api: Api,
    asked: Iterable[Resize],
    seconds: int,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> list[Resize]:
    """Return the disks as they are when all have grown, grow at the next start, or the time is over: then failed."""
    end = clock() + seconds
    every = list(asked)
    while True:
        late = clock() >= end
        try:
            every = [_look(api, each) if each.state == ASKED else each for each in every]
        except ClusterError as error:
            if late or error.status not in PASSING:
                raise
        if late or all(each.state != ASKED for each in every):
            return [_given_up(each, seconds) if each.state == ASKED else each for each in every]
        sleep(STEP_SECONDS)


def _look(api: Api, asked: Resize) -> Resize:
    state, message = state_of(api.get(CLAIM, asked.disk.name, asked.disk.namespace), asked.size)
    return replace(asked, state=state, message=message)


def _given_up(asked: Resize, seconds: int) -> Resize:
    message = asked.message or f"it has not grown within {seconds} s"
    return replace(asked, state=FAILED, message=message)


def ask_for(api: Api, wanted: Resize) -> Resize:
    """Ask for the size of one disk unless that was done; one that is refused does not stop the others."""
    if not wanted.is_new:
        return wanted
    body = {"spec": {"resources": {"requests": {"storage": str(wanted.size)}}}}
    try:
        api.patch(CLAIM, wanted.disk.name, wanted.disk.namespace, body)
    except ClusterError as error:
        return replace(wanted, state=FAILED, message=str(error))
    return wanted


def resize(api: Api, options: Mapping[str, Any], check_mode: bool) -> Json:
    """Return what became of the chosen disks.

    Raises:
        SelectionError: the choice or the size cannot be meant; nothing was changed.
        ClusterError: the cluster did not answer.
    """
    try:
        size = to_bytes(options["size"])
    except ValueError as error:
        raise SelectionError(f"size {error}") from error
    claims = api.list(CLAIM, "v1", options["namespace"], DISKS)
    disks = chosen(map(disk_of, claims), options["students"], options["courses"], options["query"])
    classes = {
        each["metadata"]["name"]: bool(each.get("allowVolumeExpansion"))
        for each in api.list("StorageClass", "storage.k8s.io/v1")
    }
    done = plan(disks, size, classes)
    changed = any(each.is_new for each in done)
    diff = {
        "before": "".join(f"{each.disk.student} {each.disk.name} {each.disk.wanted}\n" for each in done),
        "after": "".join(f"{each.disk.student} {each.disk.name} {max(each.size, each.disk.wanted)}\n" for each in done),
    }
    if not check_mode:
        done = [ask_for(api, each) for each in done]
        if options["wait"]:
            done = wait(api, done, options["timeout"])
    failed = [each for each in done if each.state == FAILED]
    message = "; ".join(f"{each.disk.name} of {each.disk.student}: {each.message}" for each in failed[:SHOWN])
    return {
        "changed": changed,
        "disks": [each.as_dict() for each in done],
        "failed_disks": len(failed),
        "msg": f"{len(failed)} of {len(done)} disks did not grow: {message}" if failed else "",
        "diff": diff,
    }
