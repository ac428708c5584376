# Copyright: campus.jupyterhub contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A run of the hub's restore: read the archive and the cluster, refuse or make what is missing, and see that it holds.

Each step is done only where it is still to be done, so a run that was stopped is simply repeated. Private to the
collection: it may change in any release.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, Protocol, TypeVar

from ansible_collections.campus.jupyterhub.plugins.module_utils import _side_disk_run
from ansible_collections.campus.jupyterhub.plugins.module_utils._cluster import PASSING, ClusterError
from ansible_collections.campus.jupyterhub.plugins.module_utils._cluster_verbs import (
    Creates,
    Gets,
    Identifies,
    Lists,
    Patches,
)
from ansible_collections.campus.jupyterhub.plugins.module_utils._disk_snapshots import API, CLAIM_UID
from ansible_collections.campus.jupyterhub.plugins.module_utils._disk_swap import reserved_for
from ansible_collections.campus.jupyterhub.plugins.module_utils._hub_archive import Contents
from ansible_collections.campus.jupyterhub.plugins.module_utils._hub_restore_plan import (
    CREATED,
    REPLACED,
    SHOWN,
    DiskStep,
    Plan,
    SecretStep,
    State,
    listing,
    moved,
    plan_of,
)
from ansible_collections.campus.jupyterhub.plugins.module_utils._hub_restore_snapshots import (
    BOUND,
    CONFLICT,
    LOST,
    THERE,
    SnapshotState,
    SnapshotStep,
    unbound,
)
from ansible_collections.campus.jupyterhub.plugins.module_utils._side_disk_run import RestoreError
from ansible_collections.campus.jupyterhub.plugins.module_utils._snapshot_remove import Clock

Json = dict[str, Any]
T = TypeVar("T")

CLAIM: Final = "PersistentVolumeClaim"
VOLUME: Final = "PersistentVolume"
SNAPSHOT: Final = "VolumeSnapshot"
CONTENT: Final = "VolumeSnapshotContent"
STORAGE: Final = "storage.k8s.io/v1"
ARGUMENTS: Final[Json] = {
    "file": {"type": "path", "required": True},
    "namespace": {"type": "str", "default": ""},
    "cluster_uid": {"type": "str", "default": ""},
    "keep_new": {"type": "bool", "default": False},
    "timeout": {"type": "int", "default": 300},
}
"""The options of the module hub_restore."""
FAILED_SECONDS: Final = 30.0
"""How long snapshots are waited for of which the storage knows nothing."""


class StoppedError(RestoreError):
    """The restore had begun when it stopped."""


class Api(Creates, Gets, Identifies, Lists, Patches, Protocol):
    """What a restore needs of a cluster; it cannot delete."""


def restore_hub(
    cluster: Api,
    contents: Contents,
    options: Mapping[str, Any],
    check: bool,
    clock: Clock = _side_disk_run.CLOCK,
) -> Json:
    """Restore what an archive says, or in check mode tell what that would do; returns what the module returns.

    Its ``msg`` says what is in conflict when that was refused; then nothing was changed.

    Raises:
        ClusterError: the cluster does not answer or is another one; nothing was changed.
        RestoreError: the cluster lacks what the archive needs, and nothing was changed.
        StoppedError: it stopped on the way.
    """
    cluster.expect_uid(options["cluster_uid"])
    namespace = options["namespace"] or str(contents.info["namespace"])
    plan = plan_of(contents, namespace, state_of(cluster, contents, namespace))
    if plan.missing:
        raise RestoreError(f"Nothing was restored, since the cluster lacks something. {' '.join(plan.missing)}")
    refused = "" if options["keep_new"] else plan.conflict
    lost: Sequence[str] = ()
    if not refused and not check:
        try:
            lost = _Restore(cluster, plan, options["timeout"], clock).run()
        except (ClusterError, RestoreError) as error:
            raise StoppedError(f"{error} What was made known until then stays; run again to go on.") from error
    return _outcome(contents, plan, refused, len(lost))


def state_of(cluster: Api, contents: Contents, namespace: str) -> State:
    """Return what the cluster knows, as far as it matters for this archive.

    Raises:
        ClusterError: it does not answer.
    """
    home = str(contents.info["namespace"])
    places = [moved(item, home, namespace)["metadata"] for item in contents.secrets]
    found = {
        (meta["namespace"], meta["name"]): cluster.get("Secret", meta["name"], meta["namespace"]) for meta in places
    }
    drivers = set(_names(cluster.list("CSIDriver", STORAGE)))
    for node in cluster.list("CSINode", STORAGE):
        drivers |= {str(each["name"]) for each in node["spec"].get("drivers") or []}
    return State(
        namespaces=frozenset(_names(cluster.list("Namespace"))),
        secrets={place: item for place, item in found.items() if item},
        claims={item["metadata"]["name"]: item for item in cluster.list(CLAIM, "v1", namespace)},
        volumes=cluster.list(VOLUME),
        classes=frozenset(_names(cluster.list("StorageClass", STORAGE))),
        drivers=frozenset(drivers),
        snapshots=_snapshot_state(cluster),
    )


def _names(items: Iterable[Json]) -> list[str]:
    return [str(item["metadata"]["name"]) for item in items]


def _snapshot_state(cluster: Api) -> SnapshotState | None:
    try:
        snapshots, contents = cluster.list(SNAPSHOT, API), cluster.list(CONTENT, API)
    except ClusterError as error:
        if not error.unknown_kind:
            raise
        return None
    return SnapshotState(
        {(item["metadata"]["namespace"], item["metadata"]["name"]): item for item in snapshots},
        {item["metadata"]["name"]: item for item in contents},
    )


class _Restore:
    """What a plan says, done."""

    def __init__(self, api: Api, plan: Plan, seconds: int, clock: Clock) -> None:
        """``seconds`` is how long anything may go on without getting on."""
        self.api, self.plan, self.seconds, self.clock = api, plan, seconds, clock

    def run(self) -> list[str]:
        """Make what is to be made, wait until it holds, and return which snapshots are not in the storage any more."""
        for name in self.plan.namespaces:
            self._make({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
        for secret in self.plan.secrets:
            self._secret(secret)
        # All of them before the first claim: should a hub run by mistake, no student gets a new disk from it.
        for disk in self.plan.disks:
            self._volume(disk)
        for disk in self.plan.disks:
            if disk.state == BOUND:
                self._make(disk.claim)
        uids = self._wait_for_disks()
        for snapshot in self.plan.snapshots:
            self._snapshot(snapshot, uids)
        for snapshot in self.plan.stale:
            meta, uid = snapshot.item["metadata"], uids[snapshot.claim_uid]
            patch = {"metadata": {"annotations": {CLAIM_UID: uid}}}
            self._patch(SNAPSHOT, meta["name"], meta["namespace"], patch, API)
        return self._lost_snapshots()

    def _steadily(self, call: Callable[[], T]) -> T:
        """Return what a call returns, as soon as the API server has time for it."""
        end = self.clock.now() + self.seconds
        while True:
            try:
                return call()
            except ClusterError as error:
                if error.status not in PASSING or self.clock.now() >= end:
                    raise
            self.clock.sleep(1)

    def _make(self, item: Json) -> bool:
        """Make an object and say whether it was made; one of that name that is there already is left alone."""
        unheard = False

        def create() -> bool:
            nonlocal unheard
            try:
                self.api.create(item)
            except ClusterError as error:
                if error.status != 409:
                    unheard = True
                    raise
                # It may be the one whose making was not answered.
                return unheard
            return True

        return self._steadily(create)

    def _patch(self, kind: str, name: str, namespace: str | None, body: Json, api_version: str = "v1") -> None:
        self._steadily(lambda: self.api.patch(kind, name, namespace, body, api_version))

    def _secret(self, step: SecretStep) -> None:
        if step.state == CREATED and self._make(step.item):
            return
        if step.state in (CREATED, REPLACED):
            meta = step.item["metadata"]
            self._patch("Secret", meta["name"], meta["namespace"], {"data": step.item["data"]})

    def _volume(self, step: DiskStep) -> None:
        """Reserve the volume for its claim, so that it fits whoever makes that: it may be the hub."""
        if step.state != BOUND:
            return
        if step.known:
            patch = reserved_for(self.plan.namespace, step.name)
            self._patch(VOLUME, str(step.volume["metadata"]["name"]), None, patch)
        elif not self._make(step.volume):
            name = step.volume["metadata"]["name"]
            raise RestoreError(
                f"A volume {name} was made meanwhile by somebody else; the disk of {step.student} waits."
            )

    def _wait_for_disks(self) -> dict[str, str]:
        """Wait until each claim has its volume, and return its uid by the one that it had."""
        wanted = {step.name: step for step in self.plan.disks if step.state in (BOUND, THERE)}
        uids: dict[str, str] = {}

        def waiting() -> dict[str, float]:
            found = {item["metadata"]["name"]: item for item in self.api.list(CLAIM, "v1", self.plan.namespace)}
            left = {}
            for name, step in wanted.items():
                claim = found.get(name) or {}
                has, volume = (claim.get("spec") or {}).get("volumeName"), step.volume["metadata"]["name"]
                if has and has != volume:
                    raise RestoreError(
                        f"The claim {name} of {step.student} got another volume meanwhile, {has}; theirs is {volume}. "
                        "Stop the hub while restoring."
                    )
                if has and (claim.get("status") or {}).get("phase") == "Bound":
                    uids[step.uid] = str(claim["metadata"]["uid"])
                else:
                    left[f"{step.student} ({name})"] = float(self.seconds)
            return left

        if left := self._until_none(waiting):
            more = f" and {len(left) - SHOWN} more" if len(left) > SHOWN else ""
            raise RestoreError(
                f"Waited {self.seconds} s for the disks to be bound, and these are not: "
                f"{', '.join(left[:SHOWN])}{more}. Look at their events with kubectl describe."
            )
        return uids

    def _snapshot(self, step: SnapshotStep, uids: Mapping[str, str]) -> None:
        """Make a snapshot known; its annotation says which claim has the volume that it was taken of."""
        if step.state != BOUND:
            return
        if step.known:
            self._patch(CONTENT, step.content["metadata"]["name"], None, unbound(step), API)
        else:
            self._make(step.content)
        meta = step.item["metadata"]
        annotations = dict(meta.get("annotations") or {})
        if step.claim_uid and step.claim_uid in uids:
            annotations[CLAIM_UID] = uids[step.claim_uid]
        self._make({**step.item, "metadata": {**meta, "annotations": annotations}})

    def _lost_snapshots(self) -> list[str]:
        """Wait for the snapshots that were made known, and return those that do not get ready.

        Whatever was pruned since the archive was made is gone from the storage. That is no reason to stop.
        """
        wanted = [str(step.item["metadata"]["name"]) for step in self.plan.snapshots if step.state == BOUND]

        def waiting() -> dict[str, float]:
            found = {item["metadata"]["name"]: item for item in self.api.list(SNAPSHOT, API, self.plan.namespace)}
            said = {name: (found.get(name) or {}).get("status") or {} for name in wanted}
            return {
                name: FAILED_SECONDS if status.get("error") else float(self.seconds)
                for name, status in said.items()
                if not status.get("readyToUse")
            }

        return self._until_none(waiting) if wanted else []

    def _until_none(self, waiting: Callable[[], Mapping[str, float]]) -> list[str]:
        """Ask every second what is still waited for, until that is nothing or has not got on for too long.

        ``waiting`` says for each how many seconds that is. Returns what is left then.
        """
        least, since = -1, self.clock.now()
        while True:
            left = self._steadily(waiting)
            if least < 0 or len(left) < least:
                least, since = len(left), self.clock.now()
            if not left or self.clock.now() - since >= max(left.values()):
                return [*left]
            self.clock.sleep(1)


def _outcome(contents: Contents, plan: Plan, refused: str, lost: int) -> Json:
    info = contents.info
    states = [step.state for step in plan.snapshots]
    snapshots = {state: states.count(state) for state in (BOUND, THERE, CONFLICT, LOST)}
    snapshots[BOUND], snapshots[LOST] = snapshots[BOUND] - lost, snapshots[LOST] + lost
    database = {key: info["database"].get(key) for key in ("kind", "revision", "users")}
    return {
        "changed": plan.changed and not refused,
        "msg": refused,
        "namespace": plan.namespace,
        "disks": [step.row() for step in plan.disks],
        "secrets": [step.row() for step in plan.secrets],
        "snapshots": snapshots,
        "database": {**database, "made": info.get("made")},
        "diff": listing(plan),
    }
