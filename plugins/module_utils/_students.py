# Copyright: campus.jupyterhub contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Whose disks there are. Pure.

Private to the collection: it may change in any release.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

Json = dict[str, Any]

USER = "hub.jupyter.org/username"
STORAGE = "component=singleuser-storage"
HUB_DISK = "hub-db"


def owners(claims: Iterable[Json], volumes: Iterable[Json] = (), without: str = "") -> list[str]:
    """Return the students who have disks, each once, in order.

    ``claims`` are PersistentVolumeClaims of students; one without the student's name goes by its own. ``volumes`` are
    PersistentVolumes: one whose claim is gone still holds somebody's work, and goes by the claim's name. ``without``
    is a user who is no student.
    """
    names = {(claim["metadata"].get("annotations") or {}).get(USER) or claim["metadata"]["name"] for claim in claims}
    return sorted((names | {name for volume in volumes if (name := _left_behind(volume))}) - {without})


def _left_behind(volume: Json) -> str:
    """Return the name of a volume's lost claim; empty while it has one, never had one, or is the hub's own."""
    claim = volume.get("spec", {}).get("claimRef") or {}
    kept = volume.get("status", {}).get("phase") in ("Released", "Failed")
    return str(claim.get("name", "")) if kept and claim.get("name") != HUB_DISK else ""
