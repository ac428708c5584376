# Copyright: campus.jupyterhub contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A run of the hub's backup: read, copy, write one archive, and only then let old ones go.

Private to the collection: it may change in any release.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Protocol

from ansible_collections.campus.jupyterhub.plugins.module_utils import _hub_shelf, _retention
from ansible_collections.campus.jupyterhub.plugins.module_utils._cluster import ClusterError
from ansible_collections.campus.jupyterhub.plugins.module_utils._cluster_verbs import Gets, Identifies, Lists, Yields
from ansible_collections.campus.jupyterhub.plugins.module_utils._disk_snapshots import API, OURS
from ansible_collections.campus.jupyterhub.plugins.module_utils._hub_archive import (
    DATABASES,
    DISKS_FILE,
    NONE,
    REASONS,
    SECRETS_FILE,
    SNAPSHOTS_FILE,
    ArchiveError,
)
from ansible_collections.campus.jupyterhub.plugins.module_utils._hub_database import SOURCE, database_of
from ansible_collections.campus.jupyterhub.plugins.module_utils._hub_database_facts import Facts
from ansible_collections.campus.jupyterhub.plugins.module_utils._hub_objects import (
    disks_kept,
    secret_kept,
    snapshots_kept,
)
from ansible_collections.campus.jupyterhub.plugins.module_utils._snapshot_remove import Clock
from ansible_collections.campus.jupyterhub.plugins.module_utils._student_disks import DISKS

Json = dict[str, Any]

VERSION: Final = "0.1.0"
"""Of the collection; galaxy.yml says the same."""
CLOCK: Final = Clock(time.monotonic, time.sleep)
ARGUMENTS: Final[Json] = {
    "namespace": {"type": "str", "required": True},
    "folder": {"type": "path", "required": True},
    "reason": {"type": "str", "choices": [*REASONS], "default": "asked"},
    **SOURCE,
    "secrets": {"type": "list", "elements": "str", "default": [], "no_log": False},
    "optional_secrets": {"type": "list", "elements": "str", "default": [], "no_log": False},
    "canary_user": {"type": "str", "default": ""},
    **_retention.ARGUMENTS,
    "cluster_uid": {"type": "str", "default": ""},
}
"""The options of the module hub_backup."""


class Api(Gets, Identifies, Lists, Yields, Protocol):
    """What a backup needs of a cluster."""


@dataclass(frozen=True)
class Objects:
    """What is kept of the cluster, but for the snapshots, of which there may be too many to hold."""

    secrets: list[Json]
    disks: list[Json]
    without_volume: list[str]


@dataclass(frozen=True)
class Turnover:
    """The archives that were there before, and those that go."""

    before: list[str]
    removed: list[str]


def back_up(
    cluster: Api,
    options: Mapping[str, Any],
    check: bool,
    clock: Clock = CLOCK,
    now: datetime | None = None,
) -> Json:
    """Make an archive, or in check mode tell what would be made, and return what the module returns.

    Raises:
        ArchiveError: it cannot be written; what was there is as it was.
        ClusterError: the cluster does not answer, is another one, or lacks a Secret.
        DatabaseError: the database cannot be copied.
        ValueError: an option cannot be meant.
    """
    policy, database, folder = _retention.policy_if_any(options), database_of(options), Path(options["folder"])
    if not folder.is_dir():
        raise ArchiveError(f"There is no folder {folder} for the backup; make it, or name another one.")
    uid = _uid(cluster, options["cluster_uid"])
    if check:
        now = now or datetime.now(UTC)
        facts = database.facts() if database else Facts(None, None)
        found = _objects(cluster, options)
        number = sum(1 for _pair in _snapshots(cluster, options))
        name, _made = _hub_shelf.free_name(folder, now, options["reason"])
        turnover = _turnover(folder, name, policy, now)
        return _outcome(folder / name, 0, _counts(found, number, facts), found.without_volume, turnover)
    with _hub_shelf.locked(folder, clock), _hub_shelf.workplace(folder) as place:
        now = now or datetime.now(UTC)
        name, made = _hub_shelf.free_name(folder, now, options["reason"])
        facts = database.dump(place / DATABASES[database.kind]) if database else Facts(None, None)
        # Later than the database: whoever is in it has their disk in the list.
        found = _objects(cluster, options)
        number = _write(place, cluster, options, found)
        counts = _counts(found, number, facts)
        info = {
            "made": f"{made.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}",
            "reason": options["reason"],
            "collection": VERSION,
            "namespace": options["namespace"],
            "cluster_uid": uid,
            "database": {"kind": database.kind if database else NONE, **asdict(facts)},
            "counts": {key: counts[key] for key in ("disks", "snapshots", "secrets")},
        }
        size = _hub_shelf.finish(place, info, folder / name)
        turnover = _turnover(folder, name, policy, now)
        _hub_shelf.remove(folder, turnover.removed)
    return _outcome(folder / name, size, counts, found.without_volume, turnover)


def _uid(cluster: Api, wanted: str) -> str:
    """Return the cluster's uid; an account that may not read it is believed."""
    try:
        cluster.expect_uid(wanted)
        return cluster.uid()
    except ClusterError as error:
        if error.status != 403:
            raise
        return wanted


def _objects(cluster: Api, options: Mapping[str, Any]) -> Objects:
    namespace = options["namespace"]
    secrets = [_secret(cluster, namespace, name) for name in options["secrets"]]
    for index, name in enumerate(options["secrets"]):
        if secrets[index] is None:
            hint = "Correct the name, or list it as an optional one."
            raise ClusterError("back up", f"Secret {name}", "it is not there", hint, 404)
    secrets += [_secret(cluster, namespace, name) for name in options["optional_secrets"]]
    kept = {_key(item): secret_kept(item) for item in secrets if item}
    claims = cluster.list("PersistentVolumeClaim", "v1", namespace, DISKS)
    volumes = {item["metadata"]["name"]: item for item in cluster.each("PersistentVolume")}
    return Objects([*kept.values()], *disks_kept(claims, volumes, options["canary_user"]))


def _key(item: Json) -> tuple[str, str]:
    return item["metadata"].get("namespace") or "", item["metadata"]["name"]


def _secret(cluster: Api, namespace: str, name: str) -> Json | None:
    elsewhere, slash, own = name.rpartition("/")
    return cluster.get("Secret", own, elsewhere if slash else namespace)


def _snapshots(cluster: Api, options: Mapping[str, Any]) -> Iterator[Json]:
    """Yield what is kept of each snapshot; none where the cluster has never heard of snapshots."""
    try:
        # As text, which is a fraction of the memory: a hundred thousand of them are held at once.
        contents = {
            str(item["metadata"]["name"]): json.dumps(_slim(item))
            for item in cluster.each("VolumeSnapshotContent", API)
        }
    except ClusterError as error:
        if not error.unknown_kind:
            raise
        return

    def content_of(name: str) -> Json | None:
        return dict(json.loads(contents[name])) if name in contents else None

    every = cluster.each("VolumeSnapshot", API, options["namespace"], OURS)
    yield from snapshots_kept(every, content_of, options["canary_user"])


def _slim(content: Json) -> Json:
    """Return a content without what nobody needs."""
    meta = {key: value for key, value in content["metadata"].items() if key in ("name", "labels", "annotations")}
    handle = (content.get("status") or {}).get("snapshotHandle")
    return {"metadata": meta, "spec": content["spec"], "status": {"snapshotHandle": handle}}


def _write(place: Path, cluster: Api, options: Mapping[str, Any], found: Objects) -> int:
    """Write the lists into the workplace, and return how many snapshots there are."""
    lists: dict[str, Iterable[Json]] = {
        SECRETS_FILE: found.secrets,
        DISKS_FILE: found.disks,
        SNAPSHOTS_FILE: _snapshots(cluster, options),
    }
    for name, items in lists.items():
        with (place / name).open("w", encoding="utf-8") as file:
            number = 0
            for item in items:
                file.write(("[\n" if number == 0 else ",\n") + json.dumps(item, sort_keys=True))
                number += 1
            file.write("\n]\n" if number else "[]\n")
    # Of the last list.
    return number


def _counts(found: Objects, snapshots: int, facts: Facts) -> Json:
    return {
        "disks": len(found.disks),
        "snapshots": snapshots,
        "secrets": len(found.secrets),
        "users": facts.users,
    }


def _turnover(folder: Path, name: str, policy: _retention.Policy | None, now: datetime) -> Turnover:
    """Return what goes, with the new archive among those that count."""
    before = [each for each in _hub_shelf.archives(folder) if each != name]
    # A clock that was set back makes the new one look old.
    removed = [each for each in _hub_shelf.outdated([*before, name], policy, now) if each != name]
    return Turnover(before, removed)


def _outcome(file: Path, size: int, counts: Json, left_out: list[str], turnover: Turnover) -> Json:
    """Return what the module returns."""
    after = sorted({*turnover.before, file.name} - {*turnover.removed})
    return {
        "changed": True,
        "file": str(file),
        "bytes": size,
        "counts": counts,
        "removed": turnover.removed,
        "left_out": left_out,
        "diff": {
            "before": "".join(f"{name}\n" for name in turnover.before),
            "after": "".join(f"{name}\n" for name in after),
        },
    }
