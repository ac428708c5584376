"""Objects that a role's templates make, as its tests look at them."""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]
Objects = dict[tuple[str, str], Json]


def by_name(rendered: list[Json]) -> Objects:
    """Objects by kind and name, none of them twice."""
    found = {(item["kind"], item["metadata"]["name"]): item for item in rendered}
    assert len(found) == len(rendered)
    return found


def without_namespace(found: Objects) -> set[tuple[str, str]]:
    """Kind and name of those that belong to no namespace."""
    return {key for key, item in found.items() if "namespace" not in item["metadata"]}
