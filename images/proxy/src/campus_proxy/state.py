"""The map file: what HAProxy starts with, so that it can come back while nobody can be asked for the routes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from campus_proxy.haproxy import MARKER

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_HEADER = "# boot "


def write(path: Path, values: Mapping[str, str], owner: str, boot_id: Path = BOOT_ID) -> None:
    """Replace the file at one stroke. Raises OSError."""
    body = "".join(f"{key} {value}\n" for key, value in {**values, MARKER: owner}.items())
    fresh = path.with_suffix(".new")
    fresh.write_text(_HEADER + boot_id.read_text().strip() + "\n" + body, encoding="ascii")
    fresh.replace(path)


def make_usable(path: Path, boot_id: Path = BOOT_ID) -> bool:
    """Keep the file if it was written since the node booted, else begin an empty one; says whether it was kept.

    After a reboot other pods may have the addresses; without one, the file is no older than what HAProxy had in memory.
    """
    try:
        with path.open(encoding="ascii", errors="replace") as lines:
            if lines.readline().rstrip("\n") == _HEADER + boot_id.read_text().strip():
                return True
    except FileNotFoundError:
        pass
    path.write_text("", encoding="ascii")
    return False
