# Copyright: campus.jupyterhub contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Answer several questions for objects, one after the other, over one connection.

Private to the collection: it may change in any release.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

from ansible_collections.campus.jupyterhub.plugins.module_utils._cluster import ClusterError
from ansible_collections.campus.jupyterhub.plugins.module_utils._cluster_verbs import Gets, Lists
from ansible_collections.kubernetes.core.plugins.module_utils.k8s.service import hide_fields

Json = dict[str, Any]


class Reads(Gets, Lists, Protocol):
    """Reads one object or many."""


def each_answer(cluster: Reads, questions: Sequence[Json]) -> Iterator[Json]:
    """Yield ``kind``, ``api_found`` and ``resources`` for each question, in their order; raises ClusterError.

    A question has ``kind`` and ``api_version``, and may have ``name``, ``namespace``, ``label_selectors``,
    ``field_selectors`` and ``hidden_fields``. A kind that the cluster does not know is an answer, not an error.
    """
    for question in questions:
        try:
            resources = resources_for(cluster, question)
        except ClusterError as error:
            if not error.unknown_kind:
                raise
            yield {"kind": question["kind"], "api_found": False, "resources": []}
        else:
            shown = [hide_fields(item, question.get("hidden_fields")) for item in resources]
            yield {"kind": question["kind"], "api_found": True, "resources": shown}


def resources_for(cluster: Reads, question: Json) -> list[Json]:
    """Return the objects that a question asks for, an empty list where there are none; raises ClusterError."""
    kind, api_version = question["kind"], question["api_version"]
    name, namespace = question.get("name"), question.get("namespace")
    if name:
        found = cluster.get(kind, name, namespace, api_version)
        return [found] if found else []
    labels, fields = (",".join(question.get(key) or []) for key in ("label_selectors", "field_selectors"))
    return cluster.list(kind, api_version, namespace, labels or None, fields or None)
