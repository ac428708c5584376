# Copyright: campus.jupyterhub contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A module runs from a file of arguments, out of what the image takes of the collections and nothing else."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.campus.jupyterhub.plugins.module_utils._build_context import lay_out
from ansible_collections.campus.jupyterhub.plugins.module_utils._images import read_recipes

ROOT = Path(__file__).resolve().parents[4]
INSTALLED = ROOT / "build" / "collections" / "ansible_collections"
MODULES = "ansible_collections.campus.jupyterhub.plugins.modules"


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that the image is built from."""
    recipes = yaml.safe_load((ROOT / "images" / "recipes.yml").read_text())
    collections = {name: INSTALLED / name.replace(".", "/") for name in ("campus.jupyterhub", "kubernetes.core")}
    image = read_recipes(recipes, ROOT / "images", "0.1.0", collections).images["jobs"]
    target = tmp_path_factory.mktemp("stage")
    lay_out(image, target, "", {})
    return target


def run(stage: Path, place: Path, module: str, /, **arguments: Any) -> tuple[int, dict[str, Any]]:
    """Exit code and result of a module; it finds no cluster, as in a pod whose account is not mounted."""
    (place / "arguments.json").write_text(json.dumps({"ANSIBLE_MODULE_ARGS": arguments}))
    command = [sys.executable, "-m", f"{MODULES}.{module}", str(place / "arguments.json")]
    environment = {
        "PYTHONPATH": str(stage),
        "PYTHONDONTWRITEBYTECODE": "1",
        "HOME": str(place),
        "PATH": "/usr/bin:/bin",
    }
    done = subprocess.run(command, env=environment, cwd=place, capture_output=True, text=True, check=False)
    assert not done.stderr
    return done.returncode, json.loads(done.stdout)


@pytest.mark.parametrize(
    ("module", "options"),
    [("student_disk_snapshot", {"keep_hourly": 24}), ("student_disk_drill", {"actions": ["record"]})],
)
def test_it_says_in_a_sentence_that_there_is_no_cluster(
    stage: Path, tmp_path: Path, module: str, options: dict[str, Any]
) -> None:
    code, result = run(stage, tmp_path, module, namespace="jupyterhub", **options)
    assert code == 1
    assert result["failed"]
    assert result["msg"].startswith("Could not reach the cluster: ")


def test_the_hubs_backup_and_the_restore_of_its_database_run_there_too(stage: Path, tmp_path: Path) -> None:
    code, result = run(stage, tmp_path, "hub_backup", namespace="jupyterhub", folder=str(tmp_path))
    assert (code, result["msg"][:28]) == (1, "Could not reach the cluster:")
    missing = str(tmp_path / "none.tar.gz")
    code, result = run(stage, tmp_path, "hub_database_restore", file=missing, database_path=str(tmp_path / "hub"))
    assert (code, result["msg"]) == (1, f"There is no archive {missing}; check the name and the machine.")


def test_its_options_are_checked(stage: Path, tmp_path: Path) -> None:
    code, result = run(stage, tmp_path, "student_disk_snapshot", namespace="jupyterhub", keep_minutely=1)
    assert code == 1
    assert "Unsupported parameters" in result["msg"]


def test_the_image_holds_what_modules_run_on_and_no_more(stage: Path) -> None:
    folders = {path.relative_to(stage).parts[:5] for path in (stage / "ansible_collections").rglob("*.py")}
    assert folders == {
        ("ansible_collections", "campus", "jupyterhub", "plugins", "modules"),
        ("ansible_collections", "campus", "jupyterhub", "plugins", "module_utils"),
        ("ansible_collections", "kubernetes", "core", "plugins", "module_utils"),
    }
