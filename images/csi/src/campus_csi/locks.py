"""One call at a time for a disk: a second one is told to come back."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from .errors import Aborted


class Locks:
    """Locks by key that never wait."""

    def __init__(self) -> None:
        self._held: set[str] = set()
        self._guard = threading.Lock()

    @contextmanager
    def hold(self, key: str) -> Iterator[None]:
        """Hold the lock of `key` for the block.

        Raises:
            Aborted: another thread holds it.
        """
        with self._guard:
            if key in self._held:
                raise Aborted(f"another call for {key} is under way; try again")
            self._held.add(key)
        try:
            yield
        finally:
            with self._guard:
                self._held.discard(key)
