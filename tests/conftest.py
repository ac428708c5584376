"""Running commands from tests: their output is shown while they run and kept in build/logs."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
TOOLS = Path(sys.executable).parent
LAST_LINES = 60

Run = Callable[..., str]


def environment(**more: str) -> dict[str, str]:
    """Return the environment of a command: this Python's tools first, no colours, no terminal."""
    path = f"{TOOLS}{os.pathsep}{os.environ.get('PATH', '')}"
    return {**os.environ, "PATH": path, "NO_COLOR": "1", "ANSIBLE_NOCOLOR": "1", "PY_COLORS": "0", **more}


@pytest.fixture
def run(request: pytest.FixtureRequest, capfd: pytest.CaptureFixture[str]) -> Run:
    """Return a function that runs a command, fails with its last lines, and returns its whole output."""

    def command(*words: str | Path, cwd: Path = ROOT, show: bool = False, env: dict[str, str] | None = None) -> str:
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
            )
            assert process.stdout is not None
            for line in process.stdout:
                lines.append(line)
                kept.write(line)
                kept.flush()
                if show:
                    with capfd.disabled():
                        print(f"[{time.monotonic() - began:5.0f} s] {line}", end="", flush=True)
            code = process.wait()
        if code:
            tail = "".join(lines[-LAST_LINES:])
            pytest.fail(f"{shlex.join(argv)} ended with {code}; the whole log is {log}\n{tail}", pytrace=False)
        return "".join(lines)

    return command
