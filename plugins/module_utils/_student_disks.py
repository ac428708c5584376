# Copyright: campus.jupyterhub contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The disks of students: read from their claims, and chosen by student, course or expression. Pure.

A disk is known by its labels and its student by an annotation, never by the claim's name, which KubeSpawner has changed
over the years. Private to the collection: it may change in any release.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any, Final

from ansible_collections.campus.jupyterhub.plugins.module_utils._quantity import to_bytes

try:
    import jmespath
except ImportError:  # reported by name where an expression is used
    jmespath = None

Json = dict[str, Any]

DISKS: Final = "component=singleuser-storage"
STUDENT: Final = "hub.jupyter.org/username"
COURSE: Final = "campus.jupyterhub/course"

NAMES: Final = {"type": "list", "elements": "str", "default": []}
CHOICE: Final[Json] = {
    "namespace": {"type": "str", "required": True},
    "students": NAMES,
    "courses": NAMES,
    "query": {"type": "str", "default": ""},
    "cluster_uid": {"type": "str", "default": ""},
}
"""The options by which modules choose disks; plugins/doc_fragments/student_disks.py documents them."""


class SelectionError(ValueError):
    """No disk can be meant by this choice; the message is for the user."""


@dataclass(frozen=True)
class Disk:
    """A student's disk as its claim tells."""

    name: str
    """Name of the claim."""
    namespace: str
    uid: str
    student: str
    """Name as the student types it; that of the claim where no annotation tells."""
    course: str
    size: int
    """Bytes: what the claim has, or asks for while it has nothing yet."""
    wanted: int
    """Bytes that the claim asks for."""
    storage_class: str
    volume: str
    """Name of the PersistentVolume; empty while there is none."""
    phase: str
    created: str
    """When the claim was made, as the API server writes it."""
    deleting: bool
    labels: Mapping[str, str] = field(default_factory=dict)

    @property
    def bound(self) -> bool:
        """Whether there is a volume that can hold anything."""
        return self.phase == "Bound" and bool(self.volume)


def disk_of(claim: Json) -> Disk:
    """Return the disk of a PersistentVolumeClaim."""
    meta, spec, status = claim["metadata"], claim.get("spec") or {}, claim.get("status") or {}
    labels = dict(meta.get("labels") or {})
    wanted = ((spec.get("resources") or {}).get("requests") or {}).get("storage", 0)
    return Disk(
        name=meta["name"],
        namespace=meta.get("namespace", ""),
        uid=meta.get("uid", ""),
        student=(meta.get("annotations") or {}).get(STUDENT) or meta["name"],
        course=labels.get(COURSE, ""),
        size=to_bytes((status.get("capacity") or {}).get("storage", wanted)),
        wanted=to_bytes(wanted),
        storage_class=spec.get("storageClassName") or "",
        volume=spec.get("volumeName") or "",
        phase=status.get("phase") or "Pending",
        created=meta.get("creationTimestamp") or "",
        deleting=bool(meta.get("deletionTimestamp")),
        labels=labels,
    )


def chosen(
    disks: Iterable[Disk], students: Sequence[str] = (), courses: Sequence[str] = (), query: str = ""
) -> list[Disk]:
    """Return the disks of these students and courses, or all when neither is named, in order of student and name.

    ``query`` is a JMESPath expression over one disk's fields, such as ``storage_class == 'fast'``; a disk for which it
    is true is kept.

    Raises:
        SelectionError: a student or course has no disk, or the expression is wrong.
    """
    every = sorted(disks, key=lambda disk: (disk.student, disk.name))
    _require(students, {disk.student for disk in every}, "student")
    _require(courses, {disk.course for disk in every if disk.course}, "course")
    kept = every
    if students or courses:
        kept = [disk for disk in every if disk.student in students or disk.course in courses]
    return _matching(kept, query) if query else kept


def _require(wanted: Sequence[str], known: set[str], what: str) -> None:
    """Raise SelectionError for the first name that is not known, with names near it."""
    for name in wanted:
        if name not in known:
            near = difflib.get_close_matches(name, sorted(known), n=3, cutoff=0.6)
            hint = f"did you mean {' or '.join(near)}?" if near else f"look at the names of the {len(known)} that have."
            raise SelectionError(f"No {what} '{name}' has a disk here; {hint}")


def _matching(disks: Iterable[Disk], query: str) -> list[Disk]:
    if jmespath is None:
        raise SelectionError("The expression needs the Python package jmespath; install it where the module runs.")
    try:
        expression = jmespath.compile(query)
        return [disk for disk in disks if expression.search(asdict(disk))]
    except jmespath.exceptions.JMESPathError as error:
        raise SelectionError(f"'{query}' is not a JMESPath expression: {' '.join(str(error).split())}.") from error


def required_namespace(options: Mapping[str, Any]) -> str:
    """Return the namespace of the hub whose disks are meant.

    The API server lists all namespaces for an empty one, and would take the disks of several hubs for those of one.

    Raises:
        SelectionError: it is empty, as a field of a form is that was left blank; the message is one sentence.
    """
    namespace = str(options["namespace"] or "")
    if not namespace.strip():
        raise SelectionError("namespace is empty; name the one that the hub is in, such as jupyterhub.")
    return namespace


def require_at_least(options: Mapping[str, Any], least: Mapping[str, int]) -> None:
    """Raise SelectionError for the first option that is below its least value."""
    for name, value in least.items():
        if options[name] < value:
            raise SelectionError(f"{name} is {options[name]}; it is at least {value}.")


def moment(text: str) -> datetime:
    """Return the time that the API server writes as RFC 3339, such as 2026-11-25T09:00:00Z.

    Raises:
        ValueError: the text is no such time.
    """
    return datetime.fromisoformat(text.replace("Z", "+00:00"))
