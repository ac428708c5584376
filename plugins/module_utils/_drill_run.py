# Copyright: campus.jupyterhub contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Carry out a restore drill, one side disk after the other; none is left.

Private to the collection: it may change in any release.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from ansible_collections.campus.jupyterhub.plugins.module_utils._cluster import ClusterError
from ansible_collections.campus.jupyterhub.plugins.module_utils._disk_snapshots import API, OURS
from ansible_collections.campus.jupyterhub.plugins.module_utils._drill import (
    COMPARE,
    DIFFERENT,
    EQUAL,
    FAILED,
    RECORD,
    RECORDED,
    Trial,
    sentence,
    trials,
)
from ansible_collections.campus.jupyterhub.plugins.module_utils._manifest import differences, recorded
from ansible_collections.campus.jupyterhub.plugins.module_utils._restore_plan import run_name
from ansible_collections.campus.jupyterhub.plugins.module_utils._side_disk import (
    Template,
    as_volume,
    hashes_of,
    pod,
    side_claim,
)
from ansible_collections.campus.jupyterhub.plugins.module_utils._side_disk_run import (
    Api,
    RestoreError,
    SideDisks,
    template_of,
)
from ansible_collections.campus.jupyterhub.plugins.module_utils._student_disks import (
    CHOICE,
    DISKS,
    chosen,
    disk_of,
    require_at_least,
)

Json = dict[str, Any]

CLAIM = "PersistentVolumeClaim"
ARGUMENTS: dict[str, Any] = {
    **CHOICE,
    "actions": {
        "type": "list",
        "elements": "str",
        "choices": [COMPARE, RECORD],
        "default": [COMPARE, RECORD],
    },
    "sample": {"type": "int", "default": 5},
    "seed": {"type": "str", "default": ""},
    "image": {"type": "str", "default": ""},
    "scratch_class": {"type": "str", "default": "jupyterhub-scratch"},
    "timeout": {"type": "int", "default": 600},
}


def drill(api: Api, options: Mapping[str, Any], check_mode: bool, sides: SideDisks | None = None) -> Json:
    """Return what a drill found; ``failed_trials`` counts what differs or could not be restored.

    Raises:
        SelectionError: no disk can be meant, or an option is below what is possible.
        RestoreError: nothing can be restored here, whichever it is.
        ClusterError: the cluster does not answer.
    """
    namespace = options["namespace"]
    sides = sides or SideDisks(api, namespace, options["timeout"])
    template = template_of(api, namespace, options["image"])
    require_at_least(options, {"sample": 0, "timeout": 1})
    _require_scratch(api, options["scratch_class"])
    claims = api.list(CLAIM, "v1", namespace, DISKS)
    disks = chosen(map(disk_of, claims), options["students"], options["courses"], options["query"])
    items = api.list("VolumeSnapshot", API, namespace, OURS)
    seed = options["seed"] or f"{datetime.now(UTC):%Y-%m-%d}"
    wanted = trials(disks, items, options["actions"], options["sample"], seed)
    if check_mode:
        rows = [each.row() for each in wanted]
    else:
        rows = [_try(sides, each, template, options["scratch_class"]) for each in wanted]
    return {
        "changed": any(each.action == RECORD for each in wanted),
        "disks": rows,
        "failed_trials": sum(row["state"] in (DIFFERENT, FAILED) for row in rows),
        "msg": f"{len(rows)} snapshots would be restored to side disks." if check_mode else sentence(rows),
        "diff": {
            "before": "",
            "after": "".join(f"{each.action} {each.snapshot.name} of {each.disk.student}\n" for each in wanted),
        },
    }


def _require_scratch(api: Api, name: str) -> None:
    """Raise RestoreError unless the disks of a StorageClass go with their claims."""
    found = api.get("StorageClass", name, None, "storage.k8s.io/v1")
    if found is None:
        raise RestoreError(f"There is no StorageClass {name} to make side disks in; name another.")
    if found.get("reclaimPolicy") == "Retain":
        raise RestoreError(
            f"The StorageClass {name} retains its volumes, so the copies would stay; name one that deletes them."
        )


def _try(sides: SideDisks, trial: Trial, template: Template, storage_class: str) -> Json:
    """Restore one snapshot to a side disk and return the row about it; one that fails does not stop the others."""
    try:
        report = _report(sides, trial, template, storage_class)
        row = {"files": report["files"], "bytes": report["bytes"]}
        if trial.action == COMPARE:
            differs = differences(dict(trial.record), report)
            return trial.row(DIFFERENT if differs else EQUAL, differs=differs, **row)
        sides.api.patch("VolumeSnapshot", trial.snapshot.name, sides.namespace, recorded(report), API)
    except (RestoreError, ClusterError) as error:
        return trial.row(FAILED, message=str(error))
    return trial.row(RECORDED, **row)


def _report(sides: SideDisks, trial: Trial, template: Template, storage_class: str) -> Json:
    """Return the hashes of a snapshot's content, read from a side disk that is gone again afterwards."""
    name = run_name("drill", trial.snapshot.uid)
    volume = sides.api.get("PersistentVolume", trial.disk.volume) if trial.disk.volume else None
    try:
        sides.make(side_claim(name, trial.snapshot, trial.snapshot.size or trial.disk.size, storage_class))
        return sides.ask(
            pod(
                name,
                sides.namespace,
                template=template,
                arguments=hashes_of(),
                side=name,
                seconds=sides.seconds,
                affinity=as_volume(volume),
            )
        )
    finally:
        sides.remove(CLAIM, name)
