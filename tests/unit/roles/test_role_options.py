"""A role's options are said in its argument specification, its defaults and its README; they agree."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.campus.jupyterhub.scripts.role_readmes import options_of, table_of

ROOT = Path(__file__).resolve().parent.parent.parent.parent
ROLES = sorted(path for path in (ROOT / "roles").iterdir() if (path / "meta" / "argument_specs.yml").exists())
role = pytest.mark.parametrize("role", ROLES, ids=lambda path: path.name)


def defaults_of(path: Path) -> dict[str, Any]:
    """Return the defaults of a role."""
    file = path / "defaults" / "main.yml"
    return dict(yaml.safe_load(file.read_text(encoding="utf-8"))) if file.exists() else {}


@role
def test_defaults_are_those_of_the_specification(role: Path) -> None:
    specified = {name: option["default"] for name, option in options_of(role).items() if "default" in option}
    assert defaults_of(role) == specified


@role
def test_every_option_is_required_or_has_a_default(role: Path) -> None:
    options = options_of(role).items()
    assert [name for name, option in options if "default" not in option and not option.get("required")] == []


@role
def test_the_readme_lists_the_options(role: Path) -> None:
    """When this fails: python scripts/role_readmes.py."""
    assert table_of(role) in (role / "README.md").read_text(encoding="utf-8")
