# Copyright: campus.jupyterhub contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a restore is going to do: whose disk, which snapshot, what goes where. Pure.

Private to the collection: it may change in any release.
"""

from __future__ import annotations

import difflib
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

from ansible_collections.campus.jupyterhub.plugins.module_utils._disk_snapshots import Snapshot
from ansible_collections.campus.jupyterhub.plugins.module_utils._retention import from_the_future
from ansible_collections.campus.jupyterhub.plugins.module_utils._student_disks import Disk, SelectionError

Json = dict[str, Any]

SIDE: Final = "side_disk"
PATH: Final = "path"
WHOLE: Final = "whole_disk"

LONGEST_NAME: Final = 63
SHOWN: Final = 5


@dataclass(frozen=True)
class Request:
    """What is asked for, checked as far as it can be without the cluster."""

    student: str
    disk: str
    snapshot: str
    time: datetime | None
    path: str
    whole_disk: bool
    to: str
    into: str
    keep_side_disk: bool
    zone: ZoneInfo
    now: datetime

    @property
    def mode(self) -> str:
        """One of SIDE, PATH and WHOLE."""
        return WHOLE if self.whole_disk else PATH if self.path else SIDE


@dataclass(frozen=True)
class Plan:
    """A restore that can be done."""

    mode: str
    student: str
    disk: str
    """Name of the student's claim, also where the claim itself is gone."""
    present: Disk | None
    """The student's disk; None where it is gone."""
    snapshot: Snapshot
    path: str
    into: str
    side_disk: str
    """Name of the claim of the disk made from the snapshot."""
    run: str
    """Name of this very restore: the same for a repeat, so that it goes on where it stopped."""
    keep_side_disk: bool
    size: int
    """Bytes of the disk made from the snapshot."""

    def as_dict(self) -> Json:
        """Return what the module reports of it."""
        return {
            "mode": self.mode,
            "student": self.student,
            "disk": self.disk,
            "snapshot": self.snapshot.name,
            "taken": written(self.snapshot.taken),
            "path": self.path,
            "into": self.into,
            "side_disk": self.side_disk,
            "size": self.size,
        }

    def sentence(self) -> str:
        """Return for people what will be done."""
        source = f"snapshot {self.snapshot.name} of {written(self.snapshot.taken)}"
        if self.mode == WHOLE:
            return f"The whole disk {self.disk} of {self.student} becomes what {source} holds."
        if self.mode == PATH:
            return f"'{self.path}' of {source} goes into the folder '{self.into}' of {self.student}'s home."
        return f"A side disk {self.side_disk} is made from {source} of {self.student}."


def written(moment: datetime) -> str:
    """Return a time as the API server writes it."""
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def request_of(options: Mapping[str, Any], now: datetime) -> Request:
    """Return what the module's options ask for.

    Raises:
        SelectionError: they contradict each other, or one of them cannot be meant.
    """
    path, whole, to = options.get("path") or "", bool(options.get("whole_disk")), options.get("to") or ""
    snapshot, time = options.get("snapshot") or "", options.get("time") or ""
    if path and whole:
        raise SelectionError("path and whole_disk exclude each other; leave one of them out.")
    if snapshot and time:
        raise SelectionError("snapshot and time exclude each other; leave one of them out.")
    if whole and not (snapshot or time):
        raise SelectionError("A whole disk is replaced only when the snapshot or the time is named.")
    if to and not _is_name(to):
        raise SelectionError(f"'{to}' is no name for a side disk; use up to {LONGEST_NAME} of a-z, 0-9 and '-'.")
    return Request(
        student=options["student"],
        disk=options.get("disk") or "",
        snapshot=snapshot,
        time=time_of(time, now) if time else None,
        path=home_path(path, "path") if path else "",
        whole_disk=whole,
        to=to,
        into=home_path(options["into"], "into") if options.get("into") else "",
        keep_side_disk=bool(options.get("keep_side_disk")),
        zone=zone_of(options.get("timezone") or "UTC"),
        now=now,
    )


def time_of(text: str, now: datetime) -> datetime:
    """Return the time that a text names, in UTC.

    Raises:
        SelectionError: it is no time of ISO 8601 with a zone, or has not been yet.
    """
    try:
        named = datetime.fromisoformat(text.strip().replace("Z", "+00:00"))
        time = named.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise SelectionError(f"'{text}' is no time; write it as 2026-11-25T09:00:00+01:00.") from error
    if named.tzinfo is None:
        raise SelectionError(f"'{text}' does not say which time zone; write it as 2026-11-25T09:00:00+01:00.")
    if time > now:
        raise SelectionError(f"'{text}' has not been yet; name a time up to {written(now)}.")
    return time


def zone_of(name: str) -> ZoneInfo:
    """Return the time zone of this name; raises SelectionError when there is none."""
    try:
        return ZoneInfo(name)
    except (ValueError, OSError, KeyError) as error:
        raise SelectionError(f"'{name}' is no time zone; write it as Europe/Berlin.") from error


def home_path(text: str, option: str) -> str:
    """Return a path below the home without empty names.

    Raises:
        SelectionError: it is absolute, leads out, or is the home itself.
    """
    names = [name for name in text.split("/") if name not in ("", ".")]
    if text.startswith("/") or ".." in names or "\0" in text:
        raise SelectionError(f"{option} '{text}' is not inside the home; write it from there, such as hw/lab3.ipynb.")
    if not names:
        raise SelectionError(f"{option} '{text}' is the whole home; name a file or folder in it, or use whole_disk.")
    return "/".join(names)


def plan(request: Request, disks: Iterable[Disk], snapshots: Iterable[Snapshot]) -> Plan:
    """Return what has to be done.

    Args:
        request: what is asked for.
        disks: all of the namespace.
        snapshots: those of the student; where ``to`` is named those of all students.

    Raises:
        SelectionError: there is no such student, disk or snapshot, the snapshot cannot be used, or ``to`` is taken.
    """
    every, taken = list(disks), list(snapshots)
    _require_free(request.to, every, taken)
    name = disk_name(request, every, taken)
    present = next((disk for disk in every if disk.name == name), None)
    if present and present.deleting:
        raise SelectionError(f"The disk {name} of {request.student} is being deleted; wait until it is gone.")
    if request.mode == PATH and not (present and present.bound):
        raise SelectionError(f"{request.student} has no disk to restore into; use whole_disk to get it back.")
    own = sorted(
        (each for each in taken if each.disk == name and _shows(each, request.student, present)),
        key=lambda each: (each.taken, each.name),
    )
    snapshot = snapshot_for(request, own)
    run = run_name(request.mode, snapshot.uid, request.path, request.into, request.to)
    return Plan(
        mode=request.mode,
        student=request.student,
        disk=name,
        present=present,
        snapshot=snapshot,
        path=request.path,
        into=(request.into or f"restored/{snapshot.taken.astimezone(request.zone):%Y-%m-%d %H%M}")
        if request.mode == PATH
        else "",
        side_disk=(request.mode != WHOLE and request.to) or run,
        run=run,
        # A side disk for its own sake is the result.
        keep_side_disk=request.mode != WHOLE and (request.keep_side_disk or request.mode == SIDE),
        size=_size(snapshot, present, request.mode == WHOLE),
    )


def _require_free(to: str, disks: Iterable[Disk], snapshots: Iterable[Snapshot]) -> None:
    """Raise SelectionError when a side disk would have the name of a student's disk, also of one that is gone.

    The hub looks for disks by name: a student would work on a copy that goes with its claim.
    """
    if to in {disk.name for disk in disks} | {each.disk for each in snapshots}:
        raise SelectionError(f"'{to}' is the name of a student's disk; choose another name by to.")


def _size(snapshot: Snapshot, present: Disk | None, takes_its_place: bool) -> int:
    """Return the bytes that a disk made from a snapshot needs."""
    if present and takes_its_place:
        return max(snapshot.size, present.size, present.wanted)
    # Not every driver says how much a snapshot needs; never more than its disk.
    return snapshot.size or (present.size if present else 1)


def _shows(snapshot: Snapshot, student: str, present: Disk | None) -> bool:
    """Say whether a snapshot of a claim of this name is the student's: another one may have had it before."""
    return snapshot.student == student or (present is not None and snapshot.disk_uid == present.uid)


def disk_name(request: Request, disks: Sequence[Disk], snapshots: Sequence[Snapshot]) -> str:
    """Return the name of the student's disk; one that is gone is known by its snapshots.

    Raises:
        SelectionError: the student is unknown, or which of several disks is meant.
    """
    there = {disk.name: disk.student for disk in disks}
    owners = {*there.items(), *((each.disk, each.student) for each in snapshots if each.disk not in there)}
    own = sorted(name for name, student in owners if student == request.student)
    if not own:
        known = [student for _name, student in owners]
        raise SelectionError(f"No student '{request.student}' has a disk here; {_near(request.student, known)}")
    if request.disk and request.disk not in own:
        raise SelectionError(f"{request.student} has no disk '{request.disk}'; {_near(request.disk, own)}")
    if not request.disk and len(own) > 1:
        raise SelectionError(f"{request.student} has {len(own)} disks; name one by disk: {', '.join(own)}.")
    return request.disk or own[0]


def snapshot_for(request: Request, own: Sequence[Snapshot]) -> Snapshot:
    """Return the snapshot that is meant, of those of one disk in order of time.

    Raises:
        SelectionError: there is none, or it cannot be used.
    """
    if request.snapshot:
        named = next((each for each in own if each.name == request.snapshot), None)
        if named is None:
            known = [each.name for each in own]
            raise SelectionError(
                f"{request.student} has no snapshot '{request.snapshot}'; {_near(request.snapshot, known)}"
            )
        return _usable(named)
    good = [each for each in own if each.good]
    if not good:
        raise SelectionError(f"{request.student} has no good snapshot yet, of {len(own)} that were begun.")
    past = [each for each in good if not from_the_future(each.taken, request.now)]
    if not past:
        raise SelectionError(
            f"All good snapshots of {request.student} are dated in the future, so the newest is not known; name one by "
            f"snapshot, such as {good[-1].name}."
        )
    if request.time is None:
        return past[-1]
    before = [each for each in past if each.taken <= request.time]
    if not before:
        raise SelectionError(
            f"{request.student} has no snapshot of {written(request.time)} or before; "
            f"the first is of {written(past[0].taken)}."
        )
    return before[-1]


def _usable(snapshot: Snapshot) -> Snapshot:
    if snapshot.deleting:
        raise SelectionError(f"The snapshot {snapshot.name} is being deleted; choose another.")
    if snapshot.error and not snapshot.ready:
        raise SelectionError(f"The snapshot {snapshot.name} failed ({snapshot.error}); choose another.")
    if not snapshot.ready:
        raise SelectionError(f"The snapshot {snapshot.name} is not ready yet; wait for it, or choose another.")
    return snapshot


def run_name(*what: str) -> str:
    """Return the name for a restore of these: a snapshot's uid and what is made of it."""
    digest = hashlib.sha256("\0".join(what).encode("utf-8", "surrogateescape")).hexdigest()
    return f"restore-{digest[:16]}"


def _is_name(text: str) -> bool:
    inner = text.replace("-", "")
    return (
        len(text) <= LONGEST_NAME
        and inner.isascii()
        and inner.isalnum()
        and inner == inner.lower()
        and text == text.strip("-")
    )


def _near(name: str, known: Iterable[str]) -> str:
    """Return the half sentence with known names near a wrong one."""
    every = sorted(set(known))
    near = difflib.get_close_matches(name, every, n=3, cutoff=0.6)
    if near:
        return f"did you mean {' or '.join(near)}?"
    if not every:
        return "there is none."
    more = f" and {len(every) - SHOWN} more" if len(every) > SHOWN else ""
    return f"there are {', '.join(every[:SHOWN])}{more}."
