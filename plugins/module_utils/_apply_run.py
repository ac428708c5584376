# Copyright: campus.jupyterhub contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Apply objects one after the other; in check mode let the API server only try them.

Private to the collection: it may change in any release.
"""

from __future__ import annotations

import re
from typing import Any, Protocol

from ansible_collections.campus.jupyterhub.plugins.module_utils._apply import Change, change, ordered, with_secrets
from ansible_collections.campus.jupyterhub.plugins.module_utils._cluster import ClusterError, connect

Json = dict[str, Any]

NO_NAMESPACE = re.compile(r'namespaces "[^"]+" not found')


class Writer(Protocol):
    """What this file needs of a cluster."""

    def namespaced(self, kind: str, api_version: str) -> bool:
        """Say whether objects of this kind live in a namespace."""

    def get(self, kind: str, name: str, namespace: str | None = None, api_version: str = "v1") -> Json | None:
        """Return one object, or None when it is not there."""

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
    return [
        apply_one(cluster, item, options["namespace"], options["field_manager"], module.check_mode) for item in items
    ]


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
