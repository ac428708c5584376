# Copyright: campus.jupyterhub contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What has to be made so that a cluster knows again whose disk is whose. Pure.

A volume is known by where it is in the storage, never by the name of an object. Nothing is ever deleted, and a claim
that has another volume by now is a conflict: somebody may have worked on it. Private to the collection: it may change
in any release.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from ansible_collections.campus.jupyterhub.plugins.module_utils._hub_archive import Contents
from ansible_collections.campus.jupyterhub.plugins.module_utils._hub_objects import place_of
from ansible_collections.campus.jupyterhub.plugins.module_utils._hub_restore_snapshots import (
    BOUND,
    CONFLICT,
    THERE,
    SnapshotState,
    SnapshotStep,
    snapshot_steps,
)
from ansible_collections.campus.jupyterhub.plugins.module_utils._quantity import to_bytes
from ansible_collections.campus.jupyterhub.plugins.module_utils._student_disks import STUDENT

Json = dict[str, Any]

CREATED, REPLACED, SAME, KEPT = "created", "replaced", "same", "kept"
CERTIFICATE: Final = "kubernetes.io/tls"
SHOWN: Final = 5


@dataclass(frozen=True)
class State:
    """What the cluster knows now."""

    namespaces: frozenset[str]
    secrets: Mapping[tuple[str, str], Json]
    """By namespace and name."""
    claims: Mapping[str, Json]
    """All claims of the namespace, by name."""
    volumes: Sequence[Json]
    """All PersistentVolumes of the cluster."""
    classes: frozenset[str]
    """Names of the StorageClasses."""
    drivers: frozenset[str]
    """Names of the CSI drivers."""
    snapshots: SnapshotState | None
    """None where the cluster has never heard of snapshots."""


@dataclass(frozen=True)
class SecretStep:
    """What becomes of a Secret."""

    item: Json
    state: str
    message: str = ""

    def row(self) -> Json:
        """Return what the module reports, which has no values."""
        meta = self.item["metadata"]
        return {"name": meta["name"], "namespace": meta["namespace"], "state": self.state, "message": self.message}


@dataclass(frozen=True)
class DiskStep:
    """What becomes of a student's disk."""

    student: str
    claim: Json
    """As it is to be made."""
    volume: Json
    """The PersistentVolume: as it is to be made, or as it is."""
    known: bool
    """Whether the cluster has that PersistentVolume."""
    uid: str
    """Uid that the claim had when the archive was made."""
    state: str
    message: str = ""

    @property
    def name(self) -> str:
        """Name of the claim."""
        return str(self.claim["metadata"]["name"])

    def row(self) -> Json:
        """Return what the module reports."""
        return {
            "student": self.student,
            "disk": self.name,
            "volume": str(self.volume["metadata"]["name"]),
            "state": self.state,
            "message": self.message,
        }


@dataclass(frozen=True)
class Plan:
    """What a restore does, in this order."""

    namespace: str
    namespaces: tuple[str, ...]
    """Those that have to be made."""
    secrets: tuple[SecretStep, ...]
    disks: tuple[DiskStep, ...]
    snapshots: tuple[SnapshotStep, ...]
    stale: tuple[SnapshotStep, ...]
    """Snapshots that are there, but say that they were taken of a disk whose claim is made anew."""
    missing: tuple[str, ...]
    """What the cluster lacks, a sentence each: nothing can be restored before it has that."""

    @property
    def changed(self) -> bool:
        """Whether anything is to be made."""
        states = {step.state for step in self.secrets} | {step.state for step in self.disks}
        states |= {step.state for step in self.snapshots}
        return bool(self.namespaces or self.stale or states & {CREATED, REPLACED, BOUND})

    @property
    def conflict(self) -> str:
        """A sentence about what is in conflict, empty when nothing is."""
        parts = []
        disks = [step for step in self.disks if step.state == CONFLICT]
        if disks:
            parts.append(f"the disk of {_listed([f'{step.student} ({step.message})' for step in disks])}")
        secrets = [each for each in self.secrets if each.state == CONFLICT]
        if secrets:
            parts.append(f"the Secret {_listed([_told(step.item, step.message) for step in secrets])}")
        snapshots = [each for each in self.snapshots if each.state == CONFLICT]
        if snapshots:
            parts.append(f"the snapshot {_listed([_told(step.item, step.message) for step in snapshots])}")
        if not parts:
            return ""
        return (
            f"Nothing was restored, since there is another in the place of {'; and '.join(parts)}. Look whether "
            "anybody worked on what is new: take its claim away if it may go, or set keep_new to leave these out. Then "
            "run again."
        )


def plan_of(contents: Contents, namespace: str, state: State) -> Plan:
    """Return what has to be made of an archive's contents in a namespace of a cluster in this state."""
    home = str(contents.info["namespace"])
    secrets = [_secret_step(moved(item, home, namespace), state) for item in contents.secrets]
    volumes = _Volumes.of(state.volumes)
    disks = sorted(
        _apart(_disk_step(entry, namespace, state.claims, volumes) for entry in contents.disks),
        key=lambda step: (step.student, step.name),
    )
    snapshots = snapshot_steps(contents.snapshots, namespace, state.snapshots)
    wanted = {namespace, *(step.item["metadata"]["namespace"] for step in secrets if step.state == CREATED)}
    return Plan(
        namespace=namespace,
        namespaces=tuple(sorted(wanted - state.namespaces)),
        secrets=tuple(secrets),
        disks=tuple(disks),
        snapshots=tuple(snapshots),
        stale=tuple(_stale(disks, snapshots, state)),
        missing=tuple(_missing(disks, snapshots, state)),
    )


def _stale(disks: Iterable[DiskStep], snapshots: Iterable[SnapshotStep], state: State) -> list[SnapshotStep]:
    present = {name: item["metadata"].get("uid") for name, item in state.claims.items()}
    old = {disk.uid for disk in disks if disk.state in (BOUND, THERE) and present.get(disk.name) != disk.uid}
    return [each for each in snapshots if each.state == THERE and each.claim_uid and each.claim_uid in old]


def moved(item: Json, home: str, namespace: str) -> Json:
    """Return an object in the namespace that is restored into; one of another namespace than the hub's stays there."""
    meta = item["metadata"]
    return {**item, "metadata": {**meta, "namespace": namespace if meta["namespace"] == home else meta["namespace"]}}


def _secret_step(item: Json, state: State) -> SecretStep:
    meta = item["metadata"]
    there = state.secrets.get((meta["namespace"], meta["name"]))
    if there is None:
        return SecretStep(item, CREATED)
    has = there.get("type") or "Opaque"
    if has != item["type"]:
        return SecretStep(item, CONFLICT, f"a Secret of the type {has}, and it was {item['type']}")
    if item["data"].items() <= (there.get("data") or {}).items():
        return SecretStep(item, SAME)
    if item["type"] == CERTIFICATE:
        return SecretStep(item, KEPT, "a certificate that is there may be newer")
    if there.get("immutable"):
        return SecretStep(item, CONFLICT, "it is immutable and holds something else")
    return SecretStep(item, REPLACED)


@dataclass(frozen=True)
class _Volumes:
    """The PersistentVolumes of the cluster: thousands of disks look for theirs."""

    by_place: Mapping[str, Sequence[Json]]
    names: frozenset[str]

    @classmethod
    def of(cls, volumes: Iterable[Json]) -> _Volumes:
        """Sort volumes by where in the storage they are."""
        found: dict[str, list[Json]] = {}
        names = set()
        for volume in volumes:
            found.setdefault(_place(volume), []).append(volume)
            names.add(str(volume["metadata"]["name"]))
        return cls(found, frozenset(names))


def _place(volume: Json) -> str:
    return json.dumps(place_of(volume), sort_keys=True)


def _apart(steps: Iterable[DiskStep]) -> list[DiskStep]:
    """Return the steps, with those in conflict that lead to one place in the storage: it is one student's alone."""
    found = list(steps)
    by_place: dict[str, list[DiskStep]] = {}
    for step in found:
        by_place.setdefault(_place(step.volume), []).append(step)

    def judged(step: DiskStep) -> DiskStep:
        others = [each.student for each in by_place[_place(step.volume)] if each is not step]
        if not others or step.state == CONFLICT:
            return step
        return replace(step, state=CONFLICT, message=f"its volume is that of {', '.join(others)} as well")

    return [judged(step) for step in found]


def _disk_step(entry: Json, namespace: str, claims: Mapping[str, Json], volumes: _Volumes) -> DiskStep:
    claim, kept = entry["claim"], entry["volume"]
    name = str(claim["metadata"]["name"])
    student = (claim["metadata"].get("annotations") or {}).get(STUDENT) or name
    # Of several objects for one place in the storage rather the one that the disk had.
    known = sorted(volumes.by_place.get(_place(kept), []), key=lambda each: _name(each) != _name(kept))
    there = claims.get(name)
    if there is not None:
        found, result, message = _with_claim(there, known, namespace)
    else:
        found, result, message = _without_claim(name, kept, known, namespace, volumes.names)
    volume = found or _reserved(kept, namespace, name)
    anew = _claim_for(claim, volume, namespace)
    return DiskStep(student, anew, volume, found is not None, str(entry.get("uid") or ""), result, message)


def _with_claim(there: Json, known: Sequence[Json], namespace: str) -> tuple[Json | None, str, str]:
    """Judge a claim of the disk's name that is there; ``known`` are objects of the volume that the disk had."""
    meta, has = there["metadata"], there["spec"].get("volumeName") or ""
    found = next((volume for volume in known if volume["metadata"]["name"] == has), None)
    if meta.get("deletionTimestamp"):
        return found, CONFLICT, "its claim is being deleted; wait until it is gone"
    if found is None:
        lost = (there.get("status") or {}).get("phase") == "Lost"
        words = f"a claim whose volume {has} is gone" if lost else f"a claim that has the volume {has}"
        return None, CONFLICT, words if has else "a claim that has no volume yet"
    reference = found["spec"].get("claimRef") or {}
    if _is_for(reference, namespace, meta["name"]) and reference.get("uid") in (None, "", meta.get("uid")):
        return found, THERE, ""
    if found["metadata"].get("deletionTimestamp"):
        return found, CONFLICT, "its volume is being deleted"
    if not _is_free(found, namespace, meta["name"]):
        return found, CONFLICT, f"its volume belongs to {_whose(reference)}"
    return found, BOUND, ""


def _without_claim(
    name: str, kept: Json, known: Sequence[Json], namespace: str, taken: frozenset[str]
) -> tuple[Json | None, str, str]:
    """Judge the objects of the volume that the disk had, where no claim has its name; ``taken`` are names in use."""
    if any(volume["metadata"].get("deletionTimestamp") or _phase(volume) == "Failed" for volume in known):
        return known[0], CONFLICT, "its volume is being deleted"
    for volume in known:
        if not _is_free(volume, namespace, name):
            return volume, CONFLICT, f"its volume belongs to {_whose(volume['spec']['claimRef'])}"
    if known:
        return known[0], BOUND, ""
    if kept["metadata"]["name"] in taken:
        return None, CONFLICT, f"another volume is called {kept['metadata']['name']}"
    return None, BOUND, ""


def _name(item: Json) -> str:
    return str(item["metadata"]["name"])


def _phase(volume: Json) -> str:
    return str((volume.get("status") or {}).get("phase") or "")


def _is_free(volume: Json, namespace: str, name: str) -> bool:
    """Say whether a volume is nobody else's, by a claim that is there or by a reservation."""
    reference = volume["spec"].get("claimRef") or {}
    return not reference or _phase(volume) == "Released" or _is_for(reference, namespace, name)


def _is_for(reference: Json, namespace: str, name: str) -> bool:
    return (reference.get("namespace"), reference.get("name")) == (namespace, name)


def _whose(reference: Json) -> str:
    return f"the claim {reference.get('namespace')}/{reference.get('name')}"


def _reserved(volume: Json, namespace: str, name: str) -> Json:
    """Return a volume that is made for a claim, whoever makes that: it may be the hub."""
    reference = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "namespace": namespace, "name": name}
    return {**volume, "spec": {**volume["spec"], "claimRef": reference}}


def _claim_for(claim: Json, volume: Json, namespace: str) -> Json:
    """Return a claim that binds to a volume: of its class, and not larger, as one is that was just being resized."""
    spec, has = claim["spec"], volume["spec"]
    wanted = ((spec.get("resources") or {}).get("requests") or {}).get("storage")
    size = (has.get("capacity") or {}).get("storage")
    if size and (not wanted or to_bytes(wanted) > to_bytes(size)):
        spec = {**spec, "resources": {"requests": {"storage": size}}}
    bound = {"storageClassName": has.get("storageClassName") or "", "volumeName": volume["metadata"]["name"]}
    return {**claim, "metadata": {**claim["metadata"], "namespace": namespace}, "spec": {**spec, **bound}}


def _missing(disks: Iterable[DiskStep], snapshots: Sequence[SnapshotStep], state: State) -> list[str]:
    new = [step for step in disks if step.state == BOUND]
    classes = {step.claim["spec"]["storageClassName"] for step in new} - {""} - state.classes
    drivers = {(step.volume["spec"].get("csi") or {}).get("driver", "") for step in new}
    drivers |= {step.content["spec"]["driver"] for step in snapshots if step.state == BOUND}
    found = [f"It has no StorageClass {name}: run the role storage, or make it." for name in sorted(classes)]
    found += [
        f"It has no CSI driver {name}: run the role storage, or install it."
        for name in sorted(drivers - {""} - state.drivers)
    ]
    if state.snapshots is None and snapshots:
        found.append("It does not know snapshots: run the role storage, which brings their kinds and the controller.")
    return found


def listing(plan: Plan) -> Json:
    """Return the plan as a diff: what is known before, and after. It has no values of Secrets."""
    before, after = [], []
    for name in plan.namespaces:
        after.append(f"Namespace {name}")
    for secret in plan.secrets:
        meta = secret.item["metadata"]
        line = f"Secret {meta['namespace']}/{meta['name']}"
        keys = f"{line}: {', '.join(sorted(secret.item['data']))} of the archive"
        before += [] if secret.state == CREATED else [keys if secret.state == SAME else line]
        after.append(line if secret.state in (CONFLICT, KEPT) else keys)
    for disk in plan.disks:
        line = f"{disk.student}: {disk.name} on {disk.volume['metadata']['name']}"
        before += {THERE: [line], CONFLICT: [f"{disk.student}: {disk.message}"]}.get(disk.state, [])
        after.append(f"{disk.student}: {disk.message}" if disk.state == CONFLICT else line)
    for snapshot in plan.snapshots:
        line = f"Snapshot {snapshot.item['metadata']['name']}"
        before += [] if snapshot.state == BOUND else [line]
        after.append(line)
    return {key: "".join(f"{line}\n" for line in lines) for key, lines in (("before", before), ("after", after))}


def _told(item: Json, message: str) -> str:
    return f"{item['metadata']['name']} ({message})"


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return f"{', '.join(names[:SHOWN])}{more}"
