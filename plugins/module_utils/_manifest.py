# Copyright: campus.jupyterhub contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What was on a disk when its snapshot was taken, as hashes kept with the snapshot in the API server. Pure.

What the last comparison with them found is kept there too, so that figures can tell without any of the jobs.

Private to the collection: it may change in any release.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from ansible_collections.campus.jupyterhub.plugins.module_utils._student_disks import moment

Json = dict[str, Any]

MANIFEST: Final = "campus.jupyterhub/manifest"
"""Annotation of a snapshot with the hashes of its content."""
COMPARED: Final = "campus.jupyterhub/compared"
"""Annotation of a snapshot with what was found when it was last restored and compared."""
SHOWN: Final = 10


@dataclass(frozen=True)
class Comparison:
    """What a comparison of a restored snapshot with its record found."""

    time: datetime
    equal: bool


def recorded(report: Json) -> Json:
    """Return the patch of a snapshot that keeps what a pod reported of it."""
    return {"metadata": {"annotations": {MANIFEST: json.dumps(report, sort_keys=True)}}}


def manifest_of(item: Json) -> Json:
    """Return the hashes that were recorded when a snapshot was taken, empty when none were."""
    return read(record_of(item))


def record_of(item: Json) -> str:
    """Return the record of a snapshot as it is kept, empty when there is none."""
    return str((item["metadata"].get("annotations") or {}).get(MANIFEST, ""))


def read(record: str) -> Json:
    """Return the hashes in a record."""
    return dict(json.loads(record)) if record else {}


def compared(found: Comparison) -> Json:
    """Return the patch of a snapshot that keeps what a comparison found."""
    text = json.dumps({"equal": found.equal, "time": f"{found.time:%Y-%m-%dT%H:%M:%SZ}"}, sort_keys=True)
    return {"metadata": {"annotations": {COMPARED: text}}}


def comparison_of(item: Json) -> Comparison | None:
    """Return what the last comparison of a snapshot found; None when there was none, or somebody spoilt the note."""
    try:
        noted = json.loads((item["metadata"].get("annotations") or {}).get(COMPARED, ""))
        return Comparison(moment(noted["time"]), noted["equal"] is True)
    except (ValueError, TypeError, KeyError, AttributeError):
        return None


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
