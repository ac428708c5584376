# Copyright: campus.jupyterhub contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Keys of images and tools: the same inputs give the same key, and any other input another one.

Private to the collection: it may change in any release.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable
from pathlib import Path

from ansible_collections.campus.jupyterhub.plugins.module_utils._images import Image, Recipes, Tool

# To be raised when the builder itself makes something else out of the same inputs.
BUILDER = 1
LENGTH = 12
IGNORED = {"__pycache__", ".pytest_cache", ".mypy_cache", ".ruff_cache", "build", ".DS_Store"}


def digest(value: object) -> str:
    """Return a key of any JSON value."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:LENGTH]


def folder_files(folder: Path) -> list[Path]:
    """Return the files that count, relative to the folder, in a stable order."""
    found = []
    for path in sorted(folder.rglob("*")):
        inside = path.relative_to(folder)
        ignored = IGNORED.intersection(inside.parts) or path.suffix == ".pyc" or ".egg-info" in str(inside)
        if not ignored and (path.is_symlink() or path.is_file()):
            found.append(inside)
    return found


def file_facts(folder: Path) -> list[tuple[str, bool, str]]:
    """Return path, whether it can be executed, and the content's hash of every file that counts."""
    facts = []
    for inside in folder_files(folder):
        path = folder / inside
        content = os.readlink(path).encode() if path.is_symlink() else path.read_bytes()
        facts.append((inside.as_posix(), os.access(path, os.X_OK), hashlib.sha256(content).hexdigest()))
    return facts


def image_facts(image: Image) -> list[tuple[str, bool, str]]:
    """Return the same of all files that an image is built from."""
    facts = file_facts(image.folder)
    for source in image.sources:
        facts += [(f"{source.into}/{path}", program, key) for path, program, key in file_facts(source.folder)]
    return facts


def tool_key(tool: Tool, facts: Iterable[tuple[str, bool, str]], machine: str) -> str:
    """Return the key of a tool for a machine's architecture."""
    return digest([BUILDER, machine, tool.module, tool.stamp, tool.rename, sorted(facts)])


def image_key(image: Image, facts: Iterable[tuple[str, bool, str]], inputs: dict[str, str], machine: str) -> str:
    """Return the key of an image; ``inputs`` are the keys of the images and tools that go into it."""
    binaries = [(b.tool, b.names, b.into) for b in image.binaries]
    return digest([BUILDER, machine, image.args, binaries, image.archive, sorted(facts), sorted(inputs.items())])


def all_keys(recipes: Recipes, machine: str) -> tuple[dict[str, str], dict[str, str]]:
    """Return the keys of all tools and of all images."""
    tools = {
        name: tool_key(tool, file_facts(recipes.root / "tools" / name), machine) for name, tool in recipes.tools.items()
    }
    images: dict[str, str] = {}

    def key_of(name: str) -> str:
        if name not in images:
            image = recipes.images[name]
            inputs = {f"image {other}": key_of(other) for other in image.needs}
            inputs |= {f"tool {tool}": tools[tool] for tool in image.tools}
            if name == "base":
                inputs["debian"] = digest(recipes.debian)
            images[name] = image_key(image, image_facts(image), inputs, machine)
        return images[name]

    for name in recipes.images:
        key_of(name)
    return tools, images


def tag(version: str, key: str) -> str:
    """Return an image's tag: the version that people know and the key of what it was built from."""
    return f"{version.replace('+', '-')}-{key}"


def superseded(held: Iterable[str], current: Iterable[str]) -> list[str]:
    """Return those of the held images that are other versions of the current ones."""
    now = set(current)
    repositories = {image.rpartition(":")[0] for image in now}
    return sorted(image for image in held if image not in now and image.rpartition(":")[0] in repositories)
