# Copyright: campus.jupyterhub contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Keys: equal for equal inputs, different for any other, blind for what does not count."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
import yaml
from ansible_collections.campus.jupyterhub.plugins.module_utils import _images as images
from ansible_collections.campus.jupyterhub.plugins.module_utils import _images_keys as keys
from hypothesis import given
from hypothesis import strategies as st

ROOT = Path(__file__).resolve().parents[4]
FOLDER = ROOT / "images"
CORE = ROOT / "build" / "collections" / "ansible_collections" / "kubernetes" / "core"


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the collection's images and plugins, to be changed."""
    target = tmp_path_factory.mktemp("copy")
    for name in ("images", "plugins"):
        shutil.copytree(ROOT / name, target / name, ignore=shutil.ignore_patterns("__pycache__"))
    return target / "images"


def all_keys(folder: Path, machine: str = "x86_64") -> dict[str, str]:
    recipes = yaml.safe_load((folder / "recipes.yml").read_text())
    collections = {"campus.jupyterhub": folder.parent, "kubernetes.core": CORE}
    tools, found = keys.all_keys(images.read_recipes(recipes, folder, "0.1.0", collections), machine)
    return {**{f"tool {name}": key for name, key in tools.items()}, **found}


def changed(before: dict[str, str], after: dict[str, str]) -> set[str]:
    return {name for name in before if before[name] != after[name]}


def test_a_copy_has_the_same_keys(copy: Path) -> None:
    assert all_keys(copy) == all_keys(FOLDER)


def test_another_architecture_has_other_keys() -> None:
    here, there = all_keys(FOLDER), all_keys(FOLDER, "aarch64")
    assert changed(here, there) == set(here)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("hub/jupyterhub_config.py", {"hub"}),
        ("tools/csi-resizer/go.sum", {"tool csi-resizer", "csi_resizer"}),
        ("pause/Containerfile", {"pause", "node"}),
        ("hub/src/campus_hub/__pycache__/config.pyc", set()),
        ("hub/build/lib/config.py", set()),
        ("../plugins/module_utils/_quantity.py", {"jobs"}),
        ("../plugins/filter/students.py", set()),
    ],
)
def test_a_change_reaches_what_is_made_of_it(copy: Path, path: str, expected: set[str]) -> None:
    before, file = all_keys(copy), copy / path
    file.parent.mkdir(parents=True, exist_ok=True)
    old = file.read_bytes() if file.exists() else None
    file.write_bytes((old or b"") + b"\n# changed\n")
    try:
        assert changed(before, all_keys(copy)) == expected
    finally:
        if old is None:
            file.unlink()
        else:
            file.write_bytes(old)


def test_a_change_of_the_base_reaches_all_that_start_from_it(copy: Path) -> None:
    before, file = all_keys(copy), copy / "base" / "Containerfile"
    old = file.read_text()
    file.write_text(old + "\n")
    after = all_keys(copy)
    file.write_text(old)
    assert {"base", "hub", "proxy", "singleuser", "csi", "jobs", "pause", "kube_proxy", "node"} == changed(
        before, after
    )


def test_a_file_that_becomes_a_program_counts(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("#!/bin/sh\n")
    before = keys.file_facts(tmp_path)
    os.chmod(tmp_path / "run", 0o755)
    assert keys.file_facts(tmp_path) != before


@given(st.text(), st.text())
def test_digests_tell_texts_apart(one: str, other: str) -> None:
    assert (keys.digest([one]) == keys.digest([other])) == (one == other)


@given(st.dictionaries(st.text(), st.integers()))
def test_the_order_of_inputs_does_not_count(inputs: dict[str, int]) -> None:
    assert keys.digest(inputs) == keys.digest(dict(reversed(inputs.items())))


def test_a_tag_has_no_character_that_tags_must_not_have() -> None:
    assert keys.tag("v1.36.3+k3s1", "0123456789ab") == "v1.36.3-k3s1-0123456789ab"


def test_older_versions_of_the_same_images_are_superseded() -> None:
    held = ["localhost:5001/campus/hub:1", "localhost:5001/campus/hub:2", "localhost:5002/campus/hub:1", "debian:12"]
    assert keys.superseded(held, ["localhost:5001/campus/hub:2", "localhost:5001/campus/csi:1"]) == [
        "localhost:5001/campus/hub:1"
    ]
