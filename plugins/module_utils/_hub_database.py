# Copyright: campus.jupyterhub contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The hub's database, of whichever kind: copied while the hub writes to it, and put back at once or not at all.

Private to the collection: it may change in any release.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Protocol

from ansible_collections.campus.jupyterhub.plugins.module_utils._hub_database_facts import DatabaseError, Facts
from ansible_collections.campus.jupyterhub.plugins.module_utils._hub_postgres import PostgresDatabase
from ansible_collections.campus.jupyterhub.plugins.module_utils._hub_sqlite import SqliteDatabase

Json = dict[str, Any]

SOURCE: Final[Json] = {
    "database_path": {"type": "str", "default": ""},
    "database_url_file": {"type": "str", "default": ""},
}
"""The options that say where the database is."""


class Database(Protocol):
    """A hub's database."""

    kind: str

    def facts(self) -> Facts:
        """Return what the database says now."""

    def dump(self, target: Path) -> Facts:
        """Copy it to a new file, and return what the copy says."""

    def load(self, source: Path) -> Facts:
        """Put a copy into its place, and return what it says then."""


def database_of(options: Mapping[str, Any]) -> Database | None:
    """Return the database that the options name, None where they name none.

    Raises:
        DatabaseError: they name two, or a URL that cannot be read.
    """
    path, url_file = options["database_path"], options["database_url_file"]
    if path and url_file:
        raise DatabaseError("database_path and database_url_file are both set; the hub has one database.")
    if path:
        return SqliteDatabase(Path(path))
    if not url_file:
        return None
    try:
        url = Path(url_file).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no text"
        raise DatabaseError(f"Could not read the database's URL from {url_file}: {reason}.") from error
    return PostgresDatabase(url)
