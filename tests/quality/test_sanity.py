"""`ansible-test sanity` on a copy of the collection, where ansible-test wants it, without a single ignored finding."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "campus.jupyterhub"

Run = Callable[..., str]


def copy_tracked(target: Path) -> None:
    """Copy the files that git knows, or would know, into a new repository: ansible-test asks git for them."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    for name in listed.stdout.decode().split("\0"):
        source = ROOT / name
        if name and source.is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target / name, follow_symlinks=False)
    subprocess.run(["git", "init", "--quiet", "."], cwd=target, check=True)
    subprocess.run(["git", "add", "--all"], cwd=target, check=True)


# In a process of its own: whoever imports ansible-test may have no more than 1024 open files from then on.
PIP = """
import inspect
from ansible_test._internal import python_requirements
print(inspect.getsource(python_requirements.get_venv_packages).split("pip='", 1)[1].split("'", 1)[0])
"""


def bootstrap_pip(home: Path) -> None:
    """Put our stand-in where ansible-test would download its get-pip.py to, so that a package index is enough."""
    version = subprocess.run([sys.executable, "-c", PIP], check=True, capture_output=True, text=True).stdout.strip()
    target = home / ".ansible" / "test" / "cache" / f"get_pip_{version.replace('.', '_')}.py"
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(ROOT / "scripts" / "get_pip.py", target)


def test_sanity(run: Run, tmp_path: Path) -> None:
    base = tmp_path / "ansible_collections"
    target = base / "campus" / "jupyterhub"
    target.mkdir(parents=True)
    copy_tracked(target)
    assert not list((target / "tests").glob("sanity/ignore-*"))
    (base / "kubernetes").mkdir()
    (base / "kubernetes" / "core").symlink_to(ROOT / "build/collections/ansible_collections/kubernetes/core")
    home = CACHE / "sanity"
    bootstrap_pip(home)
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    env = {"HOME": str(home), "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    run("ansible-test", "sanity", "--local", "--python", version, cwd=target, env=env)
