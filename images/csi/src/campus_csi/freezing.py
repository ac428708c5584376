"""Stopping all writes to a mounted disk for a moment, so that a copy of its image is a whole file system."""

from __future__ import annotations

import ctypes
import errno
import fcntl
import logging
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from . import loop, mounts, watchdog
from .errors import Aborted, Damaged
from .records import IMAGE

_FIFREEZE = 0xC0045877
_PATIENCE = 10.0
"""Seconds to wait for a watchdog to start, or to let go of a disk."""
_libc = ctypes.CDLL(None, use_errno=True)
_log = logging.getLogger(__name__)


@dataclass
class Figures:
    """What freezing has cost since the driver started."""

    count: int = 0
    seconds: float = 0.0
    longest: float = 0.0
    ended_early: int = 0
    """Freezes that the watchdog, or a new driver, ended."""


class Freezer:
    """Freezes disks, each time under the eyes of a watchdog process."""

    def __init__(self, watchdog_socket: Path | None) -> None:
        """Use the watchdog that listens there; without one, or while it does not answer, start one for each freeze."""
        self._socket = watchdog_socket
        self._figures = Figures()
        self._guard = threading.Lock()

    def figures(self) -> Figures:
        """Return the figures so far."""
        with self._guard:
            return Figures(**vars(self._figures))

    @contextmanager
    def frozen(self, mount: mounts.Mount) -> Iterator[None]:
        """Freeze the file system mounted there for the block, which must not write to it.

        Raises:
            Aborted: it was frozen already, is mounted there no more, or was thawed by the watchdog before the block had
                ended: then what the block saw is no single moment.
            Damaged: there is no watchdog to be had.
        """
        handle = _open(mount)
        try:
            if os.fstat(handle).st_dev != os.makedev(*mount.device):
                raise Aborted(f"{mount.path} was unmounted just now; try again")
            # What can be written back before costs no one a wait.
            if _libc.syncfs(handle) != 0:
                number = ctypes.get_errno()
                raise OSError(number, os.strerror(number), str(mount.path))
            with self._watched(handle):
                yield from self._freeze(handle, mount.path)
        finally:
            os.close(handle)

    def _freeze(self, handle: int, path: Path) -> Iterator[None]:
        begun = time.monotonic()
        try:
            fcntl.ioctl(handle, _FIFREEZE, 0)
        except OSError as error:
            if error.errno == errno.EBUSY:
                raise Aborted(f"{path} is frozen by someone else; try again") from error
            raise
        in_time = False
        try:
            yield
        finally:
            in_time = watchdog.thaw(handle)
            self._count(time.monotonic() - begun, in_time)
        if not in_time:
            raise Aborted(f"the freeze of {path} had to be ended after {watchdog.SECONDS:g} s, too early; try again")

    def _count(self, seconds: float, in_time: bool) -> None:
        with self._guard:
            self._figures.count += 1
            self._figures.seconds += seconds
            self._figures.longest = max(self._figures.longest, seconds)
            self._figures.ended_early += not in_time

    @contextmanager
    def _watched(self, handle: int) -> Iterator[None]:
        """Have a watchdog hold the handle too for the block."""
        connection, process = self._watchdog()
        try:
            with connection:
                connection.settimeout(_PATIENCE)
                try:
                    socket.send_fds(connection, [b"f"], [handle])
                    ready = connection.recv(1) == watchdog.READY
                except OSError as error:
                    raise Damaged(f"the watchdog does not answer ({error}), so nothing was frozen") from error
                if not ready:
                    raise Damaged("the watchdog ended at its start, so nothing was frozen")
                try:
                    yield
                finally:
                    # It closes the connection when it has let go of the mount, which is busy until then.
                    with suppress(OSError):
                        connection.sendall(watchdog.DONE)
                        connection.recv(1)
        finally:
            if process is not None:
                process.wait()

    def _watchdog(self) -> tuple[socket.socket, subprocess.Popen[bytes] | None]:
        if self._socket is not None:
            connection = socket.socket(socket.AF_UNIX)
            try:
                connection.connect(str(self._socket))
            except OSError as error:
                connection.close()
                _log.warning("no watchdog at %s (%s): one is started for this freeze", self._socket, error)
            else:
                return connection, None
        return self.start_own()

    @staticmethod
    def start_own() -> tuple[socket.socket, subprocess.Popen[bytes]]:
        """Start a watchdog for one freeze."""
        ours, theirs = socket.socketpair()
        with theirs:
            # Its own session: a signal to the driver's group does not reach it.
            command = [sys.executable, "-I", "-S", watchdog.__file__]
            return ours, subprocess.Popen(command, stdin=theirs.fileno(), start_new_session=True)

    def thaw_all(self, root: Path) -> None:
        """Thaw every mounted disk of a pool: what a driver left frozen that was ended together with its watchdog."""
        images = {loop.identity(image) for image in (root / "volumes").glob(f"*/{IMAGE}")}
        for mount in mounts.mounts():
            try:
                thawed = _is_of(mount, images) and _thaw_at(mount)
            except OSError as error:
                # One mount that cannot be looked at must not keep the driver from all others.
                _log.warning("%s could not be looked at: %s", mount.path, error)
                continue
            if thawed:
                _log.warning("thawed %s, which an earlier driver left frozen", mount.path)
                with self._guard:
                    self._figures.ended_early += 1


def _is_of(mount: mounts.Mount, images: Collection[tuple[int, int]]) -> bool:
    """Say whether it is a disk with one of these images that is mounted there."""
    major, minor = mount.device
    return major == loop.MAJOR and loop.backing(minor) in images


def _thaw_at(mount: mounts.Mount) -> bool:
    """Thaw what is mounted there; False: it was not frozen, or something else hides it."""
    handle = _open(mount)
    try:
        return os.fstat(handle).st_dev == os.makedev(*mount.device) and watchdog.thaw(handle)
    finally:
        os.close(handle)


def _open(mount: mounts.Mount) -> int:
    return os.open(mount.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
