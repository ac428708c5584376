"""How full the student's disk is, in numbers and in words."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

FILLING_UP = 0.80
ALMOST_FULL = 0.95
# Bytes. With less than this free, a notebook cannot be saved.
LEAST = 1 << 20

# What JupyterLab calls the kinds of its notifications.
CALM, WARNING, ERROR = "default", "warning", "error"


@dataclass(frozen=True)
class Space:
    """A disk: bytes used and free, and the share in use, from 0 to 1, of its bytes and of the files it can hold."""

    used: int
    free: int
    bytes_share: float
    files_share: float

    @classmethod
    def of(cls, found: os.statvfs_result) -> Space:
        """Return the space of a file system. What is kept for root counts as neither used nor free, as in df."""
        used, free = found.f_blocks - found.f_bfree, found.f_bavail
        return cls(
            used=used * found.f_frsize,
            free=free * found.f_frsize,
            bytes_share=_share(used, free),
            files_share=_share(found.f_files - found.f_ffree, found.f_favail),
        )

    def told(self) -> dict[str, Any]:
        """Return what the page shows: bytes used and free, kind of notification, a few words, a whole sentence."""
        share = max(self.bytes_share, self.files_share)
        kind = ERROR if share >= ALMOST_FULL else WARNING if share >= FILLING_UP else CALM
        return {
            "used": self.used,
            "free": self.free,
            "kind": kind,
            "label": f"Disk: {show(self.used)} used, {show(self.free)} free",
            "message": self._message(kind),
        }

    def _message(self, kind: str) -> str:
        # JupyterLab cuts a notification off after 140 characters.
        state = f"Your disk is {_percent(self.bytes_share)} full: {show(self.free)} are free."
        if kind == CALM:
            return state
        if self.files_share > self.bytes_share:
            state = f"Your disk holds {_percent(self.files_share)} of the files that it can."
        if kind == ERROR:
            ended = self.free < LEAST or self.files_share >= 1
            state += " Nothing can be saved." if ended else " Soon nothing can be saved."
        return f"{state} Delete what you do not need, or ask the staff for more room."


def measure(path: str) -> Space:
    """Return the space of the disk that a path is on. Raises OSError."""
    return Space.of(os.statvfs(path))


def show(size: int) -> str:
    """Return a number of bytes as people read it, rounded down: nobody is promised more than there is."""
    power = min((max(1, size).bit_length() - 1) // 10, 4)
    tenths = size * 10 // 1024**power
    unit = ("B", "KiB", "MiB", "GiB", "TiB")[power]
    # 312.4 MiB says no more than 312 MiB.
    return f"{tenths // 10} {unit}" if tenths >= 1000 or power == 0 else f"{tenths / 10:.1f} {unit}"


def _share(used: int, free: int) -> float:
    return used / (used + free) if used + free > 0 else 0.0


def _percent(share: float) -> str:
    """Return a share in percent, rounded down: a disk with something left is not 100 % full."""
    return f"{int(share * 100)} %"
