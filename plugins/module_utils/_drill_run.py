# Copyright: campus.jupyterhub contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Carry out a restore drill, one side disk after the other; none is left, also of a drill that was killed.

Private to the collection: it may change in any release.
"""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from ansible_collections.campus.jupyterhub.plugins.module_utils._cluster import ClusterError
from ansible_collections.campus.jupyterhub.plugins.module_utils._cluster_verbs import Yields
from ansible_collections.campus.jupyterhub.plugins.module_utils._disk_events import warn, warning_about
from ansible_collections.campus.jupyterhub.plugins.module_utils._disk_snapshots import API, OURS
from ansible_collections.campus.jupyterhub.plugins.module_utils._drill import (
    COMPARE,
    DIFFERENT,
    EQUAL,
    FAILED,
    MARK,
    READER,
    RECORD,
    RECORDED,
    Trial,
    left_behind,
    sentence,
    trials,
    trouble_of,
)
from ansible_collections.campus.jupyterhub.plugins.module_utils._manifest import (
    Comparison,
    compared,
    differences,
    recorded,
)
from ansible_collections.campus.jupyterhub.plugins.module_utils._restore_plan import run_name
from ansible_collections.campus.jupyterhub.plugins.module_utils._side_disk import (
    Template,
    as_volume,
    hashes_of,
    labelled,
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
OURS_ALONE = {MARK: READER}
STEPS = 4
"""A trial waits for a pod, its end and the end of both, each for no longer than the timeout."""
REMOVAL_SECONDS = 60
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


class DrillApi(Api, Yields, Protocol):
    """What a drill needs of a cluster."""


def drill(
    api: DrillApi,
    options: Mapping[str, Any],
    check_mode: bool,
    sides: SideDisks | None = None,
    now: datetime | None = None,
) -> Json:
    """Return what a drill found; ``failed_trials`` counts what differs or could not be restored.

    Raises:
        SelectionError: no disk can be meant, or an option is below what is possible.
        RestoreError: nothing can be restored here, whichever it is.
        ClusterError: the cluster does not answer.
    """
    namespace, now = options["namespace"], now or datetime.now(UTC)
    sides = sides or SideDisks(api, namespace, options["timeout"])
    template = template_of(api, namespace, options["image"])
    require_at_least(options, {"sample": 0, "timeout": 1})
    _require_scratch(api, options["scratch_class"])
    claims = api.list(CLAIM, "v1", namespace, DISKS)
    disks = chosen(map(disk_of, claims), options["students"], options["courses"], options["query"])
    items = api.each("VolumeSnapshot", API, namespace, OURS)
    wanted = trials(disks, items, options["actions"], options["sample"], options["seed"] or f"{now:%Y-%m-%d %H}")
    if check_mode:
        rows = [each.row() for each in wanted]
    else:
        _sweep(sides, now - timedelta(seconds=STEPS * sides.seconds))
        rows = [_try(sides, each, template, options["scratch_class"], now) for each in wanted]
        _tell(api, wanted, rows, now)
    return {
        "changed": bool(wanted),
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


def _sweep(sides: SideDisks, before: datetime) -> None:
    """Remove what a drill that was killed before this time left behind; what does not go holds up nothing."""
    shortly = SideDisks(sides.api, sides.namespace, min(REMOVAL_SECONDS, sides.seconds), sides.clock)
    for kind in ("Pod", CLAIM):
        made = sides.api.list(kind, "v1", sides.namespace, f"{MARK}={READER}")
        for name in left_behind(made, before):
            with contextlib.suppress(RestoreError, ClusterError):
                shortly.remove(kind, name)


def _try(sides: SideDisks, trial: Trial, template: Template, storage_class: str, now: datetime) -> Json:
    """Restore one snapshot to a side disk and return the row about it; one that fails does not stop the others."""
    try:
        report = _report(sides, trial, template, storage_class)
        row = {"files": report["files"], "bytes": report["bytes"]}
        if trial.action == COMPARE:
            differs = differences(dict(trial.record), report)
            # What was found holds, also where it may not be noted or retention was faster.
            with contextlib.suppress(ClusterError):
                _note(sides, trial, compared(Comparison(now, not differs)))
            return trial.row(DIFFERENT if differs else EQUAL, differs=differs, **row)
        _note(sides, trial, recorded(report))
    except (RestoreError, ClusterError) as error:
        return trial.row(FAILED, message=str(error))
    return trial.row(RECORDED, **row)


def _note(sides: SideDisks, trial: Trial, patch: Json) -> None:
    """Keep with a snapshot what a trial has to say of it."""
    sides.api.patch("VolumeSnapshot", trial.snapshot.name, sides.namespace, patch, API)


def _report(sides: SideDisks, trial: Trial, template: Template, storage_class: str) -> Json:
    """Return the hashes of a snapshot's content, read from a side disk that is gone again afterwards."""
    name = run_name("drill", trial.action, trial.snapshot.uid)
    volume = sides.api.get("PersistentVolume", trial.disk.volume) if trial.disk.volume else None
    claim = side_claim(name, trial.snapshot, trial.snapshot.size or trial.disk.size, storage_class)
    reader = pod(
        name,
        sides.namespace,
        template=template,
        arguments=hashes_of(),
        side=name,
        seconds=sides.seconds,
        affinity=as_volume(volume),
    )
    try:
        sides.make(labelled(claim, OURS_ALONE))
        return sides.ask(labelled(reader, OURS_ALONE))
    finally:
        sides.remove(CLAIM, name)


def _tell(api: Api, wanted: Sequence[Trial], rows: Sequence[Json], now: datetime) -> None:
    """Put a warning beside each disk whose snapshot differs or could not be restored."""
    run = f"{now:%Y%m%d-%H%M%S}-{secrets.token_hex(3)}"
    for trial, row in zip(wanted, rows, strict=True):
        if trouble := trouble_of(row):
            warn(api, warning_about(trial.disk, *trouble, now, f"{run}-{trial.action}"))
