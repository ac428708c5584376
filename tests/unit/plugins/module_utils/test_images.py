# Copyright: campus.jupyterhub contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Recipes: read, checked, and the ones of this collection."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.campus.jupyterhub.plugins.module_utils import _images as images

ROOT = Path(__file__).resolve().parents[4]
FOLDER = ROOT / "images"
COLLECTIONS = {
    "campus.jupyterhub": ROOT,
    "kubernetes.core": ROOT / "build" / "collections" / "ansible_collections" / "kubernetes" / "core",
}
GO_MOD = """\
module campus.jupyterhub/images/tools/kind

require (
\tgolang.org/x/sys v0.35.0 // indirect
\tsigs.k8s.io/kind v0.33.0 // indirect
)
replace sigs.k8s.io/kind => sigs.k8s.io/kind v0.1.0
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A small folder of images: base, one of a tool, one that carries others."""
    for name, text in {"base": "ARG DEBIAN\n", "tool": "FROM scratch\n", "big": "ARG BASE\nFROM ${BASE}\n"}.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "Containerfile").write_text(text)
    (tmp_path / "tools" / "kind").mkdir(parents=True)
    (tmp_path / "tools" / "kind" / "go.mod").write_text(GO_MOD)
    return tmp_path


def recipes() -> dict[str, Any]:
    """The recipes of that folder."""
    stamp = {"main.version": "{version}", "main.minor": "{minor}"}
    return {
        "debian": {"suite": "bookworm", "packages": ["ca-certificates"], "image": "debian:bookworm"},
        "versions": {"pause": "3.10"},
        "tools": {"kind": {"module": "sigs.k8s.io/kind", "stamp": stamp}},
        "images": {
            "base": None,
            "tool": {"version": "kind", "binaries": [{"tool": "kind", "names": ["kind"], "into": "bin"}]},
            "big": {"archive": {"tool": "registry.k8s.io/tool:{kind}"}, "args": {"PAUSE": "{pause}"}},
        },
    }


def test_a_recipe_becomes_an_image(folder: Path) -> None:
    read = images.read_recipes(recipes(), folder, "1.2.3", {})
    assert read.tools["kind"].linker_flags == "-s -w -X main.version=v0.33.0 -X main.minor=33"
    assert read.images["tool"].version == "v0.33.0"
    assert read.images["tool"].needs == frozenset()
    big = read.images["big"]
    assert (big.version, sorted(big.needs), big.args) == ("1.2.3", ["base", "tool"], (("PAUSE", "3.10"),))
    assert big.archive == (("tool", "registry.k8s.io/tool:v0.33.0"),)


@pytest.mark.parametrize(
    ("module", "version"),
    [("sigs.k8s.io/kind", "v0.33.0"), ("golang.org/x/sys", "v0.35.0")],
)
def test_a_version_is_read_from_what_is_required(module: str, version: str) -> None:
    assert images.pinned_version(GO_MOD, module) == version


def test_a_module_without_a_version_is_refused() -> None:
    with pytest.raises(images.ImagesError, match=r"pins no version of example\.org/other; run 'go get'"):
        images.pinned_version(GO_MOD, "example.org/other")


@pytest.mark.parametrize(
    ("name", "recipe", "said"),
    [
        ("big", {"archive": {"nothing": "a:1"}}, "Image big needs nothing, which no recipe describes"),
        ("big", {"binaries": [{"tool": "rust", "names": [], "into": "bin"}]}, "Image big needs rust"),
        ("big", {"version": "nobody"}, "The recipes of the images lack 'nobody'"),
        ("gone", {}, "is not complete: No such file or directory"),
    ],
)
def test_a_wrong_recipe_is_refused(folder: Path, name: str, recipe: dict[str, Any], said: str) -> None:
    wrong = recipes()
    wrong["images"][name] = recipe
    with pytest.raises(images.ImagesError, match=said):
        images.read_recipes(wrong, folder, "1.2.3", {})


SOURCES = [{"collection": "campus.tools", "folders": ["plugins/modules", "plugins/module_utils"]}]


def test_an_image_takes_folders_of_collections(folder: Path, tmp_path: Path) -> None:
    with_sources = recipes()
    with_sources["images"]["big"] = {"sources": SOURCES}
    collection = tmp_path / "installed"
    for inside in ("plugins/modules", "plugins/module_utils"):
        (collection / inside).mkdir(parents=True)
    read = images.read_recipes(with_sources, folder, "1.2.3", {"campus.tools": collection})
    assert [(source.folder, source.into) for source in read.images["big"].sources] == [
        (collection / inside, f"ansible_collections/campus/tools/{inside}") for inside in SOURCES[0]["folders"]
    ]
    assert read.images["tool"].sources == ()


@pytest.mark.parametrize(
    ("collections", "said"),
    [
        (
            {},
            "collection campus.tools, which Ansible does not find here; run 'ansible-galaxy collection install campus",
        ),
        ({"campus.tools": Path("/nowhere")}, "The collection campus.tools in /nowhere has no folder plugins/modules"),
    ],
)
def test_a_collection_that_is_not_there_is_named(folder: Path, collections: dict[str, Path], said: str) -> None:
    with_sources = recipes()
    with_sources["images"]["big"] = {"sources": SOURCES}
    with pytest.raises(images.ImagesError, match=said):
        images.read_recipes(with_sources, folder, "1.2.3", collections)


def test_closure_holds_what_is_needed(folder: Path) -> None:
    read = images.read_recipes(recipes(), folder, "1.2.3", {})
    assert images.closure(read, frozenset(["big"])) == {"big", "base", "tool"}
    with pytest.raises(images.ImagesError, match="There is no image huge; choose from base, big, tool"):
        images.closure(read, frozenset(["huge"]))


def programs(go_mod: str, tool: images.Tool) -> set[str]:
    """Return what a tool's programs are called: after the last folder of their packages, leaving out a version."""
    packages = re.findall(r"(?m)^(?:tool |\t)([^ \n]+/[^ \n]+)$", go_mod)
    names = {re.sub(r"/v\d+$", "", package).rsplit("/", 1)[1] for package in packages}
    return {dict(tool.rename).get(name, name) for name in names}


def test_the_collections_own_recipes_are_complete() -> None:
    """Each program that an image takes is one that its tool makes, and each pin agrees with the others."""
    own = images.read_recipes(yaml.safe_load((FOLDER / "recipes.yml").read_text()), FOLDER, "0.1.0", COLLECTIONS)
    for image in own.images.values():
        for binaries in image.binaries:
            text = (FOLDER / "tools" / binaries.tool / "go.mod").read_text()
            assert set(binaries.names) <= programs(text, own.tools[binaries.tool]), f"{image.name} of {binaries.tool}"
    assert own.images["registry"].upstream.endswith(own.tools["registry"].version.removeprefix("v"))
    sidecars = {"csi_provisioner", "csi_resizer", "csi_snapshotter", "snapshot_controller"}
    assert {"node", "hub", "proxy", "singleuser", "csi", "jobs", "pause"} | sidecars <= own.images.keys()
