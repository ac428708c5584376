# Copyright: campus.jupyterhub contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Runs the module image_build, tells it where collections are, and shows its progress meanwhile."""

from __future__ import annotations

import importlib.util
import os
import tempfile
import threading
from collections.abc import Mapping
from typing import Any

from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

INTERVAL_SECONDS = 0.5


class Follower:
    """Shows the lines of a file as they are written; a context manager."""

    def __init__(self, path: str) -> None:
        self._path, self._display = path, Display()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._follow, daemon=True)

    def _follow(self) -> None:
        with open(self._path, encoding="utf-8") as file:
            while True:
                last = self._ended.wait(INTERVAL_SECONDS)
                for line in file:
                    self._display.display(line.rstrip("\n"))
                if last:
                    return

    def __enter__(self) -> Follower:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()


def collections_of(recipes: Mapping[str, Any]) -> dict[str, str]:
    """Return the folders of the collections that images are made with, as far as Ansible finds them, by name."""
    images = [image or {} for image in recipes.get("images", {}).values()]
    names = {source["collection"] for image in images for source in image.get("sources", [])}
    found = {}
    for name in sorted(names):
        try:
            spec = importlib.util.find_spec(f"ansible_collections.{name}")
        except ModuleNotFoundError:
            continue
        if spec and spec.submodule_search_locations:
            found[name] = next(iter(spec.submodule_search_locations))
    return found


class ActionModule(ActionBase):  # type: ignore[misc]
    """Runs the module; its progress shows where the module runs on the controller itself."""

    def run(self, tmp: Any = None, task_vars: Any = None) -> dict[str, Any]:
        """Return the module's result."""
        super().run(tmp, task_vars)
        arguments = dict(self._task.args)
        if found := collections_of(arguments.get("recipes") or {}):
            arguments["collections"] = {**found, **(arguments.get("collections") or {})}
        if self._connection.transport != "local":
            return dict(self._execute_module(module_args=arguments, task_vars=task_vars))
        handle, path = tempfile.mkstemp(prefix="image-build-")
        os.close(handle)
        try:
            with Follower(path):
                return dict(self._execute_module(module_args={**arguments, "progress": path}, task_vars=task_vars))
        finally:
            os.unlink(path)
