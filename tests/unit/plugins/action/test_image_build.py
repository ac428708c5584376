# Copyright: campus.jupyterhub contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The progress of a build shows while it runs, and where it does not run here the module runs all the same."""

from __future__ import annotations

import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.campus.jupyterhub.plugins.action import image_build


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The lines that were shown."""
    lines: list[str] = []
    monkeypatch.setattr(image_build, "Display", lambda: SimpleNamespace(display=lines.append))
    return lines


def action(transport: str, module: Any, **arguments: Any) -> Any:
    """Return the action plugin for a task whose module is replaced by a function of its arguments."""
    plugin = image_build.ActionModule.__new__(image_build.ActionModule)
    plugin._task = SimpleNamespace(args={"images": ["hub"], **arguments}, async_val=0, check_mode=False, diff=False)
    plugin._connection = SimpleNamespace(transport=transport, _shell=SimpleNamespace(tmpdir=None))
    plugin._execute_module = lambda module_args, task_vars: module(module_args)
    return plugin


def test_lines_are_shown_as_they_are_written(shown: list[str]) -> None:
    def module(arguments: dict[str, Any]) -> dict[str, Any]:
        with Path(arguments["progress"]).open("a") as file:
            file.write("[1/2   0:00] hub: building\n")
            file.flush()
            deadline = time.monotonic() + 60
            while not shown and time.monotonic() < deadline:
                time.sleep(0.05)
            assert shown
            file.write("[1/2   0:09] hub: done after 0:09\n")
        return {"changed": True, "progress": arguments["progress"]}

    result = action("local", module).run(task_vars={})
    assert shown == ["[1/2   0:00] hub: building", "[1/2   0:09] hub: done after 0:09"]
    assert result["changed"]
    assert not Path(result["progress"]).exists()


def test_elsewhere_the_module_runs_without_progress(shown: list[str]) -> None:
    assert action("ssh", lambda arguments: arguments).run(task_vars={}) == {"images": ["hub"]}
    assert shown == []


RECIPES = {
    "images": {
        "hub": None,
        "jobs": {
            "sources": [
                {"collection": "campus.jupyterhub", "folders": ["plugins"]},
                {"collection": "campus.nowhere", "folders": ["plugins"]},
            ]
        },
    }
}


def test_the_module_is_told_where_ansible_has_the_collections(shown: list[str]) -> None:
    found = action("ssh", lambda arguments: arguments, recipes=RECIPES).run(task_vars={})["collections"]
    assert set(found) == {"campus.jupyterhub"}, "the module says in a sentence what is missing"
    assert (Path(found["campus.jupyterhub"]) / "galaxy.yml").exists()


def test_whoever_names_a_collection_is_believed(shown: list[str]) -> None:
    named = {"campus.jupyterhub": "/srv/collection"}
    run = action("ssh", lambda arguments: arguments, recipes=RECIPES, collections=named).run
    assert run(task_vars={})["collections"] == named
