# Copyright: campus.jupyterhub contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a build needs of this machine: programs and disk space.

Private to the collection: it may change in any release.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from ansible_collections.campus.jupyterhub.plugins.module_utils._build_runtime import Runtime
from ansible_collections.campus.jupyterhub.plugins.module_utils._images import ImagesError
from ansible_collections.campus.jupyterhub.plugins.module_utils._images_plan import Step, megabytes
from ansible_collections.campus.jupyterhub.plugins.module_utils._images_source import newer_or_same

OLDEST_GO = "1.21"
"""From this version on Go fetches the newer one that a module asks for, as it does any other module."""

PROGRAMS = {
    "go": "compile what no registry has; install Go 1.26 or newer (https://go.dev/dl)",
    "mmdebstrap": "unpack Debian where no registry has it; run 'apt-get install mmdebstrap'",
}


def programs(steps: Collection[Step], unpack_debian: bool) -> list[str]:
    """Return the programs that the steps call."""
    found = ["go"] if any(step.action == "tool" for step in steps) else []
    return [*found, *(["mmdebstrap"] if unpack_debian and any(step.id == "image base" for step in steps) else [])]


def check_go() -> None:
    """Raise ImagesError when Go is too old to compile the programs."""
    done = subprocess.run(["go", "env", "GOVERSION"], capture_output=True, text=True, timeout=60, check=False)
    version = done.stdout.strip().removeprefix("go")
    if not newer_or_same(version, OLDEST_GO):
        found = f"Go {version} is too old" if version else "this Go says no version, so it may be too old"
        raise ImagesError(f"{found} to {PROGRAMS['go']}.")


def space_problem(needed: Mapping[str, int], free: Mapping[str, int], device: Mapping[str, int]) -> str:
    """Return what is wrong with the disk space, or nothing.

    All three go by folder; ``needed`` and ``free`` are in MB, and folders on one ``device`` share what is free there.
    """
    for one in sorted(set(device.values())):
        folders = sorted(folder for folder in needed if device[folder] == one and needed[folder])
        total = sum(needed[folder] for folder in folders)
        if folders and total > free[folders[0]]:
            return (
                f"Building the images needs {gigabytes(total)} GB in {' and '.join(folders)}, but only "
                f"{gigabytes(free[folders[0]])} GB are free: make room, or set images_cache_dir to a larger disk."
            )
    return ""


def gigabytes(amount: int) -> str:
    """Return MB as GB with one digit behind the point."""
    return f"{amount / 1000:.1f}"


def existing(folder: Path) -> Path:
    """Return the folder, or the nearest one above it that exists."""
    return next(path for path in [folder, *folder.parents] if path.exists())


def check_needs(steps: Sequence[Step], runtime: Runtime, cache: Path, unpack_debian: bool) -> None:
    """Raise ImagesError when this machine cannot do the steps."""
    if not steps:
        return
    for program in programs(steps, unpack_debian):
        if not shutil.which(program):
            raise ImagesError(f"{program} is needed to {PROGRAMS[program]}.")
        if program == "go":
            check_go()
    storage = runtime.storage()
    compiled = [step for step in steps if step.action == "tool"]
    needed = {str(cache): megabytes(compiled)}
    needed[str(storage)] = needed.get(str(storage), 0) + megabytes(steps) - megabytes(compiled)
    places = {folder: existing(Path(folder)) for folder in needed}
    problem = space_problem(
        needed,
        {folder: shutil.disk_usage(path).free // 1_000_000 for folder, path in places.items()},
        {folder: os.stat(path).st_dev for folder, path in places.items()},
    )
    if problem:
        raise ImagesError(problem)
