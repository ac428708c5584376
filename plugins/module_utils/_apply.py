# Copyright: campus.jupyterhub contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Order, compare and describe the objects that are applied. Pure: no cluster, no Ansible.

Private to the collection: it may change in any release.
"""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

with contextlib.suppress(ImportError):  # AnsibleK8SModule reports the missing library by name
    import yaml

Json = dict[str, Any]

DEFINITION = "CustomResourceDefinition"
FIRST = ("Namespace", DEFINITION)
# What the API server or a controller keeps, not the one who applies.
NOT_OURS = ("managedFields", "resourceVersion", "generation", "creationTimestamp", "uid", "selfLink")
HIDDEN, HIDDEN_NEW = "(hidden)", "(hidden, new value)"


@dataclass(frozen=True)
class Change:
    """What happens to one object; ``before`` is empty for a new one."""

    title: str
    action: str
    before: Json
    after: Json

    def diff(self) -> Json:
        """Return the change as Ansible shows it; values of Secrets are never in it."""
        before, after = hide_secret(self.before, self.after)
        return {
            "before_header": self.title,
            "after_header": self.title,
            "before": as_text(before),
            "after": as_text(after),
        }


def title(item: Json) -> str:
    """Return ``Kind namespace/name``."""
    meta = item["metadata"]
    name = f"{meta['namespace']}/{meta['name']}" if meta.get("namespace") else meta["name"]
    return f"{item['kind']} {name}"


def ordered(items: Iterable[Json]) -> list[Json]:
    """Return namespaces and custom resource definitions first, then Secrets, then the rest in the order given."""

    def rank(item: Json) -> int:
        return 0 if item["kind"] in FIRST else 1 if item["kind"] == "Secret" else 2

    return sorted(items, key=rank)


def with_secrets(items: Iterable[Json], values: dict[str, dict[str, str]]) -> list[Json]:
    """Return the objects with the values of Secrets, by their names, put back in place."""
    filled = []
    for item in items:
        kept = copy.deepcopy(item)
        if kept["kind"] == "Secret" and kept["metadata"]["name"] in values:
            kept["data"] = dict(values[kept["metadata"]["name"]])
        filled.append(kept)
    return filled


def established(definition: Json | None) -> bool:
    """Say whether the API server takes objects of a custom resource definition."""
    conditions = ((definition or {}).get("status") or {}).get("conditions") or []
    return any(entry["type"] == "Established" and entry["status"] == "True" for entry in conditions)


def served_kind(definition: Json) -> tuple[str, str]:
    """Return the kind that a custom resource definition adds, and the version under which it is stored."""
    spec = definition["spec"]
    version = next(entry["name"] for entry in spec["versions"] if entry["storage"])
    return spec["names"]["kind"], f"{spec['group']}/{version}"


def essence(item: Json) -> Json:
    """Return what the one who applies decides on: no status, nothing that the API server counts."""
    kept = {key: value for key, value in item.items() if key != "status"}
    kept["metadata"] = {key: value for key, value in item.get("metadata", {}).items() if key not in NOT_OURS}
    return kept


def change(before: Json | None, after: Json) -> Change:
    """Return what applying made of an object."""
    old, new = essence(before) if before else {}, essence(after)
    action = "created" if not before else "unchanged" if old == new else "changed"
    return Change(title(after), action, old, new)


def hide_secret(before: Json, after: Json) -> tuple[Json, Json]:
    """Return both sides with each value of a Secret replaced; that it differs can be seen, the value not."""
    if after.get("kind") != "Secret":
        return before, after
    old, new = before.get("data") or {}, after.get("data") or {}
    hidden_old = {key: HIDDEN for key in old}
    hidden_new = {key: HIDDEN if old.get(key) == value else HIDDEN_NEW for key, value in new.items()}
    return ({**before, "data": hidden_old} if before else {}), {**after, "data": hidden_new}


def as_text(item: Json) -> str:
    """Return an object as YAML, empty for none."""
    return str(yaml.safe_dump(item, sort_keys=True, default_flow_style=False)) if item else ""
