"""Figures about restore drills, as snapshots tell of them. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from ansible_collections.campus.jupyterhub.plugins.module_utils._manifest import comparison_of, record_of

Json = dict[str, Any]

ACTIONS: Final = {"record": "snapshots-record", "compare": "snapshots-compare"}
"""What drills do, and the component of the CronJob that does it."""


@dataclass
class Drills:
    """What one listing says about drills."""

    recorded: int = 0
    """Good snapshots that have a record."""
    equal: int = 0
    """Snapshots that were what was recorded of them when they were last restored."""
    different: int = 0
    """Those that were not."""
    last_compared: datetime | None = None
    """When a snapshot was last compared, whatever was found."""
    failed_runs: Mapping[str, int] = field(default_factory=dict)
    """By those of ACTIONS that have a schedule: runs that failed since one did not, as far as Jobs are kept."""

    def count(self, snapshot: Json, good: bool) -> None:
        """Add what one VolumeSnapshot says."""
        self.recorded += good and bool(record_of(snapshot))
        found = comparison_of(snapshot)
        if found:
            self.equal += found.equal
            self.different += not found.equal
            self.last_compared = max(found.time, self.last_compared or found.time)
