"""A full disk must not keep a student from starting the server and deleting something."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import MutableMapping
from pathlib import Path

PROBE_BYTES = 1 << 20
FULL = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES}


def is_full(home: Path) -> bool:
    """Say whether a folder and 1 MiB of content cannot be written below home."""
    try:
        with tempfile.TemporaryDirectory(prefix=".space-", dir=home) as folder:
            descriptor = os.open(Path(folder) / "probe", os.O_CREAT | os.O_WRONLY)
            try:
                os.write(descriptor, b"\0" * PROBE_BYTES)
                # Delayed allocation says no only here.
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
    except OSError as error:
        return error.errno in FULL
    return False


def make_room(environment: MutableMapping[str, str]) -> list[str]:
    """Point what IPython and Jupyter must write at a temporary folder if the home is full; return what to log.

    What is in the home is still read: notebooks, settings, kernels and extensions.
    """
    home = Path(environment.get("HOME", "/home/jovyan"))
    if not is_full(home):
        return []
    folder = Path(tempfile.mkdtemp(prefix="home-is-full-"))
    config = environment.get("JUPYTER_CONFIG_DIR", str(home / ".jupyter"))
    data = environment.get("JUPYTER_DATA_DIR", str(home / ".local/share/jupyter"))
    for variable, path in (("JUPYTER_CONFIG_PATH", config), ("JUPYTER_PATH", data)):
        environment[variable] = os.pathsep.join(filter(None, (path, environment.get(variable, ""))))
    environment.setdefault("JUPYTERLAB_SETTINGS_DIR", str(Path(config, "lab/user-settings")))
    for variable in ("IPYTHONDIR", "JUPYTER_DATA_DIR", "JUPYTER_CONFIG_DIR", "JUPYTERLAB_WORKSPACES_DIR"):
        (folder / variable.lower()).mkdir()
        environment[variable] = str(folder / variable.lower())
    return [f"{home} is full: until there is room again, history and signatures are kept in {folder} and then lost"]
