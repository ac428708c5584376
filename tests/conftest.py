"""Running commands from tests: their output is shown while they run and kept in build/logs."""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# How fast this machine is today says nothing about the code: no deadline for an example, none for making them.
settings.register_profile("patient", settings(), deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")

ROOT = Path(__file__).resolve().parent.parent
TOOLS = Path(sys.executable).parent
LAST_LINES = 60
LONGEST_SECONDS = 3600
"""How long a command may take unless a test says otherwise; one that hangs must not hold up everything."""

Run = Callable[..., str]


def environment(**more: str) -> dict[str, str]:
    """Return the environment of a command: this Python's tools first, no colours, no terminal."""
    path = f"{TOOLS}{os.pathsep}{os.environ.get('PATH', '')}"
    return {**os.environ, "PATH": path, "NO_COLOR": "1", "ANSIBLE_NOCOLOR": "1", "PY_COLORS": "0", **more}


def end_group(leader: int) -> None:
    """Kill a process that leads its group, and all that it started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(leader, signal.SIGKILL)


@pytest.fixture
def run(request: pytest.FixtureRequest, capfd: pytest.CaptureFixture[str]) -> Run:
    """Return a function that runs a command, fails with its last lines, and returns its whole output.

    A command that takes longer than ``seconds`` is killed with all that it started, and fails.
    """

    def command(
        *words: str | Path,
        cwd: Path = ROOT,
        show: bool = False,
        env: dict[str, str] | None = None,
        seconds: float = LONGEST_SECONDS,
    ) -> str:
        argv = [str(word) for word in words]
        log = ROOT / "build" / "logs" / f"{request.node.name.replace('/', '-')}.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        began = time.monotonic()
        lines: list[str] = []
        with log.open("a", encoding="utf-8") as kept:
            kept.write(f"$ {shlex.join(argv)}\n")
            process = subprocess.Popen(
                argv,
                cwd=cwd,
                env=environment(**(env or {})),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                # Whatever it starts can then be ended with it.
                start_new_session=True,
            )
            assert process.stdout is not None
            late = threading.Timer(seconds, end_group, [process.pid])
            late.start()
            try:
                for line in process.stdout:
                    lines.append(line)
                    kept.write(line)
                    kept.flush()
                    if show:
                        with capfd.disabled():
                            print(f"[{time.monotonic() - began:5.0f} s] {line}", end="", flush=True)
                code = process.wait()
            finally:
                late.cancel()
                if process.poll() is None:
                    end_group(process.pid)
        if code:
            tail = "".join(lines[-LAST_LINES:])
            killed = code == -signal.SIGKILL and time.monotonic() - began >= seconds
            ended = f"was killed after {seconds:g} s" if killed else f"ended with {code}"
            pytest.fail(f"{shlex.join(argv)} {ended}; the whole log is {log}\n{tail}", pytrace=False)
        return "".join(lines)

    return command
