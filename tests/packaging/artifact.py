"""Build the collection's artifact and install it into an empty path, as someone without the checkout would."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
TOOLS = Path(sys.executable).parent


@dataclass(frozen=True)
class Installed:
    """An installed artifact: the file, and a home folder that holds nothing else."""

    artifact: Path
    home: Path

    def play(self, name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a playbook of the collection from the empty home folder."""
        environment = {
            "ANSIBLE_COLLECTIONS_PATH": str(self.home / "collections"),
            "ANSIBLE_LOCAL_TEMP": str(self.home / "tmp"),
            "ANSIBLE_NOCOLOR": "1",
            "HOME": str(self.home),
            "LC_ALL": "C.UTF-8",
            "PATH": f"{TOOLS}{os.pathsep}{os.environ['PATH']}",
            "PWD": str(self.home),
        }
        command = [str(TOOLS / "ansible-playbook"), name, *arguments]
        return subprocess.run(command, cwd=self.home, env=environment, check=False, capture_output=True, text=True)


def install(folder: Path) -> Installed:
    """Build the artifact and install it, with kubernetes.core beside it, below ``folder``."""
    galaxy = str(TOOLS / "ansible-galaxy")
    subprocess.run([galaxy, "collection", "build", "--output-path", str(folder)], cwd=ROOT, check=True)
    artifact = next(folder.glob("campus-jupyterhub-*.tar.gz"))
    home = folder / "home"
    path = home / "collections"
    path.mkdir(parents=True)
    # The dependency would come from Galaxy; here it is the copy that the tests use anyway.
    command = [galaxy, "collection", "install", "--no-deps", "--collections-path", str(path), str(artifact)]
    subprocess.run(command, cwd=home, check=True)
    kubernetes = path / "ansible_collections" / "kubernetes"
    kubernetes.mkdir()
    source = ROOT / "build" / "collections" / "ansible_collections" / "kubernetes" / "core"
    (kubernetes / "core").symlink_to(source.resolve())
    return Installed(artifact, home)
