# Copyright: campus.jupyterhub contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Write the table of options in every role's README from its argument specification."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parent.parent
HEAD = "| Option | Type | Default | What it does |\n|---|---|---|---|\n"
TABLE = re.compile(re.escape(HEAD) + r"(?:\|.*\n)*")
MARKUP = re.compile(r"\b(?:O|V|C|RV|M)\(([^)]*)\)")

Json = dict[str, Any]


def options_of(role: Path) -> Json:
    """Return the options of a role's first entry point, which is the one that people use."""
    specs = yaml.safe_load((role / "meta" / "argument_specs.yml").read_text(encoding="utf-8"))["argument_specs"]
    return dict(next(iter(specs.values())).get("options", {}))


def cell(text: str) -> str:
    """Return text as it stands in a cell."""
    return " ".join(text.split()).replace("|", "\\|")


def default_of(option: Json) -> str:
    """Return the default in a cell."""
    if "default" not in option:
        return "required" if option.get("required") else ""
    value = option["default"]
    return f"`{cell(value)}`" if isinstance(value, str) and value else f"`{cell(json.dumps(value))}`"


def row(name: str, option: Json) -> str:
    """Return the row of an option."""
    said = option.get("description", "")
    text = MARKUP.sub(r"`\1`", " ".join(said) if isinstance(said, list) else said)
    return f"| `{name}` | {option['type']} | {default_of(option)} | {cell(text)} |\n"


def table_of(role: Path) -> str:
    """Return the whole table of a role."""
    return HEAD + "".join(row(name, option) for name, option in options_of(role).items())


def with_table(text: str, table: str) -> str:
    """Return a README with its table replaced; raises ValueError when it has none."""
    if not TABLE.search(text):
        raise ValueError("no table of options")
    return TABLE.sub(lambda _: table, text, count=1)


def main() -> None:
    """Run the command."""
    for spec in sorted(ROOT.glob("roles/*/meta/argument_specs.yml")):
        role = spec.parent.parent
        readme = role / "README.md"
        if not readme.exists():
            sys.exit(f"Could not find {readme.relative_to(ROOT)}. Write it first, with the table's two head lines.")
        text = readme.read_text(encoding="utf-8")
        new = with_table(text, table_of(role))
        if new != text:
            readme.write_text(new, encoding="utf-8")
            print(f"{readme.relative_to(ROOT)} follows its argument specification again")


if __name__ == "__main__":
    main()
