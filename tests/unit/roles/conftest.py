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
Template = tuple[str, str]


def _play(role: str, templates: list[str], folder: Path) -> dict[str, Any]:
    """A play of its own for each role: its variables must not reach the next one's templates."""
    path = ROLES / role
    shared = ROLES / "jupyterhub"
    files = [part / "main.yml" for part in (shared / "defaults", shared / "vars", path / "defaults", path / "vars")]
    read = [{"ansible.builtin.include_vars": str(file)} for file in files if file.exists()]
    write = [
        {"ansible.builtin.template": {"src": f"{path}/templates/{name}", "dest": f"{folder}/{role}-{name}"}}
        for name in templates
    ]
    variables = {"role_path": str(path)}
    return {
        "hosts": "localhost",
        "connection": "local",
        "gather_facts": False,
        "vars": variables,
        "tasks": read + write,
    }


def _rendered(folder: Path, templates: tuple[Template, ...], options: str) -> list[dict[str, Any]]:
    play, given = folder / "play.yml", folder / "options.json"
    roles = dict.fromkeys(role for role, _name in templates)
    play.write_text(json.dumps([_play(role, [name for of, name in templates if of == role], folder) for role in roles]))
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
    texts = [(folder / f"{role}-{name}").read_text() for role, name in templates]
    return [document for text in texts for document in yaml.safe_load_all(text) if document]


@pytest.fixture(scope="session")
def render(tmp_path_factory: pytest.TempPathFactory) -> Render:
    """render((role, template), …, option=value): the objects that come out; what was rendered once is remembered."""

    @cache
    def once(templates: tuple[Template, ...], options: str) -> list[dict[str, Any]]:
        return _rendered(tmp_path_factory.mktemp("rendered"), templates, options)

    return lambda *templates, **options: once(templates, json.dumps(options, sort_keys=True))
