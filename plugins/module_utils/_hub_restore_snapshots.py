# Copyright: campus.jupyterhub contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""How snapshots that are in the storage are made known to a cluster again. Pure.

Each gets a content that names it in the storage, and never one that is there for another. A content that was made when
the snapshot was taken cannot be given to a new one, so it stays as it is and a second one is made beside it. Private to
the collection: it may change in any release.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from typing import Any

from ansible_collections.campus.jupyterhub.plugins.module_utils._disk_snapshots import CLAIM_UID
from ansible_collections.campus.jupyterhub.plugins.module_utils._hub_objects import snapshot_handle

Json = dict[str, Any]
Name = tuple[str, str]

BOUND, THERE, CONFLICT, LOST = "bound", "there", "conflict", "lost"


@dataclass(frozen=True)
class SnapshotState:
    """What the cluster knows of snapshots."""

    snapshots: Mapping[Name, Json]
    """All VolumeSnapshots, by namespace and name."""
    contents: Mapping[str, Json]
    """All VolumeSnapshotContents, by name."""


@dataclass(frozen=True)
class SnapshotStep:
    """What becomes of a snapshot."""

    item: Json
    """The VolumeSnapshot: as it is to be made, or as it is."""
    content: Json
    """Its VolumeSnapshotContent: as it is to be made, or as it is."""
    known: bool
    """Whether the cluster has that content."""
    state: str
    message: str = ""

    @property
    def claim_uid(self) -> str:
        """Uid of the claim that the snapshot says it was taken of."""
        return str((self.item["metadata"].get("annotations") or {}).get(CLAIM_UID, ""))


def snapshot_steps(entries: Iterable[Json], namespace: str, state: SnapshotState | None) -> list[SnapshotStep]:
    """Return what becomes of each snapshot of an archive, in order."""
    state = state or SnapshotState({}, {})
    by_handle: dict[Name, list[Json]] = {}
    for content in state.contents.values():
        by_handle.setdefault(_place(content), []).append(content)
    taken = set(state.contents)
    steps = []
    for entry in entries:
        step = _step(entry, namespace, state, by_handle.get(_place(entry["content"]), []), taken)
        taken.add(step.content["metadata"]["name"])
        steps.append(step)
    return steps


def _step(entry: Json, namespace: str, state: SnapshotState, known: Sequence[Json], taken: Set[str]) -> SnapshotStep:
    """Judge one snapshot; ``known`` are the contents that name it in the storage, ``taken`` the names in use."""
    name = str(entry["snapshot"]["metadata"]["name"])
    there = state.snapshots.get((namespace, name))
    if there is not None:
        found = state.contents.get(_content_name(there))
        if found is not None and any(found is content for content in known):
            status = there.get("status") or {}
            gone = bool(status.get("error")) and not status.get("readyToUse")
            return SnapshotStep(there, found, True, LOST if gone else THERE)
        return _conflict(entry, namespace, "another snapshot of that name")
    for content in known:
        if content["metadata"].get("deletionTimestamp"):
            return _conflict(entry, namespace, "it is being deleted")
        reference = content["spec"].get("volumeSnapshotRef") or {}
        holder = state.snapshots.get((reference.get("namespace", ""), reference.get("name", "")))
        if holder is not None and reference.get("uid") in (None, "", holder["metadata"].get("uid")):
            return _conflict(entry, namespace, f"it belongs to {_whose(reference)}")
    for content in known:
        reference = content["spec"].get("volumeSnapshotRef") or {}
        ours = (reference.get("namespace"), reference.get("name")) == (namespace, name)
        if ours and (content["spec"].get("source") or {}).get("snapshotHandle"):
            return _made(entry, namespace, content, taken)
    return _made(entry, namespace, None, taken)


def _conflict(entry: Json, namespace: str, message: str) -> SnapshotStep:
    return replace(_made(entry, namespace, None, frozenset()), state=CONFLICT, message=message)


def _made(entry: Json, namespace: str, found: Json | None, taken: Set[str]) -> SnapshotStep:
    """Return the step that makes a snapshot known by a content, or by a new one."""
    snapshot, kept = entry["snapshot"], entry["content"]
    name = _free(str(kept["metadata"]["name"]), taken)
    reference = {
        "apiVersion": snapshot["apiVersion"],
        "kind": "VolumeSnapshot",
        "namespace": namespace,
        "name": snapshot["metadata"]["name"],
    }
    content = found or {
        **kept,
        "metadata": {**kept["metadata"], "name": name},
        "spec": {**kept["spec"], "volumeSnapshotRef": reference},
    }
    source = {"volumeSnapshotContentName": content["metadata"]["name"]}
    item = {
        **snapshot,
        "metadata": {**snapshot["metadata"], "namespace": namespace},
        "spec": {**snapshot["spec"], "source": source},
    }
    return SnapshotStep(item, content, found is not None, BOUND)


def unbound(step: SnapshotStep) -> Json:
    """Return the patch that lets a content which is known be bound to the snapshot that is made for it."""
    meta = step.item["metadata"]
    return {"spec": {"volumeSnapshotRef": {"namespace": meta["namespace"], "name": meta["name"], "uid": None}}}


def _free(name: str, taken: Set[str]) -> str:
    """Return a name that no content has."""
    number, wanted = 1, name
    while wanted in taken:
        wanted = f"{name}-restored{'' if number == 1 else f'-{number}'}"
        number += 1
    return wanted


def _place(content: Json) -> Name:
    """Return where in the storage a snapshot is."""
    return str(content["spec"]["driver"]), snapshot_handle(content)


def _content_name(snapshot: Json) -> str:
    bound = (snapshot.get("status") or {}).get("boundVolumeSnapshotContentName")
    return str(bound or snapshot["spec"]["source"].get("volumeSnapshotContentName") or "")


def _whose(reference: Json) -> str:
    return f"{reference.get('namespace')}/{reference.get('name')}"
