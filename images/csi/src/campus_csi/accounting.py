"""What the pool may promise: sizes of all disks together never pass what it can hold."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from .errors import ResourceExhausted
from .quantity import show

MIB = 1024 * 1024


@dataclass(frozen=True)
class Usage:
    """A pool's figures, in bytes."""

    total: int
    used: int
    images: int
    """Part of `used` that belongs to disks."""
    reachable: int | None = None
    """What a sparse pool image could grow to on its own disk; None where the pool is no image."""


def promisable(usage: Usage, overcommit: float, snapshot_reserve: float) -> int:
    """Return the bytes that may be promised to all disks together.

    The file system's own needs come off first (at least a hundredth), then the share kept for snapshots.
    """
    overhead = max(usage.used - usage.images, usage.total // 100)
    total = usage.total if usage.reachable is None else min(usage.total, usage.reachable)
    free = max(0, total - overhead) * (1 - snapshot_reserve) * overcommit
    return int(free) // MIB * MIB


class Ledger:
    """The promised size of each disk, in bytes, checked against a limit that may change."""

    def __init__(self, limit: Callable[[], int], promises: Mapping[str, int]) -> None:
        self._limit = limit
        self._promises = dict(promises)
        self._guard = threading.Lock()

    def promise(self, volume_id: str, size: int) -> None:
        """Promise `size` bytes to a disk; a smaller promise than it already has changes nothing.

        Raises:
            ResourceExhausted: the pool cannot promise that much.
        """
        with self._guard:
            current = self._promises.get(volume_id, 0)
            if size <= current:
                return
            limit = self._limit()
            promised = sum(self._promises.values())
            if promised - current + size > limit:
                raise ResourceExhausted(
                    f"the pool of this node cannot promise {show(size - current)} more: {show(promised)} of"
                    f" {show(limit)} are promised already; delete disks, enlarge the pool or use another node"
                )
            self._promises[volume_id] = size

    def restore(self, volume_id: str, size: int | None) -> None:
        """Set a promise back to what is true on disk: `size` bytes, or none at all."""
        with self._guard:
            if size is None:
                self._promises.pop(volume_id, None)
            else:
                self._promises[volume_id] = size

    @property
    def promised(self) -> int:
        """Bytes promised to all disks."""
        with self._guard:
            return sum(self._promises.values())

    def available(self) -> int:
        """Bytes that may still be promised."""
        with self._guard:
            return max(0, self._limit() - sum(self._promises.values()))
