"""What holds for every file of the repository."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from urllib.parse import unquote

import pytest
import yaml

ROOT = Path(__file__).resolve().parent.parent.parent
ROLES = sorted(path.name for path in (ROOT / "roles").iterdir() if (path / "meta").is_dir())

# Paths of one machine or one home folder mean nothing to anyone else.
MACHINE_PATHS = re.compile(r"(?<![\w.}-])/(work|root)/(?!\.docker)")
UNFINISHED = re.compile(r"\b(TODO|FIXME|XXX)\b|# noqa(?!: [A-Z]+\d+)|type: ignore(?!\[)")
GENERATED = (".lock", ".svg", ".png", ".sum", ".json")
# Files of other projects, unchanged.
COPIED = ("roles/storage/files/crds/volumesnapshot",)
PYTHON_LINES = 450
SCREEN_LINES = 60
LINK = re.compile(r"(?<!\!)\[[^\]]*\]\(([^)\s]+)\)")


def tracked() -> list[Path]:
    """Return the files of the repository that are text written by people."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True).stdout.decode()
    names = [name for name in listed.split("\0") if name and not name.startswith(COPIED)]
    paths = [ROOT / name for name in names if not name.endswith(GENERATED)]
    return [path for path in paths if path.is_file() and not path.is_symlink() and path != Path(__file__)]


FILES = tracked()


def findings(pattern: re.Pattern[str]) -> list[str]:
    """Return where a pattern occurs, as file:line."""
    found = []
    for path in FILES:
        lines = path.read_text(encoding="utf-8").splitlines()
        found += [
            f"{path.relative_to(ROOT)}:{i}: {line.strip()}" for i, line in enumerate(lines, 1) if pattern.search(line)
        ]
    return found


def test_no_path_of_one_machine() -> None:
    assert findings(MACHINE_PATHS) == []


def test_nothing_unfinished() -> None:
    assert findings(UNFINISHED) == []


def test_python_files_stay_small() -> None:
    sizes = {path.relative_to(ROOT): len(path.read_text().splitlines()) for path in FILES if path.suffix == ".py"}
    assert {str(path): size for path, size in sizes.items() if size > PYTHON_LINES} == {}


@pytest.mark.parametrize("role", ROLES)
def test_a_role_reads_as_a_table_of_contents(role: str) -> None:
    main = ROOT / "roles" / role / "tasks" / "main.yml"
    if not main.exists():
        return
    text = main.read_text(encoding="utf-8")
    includes = {"ansible.builtin.include_tasks", "ansible.builtin.import_tasks", "ansible.builtin.include_role"}
    assert len(text.splitlines()) <= SCREEN_LINES
    assert [task["name"] for task in yaml.safe_load(text) if not includes & set(task)] == []


@pytest.mark.parametrize(
    "path", [path for path in FILES if path.suffix == ".md"], ids=lambda p: str(p.relative_to(ROOT))
)
def test_links_lead_somewhere(path: Path) -> None:
    targets = [unquote(link.split("#")[0]) for link in LINK.findall(path.read_text(encoding="utf-8"))]
    local = [target for target in targets if target and "://" not in target and not target.startswith("mailto:")]
    assert [target for target in local if not (path.parent / target).exists()] == []


def test_every_module_that_connects_takes_the_defaults_of_its_group() -> None:
    runtime = yaml.safe_load((ROOT / "meta" / "runtime.yml").read_text(encoding="utf-8"))
    ours = {name for name in runtime["action_groups"]["kubernetes"] if name.startswith("campus.jupyterhub.")}
    modules = [path for path in (ROOT / "plugins" / "modules").glob("*.py") if "k8s_auth_options" in path.read_text()]
    assert ours == {f"campus.jupyterhub.{path.stem}" for path in modules}
