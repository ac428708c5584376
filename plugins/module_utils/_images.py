# Copyright: campus.jupyterhub contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What images are made of: the recipes, checked and turned into values. Pure but for reading the recipes' folder.

Private to the collection: it may change in any release.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Json = dict[str, Any]


class ImagesError(Exception):
    """What went wrong with the images, in one sentence that says what to do."""


@dataclass(frozen=True)
class Tool:
    """A Go program or several of one module; ``stamp`` maps Go variables to what they say at run time."""

    name: str
    module: str
    version: str
    stamp: tuple[tuple[str, str], ...]
    rename: tuple[tuple[str, str], ...]
    seconds: int
    megabytes: int

    @property
    def linker_flags(self) -> str:
        """Return the flags that strip a program and stamp its version."""
        return " ".join(["-s", "-w", *(f"-X {variable}={value}" for variable, value in self.stamp)])


@dataclass(frozen=True)
class Binaries:
    """Programs of a tool that an image's build finds below ``into`` in its folder."""

    tool: str
    names: tuple[str, ...]
    into: str


@dataclass(frozen=True)
class Source:
    """A folder of a collection that an image's build finds below ``into`` in its folder."""

    folder: Path
    into: str


@dataclass(frozen=True)
class Image:
    """One image; ``archive`` maps other images to the names under which this one carries them."""

    name: str
    folder: Path
    version: str
    upstream: str
    binaries: tuple[Binaries, ...]
    archive: tuple[tuple[str, str], ...]
    args: tuple[tuple[str, str], ...]
    uses_base: bool
    seconds: int
    megabytes: int
    network: bool
    sources: tuple[Source, ...] = ()

    @property
    def needs(self) -> frozenset[str]:
        """Return the images that have to exist before this one is built."""
        return frozenset(name for name, _reference in self.archive) | ({"base"} if self.uses_base else frozenset())

    @property
    def tools(self) -> frozenset[str]:
        """Return the tools whose programs it holds."""
        return frozenset(binaries.tool for binaries in self.binaries)


@dataclass(frozen=True)
class Recipes:
    """All recipes of one folder; ``versions`` are the pins by name."""

    root: Path
    debian: Json
    tools: dict[str, Tool]
    images: dict[str, Image]
    versions: dict[str, str]


def pinned_version(go_mod: str, module: str) -> str:
    """Return the version at which a go.mod requires a module; raises ImagesError."""
    found = re.search(rf"^(?:\s+|require ){re.escape(module)} (v\S+)", go_mod, re.MULTILINE)
    if not found:
        raise ImagesError(f"The go.mod file pins no version of {module}; run 'go get' in its folder.")
    return found.group(1)


def version_parts(version: str) -> dict[str, str]:
    """Return the words that a stamp may use: version, major, minor."""
    major, _dot, rest = version.removeprefix("v").partition(".")
    return {"version": version, "major": major, "minor": rest.partition(".")[0]}


def read_tool(name: str, recipe: Json, root: Path) -> Tool:
    """Return a tool, its version read from its go.mod."""
    module = recipe["module"]
    version = pinned_version((root / "tools" / name / "go.mod").read_text(encoding="utf-8"), module)
    parts = version_parts(version)
    return Tool(
        name=name,
        module=module,
        version=version,
        stamp=tuple((variable, text.format(**parts)) for variable, text in recipe.get("stamp", {}).items()),
        rename=tuple(recipe.get("rename", {}).items()),
        seconds=recipe.get("seconds", 30),
        megabytes=recipe.get("megabytes", 200),
    )


def read_sources(name: str, recipe: Json, collections: Mapping[str, Path]) -> tuple[Source, ...]:
    """Return the folders of collections that go into an image; raises ImagesError when one is not there."""
    found = []
    for source in recipe.get("sources", []):
        collection = source["collection"]
        if collection not in collections:
            raise ImagesError(
                f"The image {name} is made with the collection {collection}, which Ansible does not find here; run "
                f"'ansible-galaxy collection install {collection}'."
            )
        namespace, _dot, rest = collection.partition(".")
        for folder in source["folders"]:
            path = collections[collection] / folder
            if not path.is_dir():
                raise ImagesError(f"The collection {collection} in {collections[collection]} has no folder {folder}.")
            found.append(Source(path, f"ansible_collections/{namespace}/{rest}/{folder}"))
    return tuple(found)


def read_image(name: str, recipe: Json, root: Path, versions: dict[str, str], collections: Mapping[str, Path]) -> Image:
    """Return an image; without a version of its own it has the collection's."""
    folder = root / recipe.get("folder", name.replace("_", "-"))
    containerfile = (folder / "Containerfile").read_text(encoding="utf-8")
    return Image(
        name=name,
        folder=folder,
        version=versions[recipe["version"]] if "version" in recipe else versions["collection"],
        upstream=recipe.get("upstream", "").format(**versions),
        binaries=tuple(Binaries(b["tool"], tuple(b["names"]), b["into"]) for b in recipe.get("binaries", [])),
        archive=tuple((other, text.format(**versions)) for other, text in recipe.get("archive", {}).items()),
        args=tuple((key, text.format(**versions)) for key, text in recipe.get("args", {}).items()),
        uses_base=bool(re.search(r"^ARG BASE\b", containerfile, re.MULTILINE)),
        seconds=recipe.get("seconds", 5),
        megabytes=recipe.get("megabytes", 200),
        network=recipe.get("network", False),
        sources=read_sources(name, recipe, collections),
    )


def read_recipes(recipes: Json, root: Path, collection_version: str, collections: Mapping[str, Path]) -> Recipes:
    """Return the recipes of a folder of images; raises ImagesError when one names what is not there.

    ``collections`` are the folders of the collections that images take files of, by the collections' names.
    """
    try:
        tools = {name: read_tool(name, recipe or {}, root) for name, recipe in recipes["tools"].items()}
        versions = {name: tool.version for name, tool in tools.items()}
        versions |= {name: str(version) for name, version in recipes.get("versions", {}).items()}
        versions["collection"] = collection_version
        images = {
            name: read_image(name, recipe or {}, root, versions, collections)
            for name, recipe in recipes["images"].items()
        }
    except KeyError as error:
        raise ImagesError(f"The recipes of the images lack {error}; correct {root}/recipes.yml.") from error
    except OSError as error:
        raise ImagesError(f"A recipe in {root} is not complete: {error.strerror}: {error.filename}.") from error
    found = Recipes(root, recipes["debian"], tools, images, versions)
    check_names(found)
    return found


def check_names(recipes: Recipes) -> None:
    """Raise ImagesError when an image uses an image or a tool that has no recipe."""
    for image in recipes.images.values():
        unknown = (image.needs - recipes.images.keys()) | (image.tools - recipes.tools.keys())
        if unknown:
            raise ImagesError(f"Image {image.name} needs {', '.join(sorted(unknown))}, which no recipe describes.")


def closure(recipes: Recipes, names: frozenset[str]) -> frozenset[str]:
    """Return the images and all that they need; raises ImagesError for an unknown one."""
    found: set[str] = set()
    waiting = set(names)
    while waiting:
        name = waiting.pop()
        if name not in recipes.images:
            raise ImagesError(f"There is no image {name}; choose from {', '.join(sorted(recipes.images))}.")
        found.add(name)
        waiting |= recipes.images[name].needs - found
    return frozenset(found)
