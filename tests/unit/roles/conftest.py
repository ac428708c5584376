# Copyright: campus.jupyterhub contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Renders the roles' real templates with their real defaults, by Ansible itself but without a cluster."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[3]
ROLES = ROOT / "roles"
IMAGES = {"hub": "hub:1", "singleuser": "student:1", "proxy": "proxy:1", "pause": "pause:1", "jobs": "jobs:1"}

Render = Callable[..., list[dict[str, Any]]]
Evaluate = Callable[[str, list[str], list[dict[str, Any]]], list[list[Any]]]
Template = tuple[str, str]
LOCALLY = {"hosts": "localhost", "connection": "local", "gather_facts": False}


def _files(role: str) -> list[str]:
    """The files that hold a role's variables, and those that all roles share."""
    files = [
        part / "main.yml" for of in (ROLES / "jupyterhub", ROLES / role) for part in (of / "defaults", of / "vars")
    ]
    return [str(file) for file in files if file.exists()]


def _play(role: str, templates: list[str], folder: Path) -> dict[str, Any]:
    """A play of its own for each role: its variables must not reach the next one's templates."""
    path = ROLES / role
    read = [{"ansible.builtin.include_vars": file} for file in _files(role)]
    write = [
        {"ansible.builtin.template": {"src": f"{path}/templates/{name}", "dest": f"{folder}/{role}-{name}"}}
        for name in templates
    ]
    return {**LOCALLY, "vars": {"role_path": str(path)}, "tasks": read + write}


def _run(folder: Path, plays: list[dict[str, Any]], options: str) -> None:
    play, given = folder / "play.yml", folder / "options.json"
    play.write_text(json.dumps(plays))
    given.write_text(json.dumps({"jupyterhub_images": IMAGES, **json.loads(options)}))
    tool = str(Path(sys.executable).with_name("ansible-playbook"))
    command = [tool, "-i", os.devnull, str(play), "-e", f"@{given}"]
    environment = {
        **os.environ,
        "ANSIBLE_COLLECTIONS_PATH": str(ROOT / "build" / "collections"),
        "ANSIBLE_NOCOLOR": "1",
    }
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def _rendered(folder: Path, templates: tuple[Template, ...], options: str) -> list[dict[str, Any]]:
    roles = dict.fromkeys(role for role, _name in templates)
    _run(folder, [_play(role, [name for of, name in templates if of == role], folder) for role in roles], options)
    texts = [(folder / f"{role}-{name}").read_text() for role, name in templates]
    return [document for text in texts for document in yaml.safe_load_all(text) if document]


@pytest.fixture(scope="session")
def render(tmp_path_factory: pytest.TempPathFactory) -> Render:
    """render((role, template), …, option=value): the objects that come out; what was rendered once is remembered."""

    @cache
    def once(templates: tuple[Template, ...], options: str) -> list[dict[str, Any]]:
        return _rendered(tmp_path_factory.mktemp("rendered"), templates, options)

    return lambda *templates, **options: once(templates, json.dumps(options, sort_keys=True))


@pytest.fixture(scope="session")
def evaluate(tmp_path_factory: pytest.TempPathFactory) -> Evaluate:
    """evaluate(role, [name, …], [options, …]): for each set of options the values of those variables of a role."""

    def values(role: str, names: list[str], cases: list[dict[str, Any]]) -> list[list[Any]]:
        folder = tmp_path_factory.mktemp("evaluated")
        content = "{{ [" + ", ".join(names) + "] | to_json }}"
        tasks = [
            {"ansible.builtin.copy": {"content": content, "dest": f"{folder}/{number}.json"}, "vars": options}
            for number, options in enumerate(cases)
        ]
        _run(folder, [{**LOCALLY, "vars_files": _files(role), "tasks": tasks}], "{}")
        return [json.loads((folder / f"{number}.json").read_text()) for number in range(len(cases))]

    return values
