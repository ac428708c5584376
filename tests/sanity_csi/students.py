"""Students who have files on a disk, and write."""

from __future__ import annotations

import hashlib
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ansible_collections.campus.jupyterhub.tests.sanity_csi.client import SECONDS


def until(condition: Callable[[], bool]) -> None:
    """Wait for a condition."""
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.01)


def hashes(folder: Path) -> dict[str, str]:
    """Return the hash of every file."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def fill_home(home: Path) -> dict[str, str]:
    """Write files of many sizes to the disk and return their hashes."""
    for number in range(40):
        folder = home / f"course {number % 5}"
        folder.mkdir(exist_ok=True)
        with (folder / f"übung-{number}.ipynb").open("wb") as handle:
            handle.write(os.urandom(number * 1500))
            handle.flush()
            os.fsync(handle.fileno())
    return hashes(home)


class Writer(threading.Thread):
    """Appends numbered lines, each brought to the disk before the next, until told to stop."""

    def __init__(self, path: Path) -> None:
        super().__init__(daemon=True)
        self._path = path
        self._ending = threading.Event()
        self.written = 0

    def run(self) -> None:
        """Write."""
        with self._path.open("w") as handle:
            while not self._ending.is_set():
                handle.write(f"{self.written}\n")
                handle.flush()
                os.fsync(handle.fileno())
                self.written += 1

    def goes_on(self) -> None:
        """Wait until more is written."""
        before = self.written
        until(lambda: self.written > before + 1)

    def stands_still(self) -> None:
        """Wait until nothing is written any more."""
        until(self._is_still)

    def _is_still(self) -> bool:
        before = self.written
        time.sleep(0.2)
        return self.written == before

    def end(self) -> None:
        """Stop."""
        self._ending.set()
        self.join(SECONDS)
        assert not self.is_alive()


@contextmanager
def writing(home: Path) -> Iterator[Writer]:
    """Let a student write into a home for the block."""
    writer = Writer(home / "lines")
    writer.start()
    try:
        writer.goes_on()
        yield writer
    finally:
        writer.end()
