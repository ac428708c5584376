"""A process that ends a freeze in time, whatever happens to the driver.

It is run as a file and imports nothing of the driver, to start at once. Either it serves one freeze, over the socket
that is its standard input, or, given a path, any number over that socket: in a container of its own it outlives even
the driver's container, whose processes all end with the driver's.

For each freeze the driver passes a handle of the mount, waits for READY, freezes, and says DONE when it has thawed.
Silence for `SECONDS`, or the end of the connection, and the mount is thawed here.
"""

from __future__ import annotations

import errno
import fcntl
import os
import select
import signal
import socket
import sys
import threading
import time
from contextlib import suppress

SECONDS = 5.0
READY, DONE, GONE = b"r", b"d", b""

_FITHAW = 0xC0045878
_PAUSE = 0.05


def thaw(handle: int) -> bool:
    """Thaw the file system of an open handle; False: it was not frozen.

    Raises:
        OSError: the kernel refuses.
    """
    try:
        fcntl.ioctl(handle, _FITHAW, 0)
    except OSError as error:
        if error.errno == errno.EINVAL:
            return False
        raise
    return True


def watch(connection: socket.socket, seconds: float = SECONDS) -> bool:
    """Watch over one freeze, and say whether it had to be ended here."""
    _unused, handles, _flags, _address = socket.recv_fds(connection, 1, 1)
    if not handles:
        return False
    try:
        connection.sendall(READY)
        word = _hear(connection, seconds)
        while word != DONE:
            if thaw(handles[0]):
                return True
            if word == GONE:
                return False
            # The kernel may still be about to freeze: then there is nothing to thaw yet.
            word = _hear(connection, _PAUSE)
        return False
    finally:
        os.close(handles[0])


def _hear(connection: socket.socket, seconds: float) -> bytes | None:
    """Return what the driver says, GONE when it has ended, or None when it is silent for so long."""
    if not select.select([connection], [], [], seconds)[0]:
        return None
    try:
        return connection.recv(1)
    except OSError:
        return GONE


def _serve(path: str) -> None:
    """Serve freezes on a socket until told to end; those under way are ended first.

    Raises:
        OSError: this process is not allowed to thaw anything.
    """
    _require_right()
    with suppress(FileNotFoundError):
        os.unlink(path)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen(64)
        listener.settimeout(1.0)
        print("watching", flush=True)
        ending = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: ending.set())
        while not ending.is_set():
            try:
                connection, _address = listener.accept()
            except TimeoutError:
                continue
            threading.Thread(target=_one, args=(connection,)).start()


def _require_right() -> None:
    """Try to thaw what nobody can have frozen."""
    handle = os.open("/proc", os.O_RDONLY)
    try:
        thaw(handle)
    finally:
        os.close(handle)


def _one(connection: socket.socket) -> None:
    with connection:
        begun = time.monotonic()
        try:
            ended = watch(connection)
        except OSError as error:
            print(f"a freeze could not be watched: {error}", file=sys.stderr, flush=True)
            return
        if ended:
            print(f"ended a freeze after {time.monotonic() - begun:.3f} s", file=sys.stderr, flush=True)


def main() -> None:
    """Serve the socket named, or the one freeze on standard input."""
    if len(sys.argv) > 1:
        try:
            _serve(sys.argv[1])
        except OSError as error:
            sys.exit(f"no freeze can be watched at {sys.argv[1]}: {error}; it takes CAP_SYS_ADMIN")
    else:
        _one(socket.socket(fileno=os.dup(0)))


if __name__ == "__main__":
    main()
