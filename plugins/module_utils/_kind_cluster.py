# Copyright: campus.jupyterhub contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""From the options of the module kind_cluster to a cluster that is there or gone.

Private to the collection: it may change in any release.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from ansible_collections.campus.jupyterhub.plugins.module_utils._build_local_registry import LocalRegistry
from ansible_collections.campus.jupyterhub.plugins.module_utils._build_runtime import Runtime, find_runtime
from ansible_collections.campus.jupyterhub.plugins.module_utils._kind import (
    HostPort,
    KindError,
    Plan,
    Wanted,
    decide,
    decide_removal,
    keep_disks,
)
from ansible_collections.campus.jupyterhub.plugins.module_utils._kind_run import Kind

Json = dict[str, Any]


def read_wanted(params: Json, limited: bool) -> Wanted:
    """Return the cluster that the module's options ask for."""
    return Wanted(
        name=params["name"],
        workers=params["workers"],
        image=params["image"],
        host_ports=tuple(HostPort(port["address"], port["host"], port["node"]) for port in params["host_ports"]),
        registry_port=params["registry_port"],
        built=tuple(sorted(params["built"].items())),
        limited=limited,
    )


def outdated(path: Path, kind: Kind) -> bool:
    """Say whether a file is not the cluster's kubeconfig; before kind itself is there, whether it is missing."""
    return not path.exists() or (kind.runs() and path.read_text(encoding="utf-8") != kind.kubeconfig())


def write_kubeconfig(path: Path, text: str) -> None:
    """Write the file so that nobody else can read it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600)
    os.chmod(path, 0o600)
    path.write_text(text, encoding="utf-8")


def right_cluster(wanted_uid: str, found_uid: str, name: str) -> None:
    """Raise KindError when another cluster than the one wanted is there."""
    if wanted_uid and found_uid and wanted_uid != found_uid:
        raise KindError(
            f"The kind cluster {name} has the uid {found_uid}, not {wanted_uid}: choose another cluster_name, or "
            "correct jupyterhub_cluster_uid."
        )


def present(params: Json, runtime: Runtime, kind: Kind, check_mode: bool) -> Json:
    """Make the cluster where it is missing and return the module's result; raises KindError and ImagesError."""
    wanted = read_wanted(params, runtime.limited)
    found = kind.look(wanted.host_ports)
    right_cluster(params["cluster_uid"], found.uid, wanted.name)
    plan = decide(wanted, found, runtime.name)
    rejoin = bool(found.containers and wanted.registry_port and not kind.registry_joined(wanted.registry_port))
    path = Path(params["kubeconfig"])
    todo = plan.create or plan.registry or rejoin or outdated(path, kind)
    result = {"warnings": list(plan.warnings), "context": f"kind-{wanted.name}", "kubeconfig": str(path)}
    if todo and not check_mode:
        carry_out(plan, wanted, kind, path, rejoin)
        write_kubeconfig(path, kind.kubeconfig())
    there = bool(found.containers) or not check_mode
    return {**result, "todo": todo, "changed": todo, "exists": there, "uid": found.uid or (kind.uid() if there else "")}


def carry_out(plan: Plan, wanted: Wanted, kind: Kind, kubeconfig: Path, rejoin: bool) -> None:
    """Do what the plan says."""
    if plan.create:
        kind.create(wanted, kubeconfig)
    if wanted.registry_port and (plan.registry or rejoin):
        kind.connect_registry(wanted.registry_port)
    if plan.create or plan.registry:
        kind.remember(wanted)


def absent(params: Json, runtime: Runtime, kind: Kind, check_mode: bool) -> Json:
    """Remove the cluster and the local registry, and return the module's result; raises KindError and ImagesError."""
    found = kind.look(())
    right_cluster(params["cluster_uid"], found.uid, params["name"])
    decide_removal(params["name"], found, runtime.name, params["delete_disks"])
    if found.mark and not params["delete_disks"]:
        keep_disks(kind.students(without=params["canary"]))
    registry = LocalRegistry(runtime, params["registry_port"], Path())
    unused = bool(params["registry_port"] and registry.own() and not kind.others())
    changed = bool(found.containers) or unused
    if unused and not check_mode:
        registry.remove()
    if found.containers and not check_mode:
        kind.delete()
    kubeconfig = Path(params["kubeconfig"])
    if kubeconfig.exists() and not check_mode:
        kubeconfig.unlink()
    return {
        "changed": changed,
        "todo": changed,
        "exists": False,
        "uid": "",
        "context": "",
        "kubeconfig": str(kubeconfig),
        "warnings": [],
    }


def run(params: Json, check_mode: bool) -> Json:
    """Return the module's result; raises KindError and ImagesError."""
    runtime = find_runtime(params["runtime"], Path(params["cache"]))
    runtime = Runtime(runtime.name, {**runtime.env, **params["environment"]})
    kind = Kind(runtime, params["kind"], params["name"], Path(params["log"]), Path(params["cache"]))
    state = present if params["state"] == "present" else absent
    return state(params, runtime, kind, check_mode)
