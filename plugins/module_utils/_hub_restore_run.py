# Copyright: campus.jupyterhub contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A run of the hub's restore: read the archive and the cluster, refuse or make what is missing, and see that it holds.

Each step is done only where it is still to be done, so a run that was stopped is simply repeated. Private to the
collection: it may change in any release.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, Protocol

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
    BOUND,
    CONFLICT,
    CREATED,
    REPLACED,
    SHOWN,
    THERE,
    DiskStep,
    Plan,
    SecretStep,
    State,
    listing,
    moved,
    plan_of,
)
from ansible_collections.campus.jupyterhub.plugins.module_utils._hub_restore_snapshots import (
    SnapshotState,
    SnapshotStep,
    unbound,
)
from ansible_collections.campus.jupyterhub.plugins.module_utils._side_disk_run import RestoreError
from ansible_collections.campus.jupyterhub.plugins.module_utils._snapshot_remove import Clock

Json = dict[str, Any]

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
        RestoreError: the cluster lacks what the archive needs, and nothing was changed; or it stopped on the way.
    """
    cluster.expect_uid(options["cluster_uid"])
    namespace = options["namespace"] or str(contents.info["namespace"])
    plan = plan_of(contents, namespace, state_of(cluster, contents, namespace))
    if plan.missing:
        raise RestoreError(f"Nothing was restored, since the cluster lacks something. {' '.join(plan.missing)}")
    refused = "" if options["keep_new"] else plan.conflict
    if not refused and not check:
        try:
            _Restore(cluster, plan, options["timeout"], clock).run()
        except (ClusterError, RestoreError) as error:
            raise RestoreError(f"{error} What was made known until then stays; run again to go on.") from error
    return _outcome(contents, plan, refused)


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
        """``seconds`` is how long waiting may go on without anything that gets on."""
        self.api, self.plan, self.seconds, self.clock = api, plan, seconds, clock

    def run(self) -> None:
        """Make what is to be made and wait until it holds."""
        for name in self.plan.namespaces:
            self._make({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
        for secret in self.plan.secrets:
            self._secret(secret)
        for disk in self.plan.disks:
            self._disk(disk)
        uids = self._wait_for_disks()
        for snapshot in self.plan.snapshots:
            self._snapshot(snapshot, uids)
        for snapshot in self.plan.stale:
            meta, uid = snapshot.item["metadata"], uids[snapshot.claim_uid]
            patch = {"metadata": {"annotations": {CLAIM_UID: uid}}}
            self.api.patch(SNAPSHOT, meta["name"], meta["namespace"], patch, API)
        self._wait_for_snapshots()

    def _make(self, item: Json) -> bool:
        """Make an object and say whether it was made; one of that name that is there already is left alone."""
        try:
            self.api.create(item)
        except ClusterError as error:
            if error.status != 409:
                raise
            return False
        return True

    def _secret(self, step: SecretStep) -> None:
        if step.state == CREATED and self._make(step.item):
            return
        if step.state in (CREATED, REPLACED):
            meta = step.item["metadata"]
            self.api.patch("Secret", meta["name"], meta["namespace"], {"data": step.item["data"]})

    def _disk(self, step: DiskStep) -> None:
        """Reserve the volume before the claim is made, so that it fits whoever makes that: it may be the hub."""
        if step.state != BOUND:
            return
        if step.known:
            patch = reserved_for(self.plan.namespace, step.name)
            self.api.patch(VOLUME, str(step.volume["metadata"]["name"]), None, patch)
        elif not self._make(step.volume):
            name = step.volume["metadata"]["name"]
            raise RestoreError(
                f"A volume {name} was made meanwhile by somebody else; the disk of {step.student} waits."
            )
        self._make(step.claim)

    def _wait_for_disks(self) -> dict[str, str]:
        """Wait until each claim has its volume, and return its uid by the one that it had."""
        wanted = {step.name: step for step in self.plan.disks if step.state in (BOUND, THERE)}
        uids: dict[str, str] = {}

        def waiting() -> list[str]:
            found = {item["metadata"]["name"]: item for item in self.api.list(CLAIM, "v1", self.plan.namespace)}
            left = []
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
                    left.append(f"{step.student} ({name})")
            return left

        if wanted:
            self._until_none("the disks to be bound", waiting)
        return uids

    def _snapshot(self, step: SnapshotStep, uids: Mapping[str, str]) -> None:
        """Make a snapshot known; its annotation says which claim has the volume that it was taken of."""
        if step.state != BOUND:
            return
        if step.known:
            self.api.patch(CONTENT, step.content["metadata"]["name"], None, unbound(step), API)
        else:
            self._make(step.content)
        meta = step.item["metadata"]
        annotations = dict(meta.get("annotations") or {})
        if step.claim_uid and step.claim_uid in uids:
            annotations[CLAIM_UID] = uids[step.claim_uid]
        self._make({**step.item, "metadata": {**meta, "annotations": annotations}})

    def _wait_for_snapshots(self) -> None:
        wanted = [str(step.item["metadata"]["name"]) for step in self.plan.snapshots if step.state == BOUND]

        def waiting() -> list[str]:
            found = {item["metadata"]["name"]: item for item in self.api.list(SNAPSHOT, API, self.plan.namespace)}
            ready = {name for name, item in found.items() if (item.get("status") or {}).get("readyToUse")}
            return [name for name in wanted if name not in ready]

        if wanted:
            self._until_none("the snapshots to be ready", waiting)

    def _until_none(self, what: str, waiting: Callable[[], list[str]]) -> None:
        """Ask every second what is still waited for, until that is nothing.

        Raises:
            RestoreError: for too long nothing has got on.
        """
        least, since = -1, self.clock.now()
        while True:
            try:
                left = waiting()
            except ClusterError as error:
                if error.status not in PASSING or self.clock.now() - since >= self.seconds:
                    raise
            else:
                if not left:
                    return
                if least < 0 or len(left) < least:
                    least, since = len(left), self.clock.now()
                if self.clock.now() - since >= self.seconds:
                    more = f" and {len(left) - SHOWN} more" if len(left) > SHOWN else ""
                    raise RestoreError(
                        f"Waited {self.seconds} s for {what}, and these are not: {', '.join(left[:SHOWN])}{more}. "
                        "Look at their events with kubectl describe."
                    )
            self.clock.sleep(1)


def _outcome(contents: Contents, plan: Plan, refused: str) -> Json:
    info = contents.info
    states = [step.state for step in plan.snapshots]
    database = {key: info["database"].get(key) for key in ("kind", "revision", "users")}
    return {
        "changed": plan.changed and not refused,
        "msg": refused,
        "namespace": plan.namespace,
        "disks": [step.row() for step in plan.disks],
        "secrets": [step.row() for step in plan.secrets],
        "snapshots": {state: states.count(state) for state in (BOUND, THERE, CONFLICT)},
        "database": {**database, "made": info.get("made")},
        "diff": listing(plan),
    }
