"""The driver, made to fail at a chosen point once a test says so.

Usage: python faulty.py FOLDER POINT [argument of the driver ...]

Nothing happens until FOLDER/armed is there. Then, with a number as POINT, so many changes of files go well and the
driver is killed before the next; with "hold", the next copy is held until FOLDER/released is there; with "torn-BYTES",
resize2fs is killed before it writes anything beyond so many bytes of the image, and the driver with it.
"""

from __future__ import annotations

import itertools
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from campus_csi import ext4, files, tools
from campus_csi.__main__ import main

CHANGES = ("clone", "copy_sparse", "sync", "write", "replace", "move", "extend", "remove")

folder, point = Path(sys.argv[1]), sys.argv[2]
done = itertools.count()


def killing(real: Callable[..., Any]) -> Callable[..., Any]:
    """Return a change of files that is counted, and at one number not made any more."""

    def change(*args: Any) -> Any:
        if (folder / "armed").exists() and next(done) == int(point):
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*args)

    return change


def holding(real: Callable[..., Any]) -> Callable[..., Any]:
    """Return a copy that is made after a long wait."""

    def copy(*args: Any) -> Any:
        if (folder / "armed").exists():
            (folder / "held").touch()
            while not (folder / "released").exists():
                time.sleep(0.01)
        return real(*args)

    return copy


def tear(image: Path) -> None:
    """Kill resize2fs and the driver together, as the end of their container does."""
    limit = f"--fsize={point.removeprefix('torn-')}"
    tools.run("prlimit", limit, "resize2fs", str(image), good=[-signal.SIGXFSZ])
    os.kill(os.getpid(), signal.SIGKILL)


if point == "hold":
    files.clone = holding(files.clone)
elif point.startswith("torn-"):
    ext4.grow_unmounted = tear
else:
    for name in CHANGES:
        setattr(files, name, killing(getattr(files, name)))
del sys.argv[1:3]
sys.exit(main())
