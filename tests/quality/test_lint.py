"""What linters say about the whole repository."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
PACKAGES = sorted(path.name for path in ROOT.glob("images/*/src/campus_*") if path.is_dir())
COLLECTION = "ansible_collections.campus.jupyterhub"
BASH = ("#!/usr/bin/env bash", "#!/bin/bash", "#!/bin/sh")

Run = Callable[..., str]


def shell_scripts(run: Run) -> list[str]:
    """Return the tracked files that are shell scripts."""
    tracked = [ROOT / name for name in run("git", "ls-files", "-z").split("\0") if name]
    files = [path for path in tracked if path.is_file() and not path.is_symlink()]
    return [str(path) for path in files if path.read_bytes()[:30].decode(errors="replace").startswith(BASH)]


def test_ruff(run: Run) -> None:
    run("ruff", "check", ".")
    run("ruff", "format", "--check", ".")


def test_types(run: Run) -> None:
    packages = [f"{COLLECTION}.{folder}" for folder in ("plugins", "scripts", "tests", "benchmarks")] + PACKAGES
    run(sys.executable, "-m", "mypy", *[word for name in packages for word in ("-p", name)])


def test_ansible_lint(run: Run) -> None:
    run("ansible-lint", "-c", ".config/ansible-lint.yml", "--offline", "--nocolor")


def test_documentation_of_plugins_and_roles(run: Run) -> None:
    options = ["--plugin-docs", "--validate-collection-refs=all", "--skip-rstcheck"]
    env = {"ANSIBLE_COLLECTIONS_PATH": str(ROOT / "build" / "collections")}
    run("antsibull-docs", "lint-collection-docs", *options, ".", env=env)


def test_changelog(run: Run) -> None:
    run("antsibull-changelog", "lint")


def test_shellcheck(run: Run) -> None:
    run("shellcheck", "--severity=style", *shell_scripts(run))
