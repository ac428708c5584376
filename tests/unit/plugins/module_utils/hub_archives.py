"""Backups of a cluster in memory, for the tests of backup and restore."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ansible_collections.campus.jupyterhub.plugins.module_utils._hub_backup_run import ARGUMENTS, back_up
from ansible_collections.campus.jupyterhub.tests.unit.plugins.module_utils.hub_world import NAMESPACE, HubWorld

Json = dict[str, Any]
NOW = datetime(2026, 11, 26, 3, 15, tzinfo=UTC)


def options_of(folder: Path, **options: Any) -> Json:
    """The module's options."""
    defaults = {name: each.get("default") for name, each in ARGUMENTS.items()}
    return {**defaults, "namespace": NAMESPACE, "folder": str(folder), "secrets": ["hub-secret"], **options}


def backup(world: HubWorld, folder: Path, check: bool = False, now: datetime = NOW, **options: Any) -> Json:
    """What a run says."""
    return back_up(world, options_of(folder, **options), check, world.clock, now)
