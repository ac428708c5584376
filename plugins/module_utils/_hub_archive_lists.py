# Copyright: campus.jupyterhub contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the objects in an archive have to say, since a restore cannot do without it. Pure.

Private to the collection: it may change in any release.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from ansible_collections.campus.jupyterhub.plugins.module_utils._quantity import to_bytes

Fields = Mapping[str, Callable[[Any], bool]]

_DEEPEST: Final = 50
"""How many levels an object may have: several times those of any that Kubernetes knows."""


def _string(value: Any) -> bool:
    return isinstance(value, str)


def _text(value: Any) -> bool:
    return isinstance(value, str) and value != ""


def _texts(value: Any) -> bool:
    return isinstance(value, dict) and all(_string(each) for each in value.values())


def _object(value: Any) -> bool:
    return isinstance(value, dict)


def _size(value: Any) -> bool:
    try:
        return to_bytes(value) > 0
    except ValueError:
        return False


def _place(value: Any) -> bool:
    return isinstance(value, dict) and _text(value.get("driver")) and _text(value.get("volumeHandle"))


def _if_any(valid: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: value is None or valid(value)


SECRET: Final[Fields] = {
    "metadata.name": _text,
    "metadata.namespace": _text,
    "type": _text,
    "data": _texts,
}
DISK: Final[Fields] = {
    "claim.metadata.name": _text,
    "claim.metadata.annotations": _if_any(_texts),
    "claim.spec": _object,
    "claim.spec.resources": _if_any(_object),
    "claim.spec.resources.requests": _if_any(_object),
    "claim.spec.resources.requests.storage": _if_any(_size),
    "volume.metadata.name": _text,
    "volume.spec": _object,
    "volume.spec.capacity": _if_any(_object),
    "volume.spec.capacity.storage": _if_any(_size),
    "volume.spec.csi": _if_any(_place),
    "volume.spec.storageClassName": _if_any(_string),
}
SNAPSHOT: Final[Fields] = {
    "snapshot.apiVersion": _text,
    "snapshot.metadata.name": _text,
    "snapshot.metadata.annotations": _if_any(_texts),
    "snapshot.spec": _object,
    "content.metadata.name": _text,
    "content.spec.driver": _text,
    "content.spec.source.snapshotHandle": _text,
    "content.status": _if_any(_object),
}


def fault_of(item: Mapping[str, Any], fields: Fields) -> str:
    """Return what is wrong with an object, as the end of a sentence that begins with it; empty for a good one."""
    if not _within(item, _DEEPEST):
        return "is nested too deeply"
    return next((f"has no valid {path}" for path, valid in fields.items() if not valid(_at(item, path))), "")


def _within(value: Any, levels: int) -> bool:
    children = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return levels > 0 and all(_within(child, levels - 1) for child in children)


def _at(item: Any, path: str) -> Any:
    """Return what is at the end of a dotted path, None where the path ends before."""
    for key in path.split("."):
        item = item.get(key) if isinstance(item, dict) else None
    return item
