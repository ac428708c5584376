# Copyright: campus.jupyterhub contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What was on a disk when its snapshot was taken, as hashes kept beside the snapshot in the API server. Pure.

Private to the collection: it may change in any release.
"""

from __future__ import annotations

import json
from typing import Any, Final

Json = dict[str, Any]

MANIFEST: Final = "campus.jupyterhub/manifest"
"""Annotation of a snapshot with the hashes of its content."""
SHOWN: Final = 10


def recorded(report: Json) -> Json:
    """Return the patch of a snapshot that keeps what a pod reported of it."""
    return {"metadata": {"annotations": {MANIFEST: json.dumps(report, sort_keys=True)}}}


def manifest_of(item: Json) -> Json:
    """Return the hashes that were recorded when a snapshot was taken, empty when none were."""
    text = (item["metadata"].get("annotations") or {}).get(MANIFEST)
    return dict(json.loads(text)) if text else {}


def differences(recorded: Json, found: Json) -> list[str]:
    """Return what differs between two reports: names at the top of the home, or the counts; empty when nothing does."""
    if recorded["root"] == found["root"]:
        return []
    before, now = recorded.get("parts") or {}, found.get("parts") or {}
    names = sorted(name for name in before.keys() | now.keys() if before.get(name) != now.get(name))
    if not before or not names:
        names = [f"{key}: {recorded.get(key)}, now {found.get(key)}" for key in ("files", "folders", "links", "bytes")]
    more = [f"{len(names) - SHOWN} more"] if len(names) > SHOWN else []
    return [*names[:SHOWN], *more]
