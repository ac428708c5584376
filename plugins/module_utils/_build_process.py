# Copyright: campus.jupyterhub contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Runs the commands of a build: all output goes to a log, and a failure shows its last lines.

Private to the collection: it may change in any release.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from ansible_collections.campus.jupyterhub.plugins.module_utils._images import ImagesError

LAST_LINES = 20


class Stopped(Exception):
    """A command was ended because another one had failed."""


def last_lines(log: Path, count: int = LAST_LINES) -> str:
    """Return the end of a log."""
    try:
        return "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-count:])
    except OSError:
        return ""


class Processes:
    """Starts commands and can end all that still run."""

    def __init__(self) -> None:
        self._running: set[subprocess.Popen[bytes]] = set()
        self._lock = threading.Lock()
        self._stopped = False

    def run(
        self, what: str, command: Sequence[str], log: Path, env: Mapping[str, str], cwd: Path | None = None
    ) -> None:
        """Run a command, its output appended to the log; raises ImagesError, or Stopped after stop()."""
        with log.open("ab") as output:
            output.write(f"$ {' '.join(command)}\n".encode())
            output.flush()
            try:
                process = self._start(command, output.fileno(), env, cwd)
            except OSError as error:
                raise ImagesError(f"{what}: could not run {command[0]}: {error.strerror}. Install it.") from error
            status = process.wait()
        with self._lock:
            self._running.discard(process)
            if self._stopped:
                raise Stopped
        if status:
            end = last_lines(log)
            raise ImagesError(f"{what}: {command[0]} ended with {status}. The log is {log}; its end:\n{end}")

    def _start(
        self, command: Sequence[str], output: int, env: Mapping[str, str], cwd: Path | None
    ) -> subprocess.Popen[bytes]:
        with self._lock:
            if self._stopped:
                raise Stopped
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=dict(env),
                cwd=cwd,
                start_new_session=True,
            )
            self._running.add(process)
            return process

    @contextlib.contextmanager
    def ending_with_this_one(self) -> Iterator[None]:
        """End the commands when this process is told to end, as by Ctrl-C."""

        def end(number: int, _frame: object) -> None:
            self.stop()
            raise SystemExit(128 + number)

        before = {number: signal.signal(number, end) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def stop(self) -> None:
        """End the commands that still run, with all that they started."""
        with self._lock:
            self._stopped = True
            for process in self._running:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGTERM)
