# Copyright: campus.jupyterhub contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Apply objects one after the other; in check mode let the API server only try them.

Private to the collection: it may change in any release.
"""

from __future__ import annotations

import re
import time
from typing import Any, Protocol

from ansible_collections.campus.jupyterhub.plugins.module_utils._apply import (
    DEFINITION,
    FIRST,
    Change,
    change,
    established,
    ordered,
    served_kind,
    with_secrets,
)
from ansible_collections.campus.jupyterhub.plugins.module_utils._cluster import ClusterError, connect
from ansible_collections.campus.jupyterhub.plugins.module_utils._cluster_verbs import Gets

Json = dict[str, Any]

DEFINITION_SECONDS = 60.0
PAUSE = 0.5
NO_NAMESPACE = re.compile(r'namespaces "[^"]+" not found')


class Writer(Gets, Protocol):
    """What this file needs of a cluster."""

    def namespaced(self, kind: str, api_version: str) -> bool:
        """Say whether objects of this kind live in a namespace."""

    def apply(self, item: Json, field_manager: str, dry_run: bool) -> Json:
        """Apply an object server-side and return it as it is then."""


def apply_all(module: Any) -> list[Change]:
    """Return what became of each object; raises ClusterError for the first one that the cluster refuses."""
    options = module.params
    items = ordered(with_secrets(options["objects"], options["secret_values"]))
    try:
        cluster = connect(module)
    except ClusterError as error:
        if not module.check_mode:
            raise
        module.warn(f"{error} Everything is reported as created.")
        return [change(None, item) for item in items]
    cluster.expect_uid(options["cluster_uid"])
    definitions = [item for item in items if item["kind"] == DEFINITION]
    changes = []
    for item in items:
        if definitions and item["kind"] not in FIRST and not module.check_mode:
            await_definitions(cluster, definitions)
            definitions = []
        changes.append(apply_one(cluster, item, options["namespace"], options["field_manager"], module.check_mode))
    return changes


def await_definitions(cluster: Writer, definitions: list[Json]) -> None:
    """Wait until the API server takes objects of new kinds; raises ClusterError when it does not in a minute."""
    end = time.monotonic() + DEFINITION_SECONDS
    for definition in definitions:
        while not served(cluster, definition):
            if time.monotonic() > end:
                hint = "Read the conditions of the definition and the API server's log, and run again."
                name = definition["metadata"]["name"]
                raise ClusterError("use", f"{DEFINITION} {name}", "the API server does not take it up", hint)
            time.sleep(PAUSE)


def served(cluster: Writer, definition: Json) -> bool:
    """Say whether the API server takes objects of a new kind, and says so to those who ask what it knows."""
    if not established(cluster.get(DEFINITION, definition["metadata"]["name"], api_version=definition["apiVersion"])):
        return False
    try:
        cluster.namespaced(*served_kind(definition))
    except ClusterError as error:
        if error.unknown_kind:
            return False
        raise
    return True


def apply_one(cluster: Writer, item: Json, namespace: str | None, field_manager: str, dry_run: bool) -> Change:
    """Apply one object, or try it; ``namespace`` is for an object of a namespaced kind that names none."""
    try:
        if namespace and cluster.namespaced(item["kind"], item["apiVersion"]):
            item["metadata"].setdefault("namespace", namespace)
        meta = item["metadata"]
        before = cluster.get(item["kind"], meta["name"], meta.get("namespace"), item["apiVersion"])
        after = cluster.apply(item, field_manager, dry_run)
    except ClusterError as error:
        if dry_run and (error.unknown_kind or NO_NAMESPACE.search(str(error))):
            return change(None, item)
        raise
    return change(before, after)
