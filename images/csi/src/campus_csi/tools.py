"""Running the file system tools."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Collection

from .errors import Damaged


def run(*command: str, good: Collection[int] = (0,)) -> str:
    """Run a command and return what it printed.

    Raises:
        Damaged: its exit code is not a `good` one; the message holds the end of what it printed.
    """
    plain = {**os.environ, "LC_ALL": "C"}
    result = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=plain, check=False
    )
    if result.returncode not in good:
        said = " ".join(line.strip() for line in result.stdout.strip().splitlines()[-3:])
        raise Damaged(f"{command[0]} failed with {result.returncode}: {said}")
    return result.stdout
