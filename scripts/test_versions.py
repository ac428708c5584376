# Copyright: campus.jupyterhub contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Try the collection with every supported ansible-core that the Pythons of this machine carry.

For each: an environment of its own, the syntax of every playbook, the unit tests of plugins and roles, the bad input.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "campus.jupyterhub" / "versions"
# ansible-core and the Pythons that its controller runs on.
MATRIX = {
    "2.17": ("3.11", "3.12"),
    "2.18": ("3.11", "3.12", "3.13"),
    "2.19": ("3.11", "3.12", "3.13"),
    "2.20": ("3.12", "3.13"),
    "2.21": ("3.12", "3.13"),
}
TESTS = ["tests/unit/plugins", "tests/unit/roles", "tests/unit/test_bad_input.py"]
NEEDS = ["hypothesis", "jmespath", "kubernetes", "pytest", "pytest-asyncio", "websocket-client"]


def python_of(version: str) -> str | None:
    """Return this machine's Python of a version, or None."""
    found = shutil.which(f"python{version}")
    pyenv = sorted(Path.home().glob(f".pyenv/versions/{version}.*/bin/python"))
    return str(pyenv[-1]) if pyenv else found


def environment_of(core: str, version: str, python: str) -> Path:
    """Return the bin folder of an environment with this ansible-core on this Python."""
    folder = CACHE / f"core-{core}-python-{version}"
    if not (folder / "complete").exists():
        uv = str(Path(sys.executable).with_name("uv"))
        subprocess.run([uv, "venv", "--quiet", "--clear", "--python", python, str(folder)], check=True)
        packages = [f"ansible-core=={core}.*", *NEEDS]
        command = [uv, "pip", "install", "--quiet", "--python", str(folder / "bin" / "python"), *packages]
        subprocess.run(command, check=True)
        (folder / "complete").touch()
    return folder / "bin"


def attempt(tools: Path) -> str:
    """Return what failed with one environment, empty when nothing did."""
    environment = {**os.environ, "PATH": f"{tools}{os.pathsep}{os.environ['PATH']}"}
    playbooks = [f"campus.jupyterhub.{path.stem}" for path in sorted((ROOT / "playbooks").glob("*.yml"))]
    commands = [
        [str(tools / "ansible-playbook"), "--syntax-check", *playbooks],
        [str(tools / "python"), "-m", "pytest", "-q", *TESTS],
    ]
    for command in commands:
        done = subprocess.run(command, cwd=ROOT, env=environment, check=False, capture_output=True, text=True)
        if done.returncode:
            return f"{' '.join(command)}\n{done.stdout[-3000:]}{done.stderr[-1000:]}"
    return ""


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("core", nargs="*", default=list(MATRIX), help="versions of ansible-core, such as 2.19")
    failed = 0
    for core in parser.parse_args().core:
        for version in MATRIX[core]:
            python = python_of(version)
            if not python:
                print(f"ansible-core {core} on Python {version}: this machine has no such Python", flush=True)
                continue
            said = attempt(environment_of(core, version, python))
            print(
                f"ansible-core {core} on Python {version}: {'FAILED' if said else 'works'}\n{said}".rstrip(), flush=True
            )
            failed += bool(said)
    sys.exit(failed)


if __name__ == "__main__":
    main()
