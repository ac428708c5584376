# Copyright: campus.jupyterhub contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The hub's sqlite database: copied while the hub writes to it, and put back by a rename.

Private to the collection: it may change in any release.
"""

from __future__ import annotations

import os
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Any, Final

from ansible_collections.campus.jupyterhub.plugins.module_utils._hub_database_facts import (
    FACTS,
    DatabaseError,
    Facts,
)

SQLITE: Final = "sqlite"

_BUSY_SECONDS: Final = 30.0


class SqliteDatabase:
    """A sqlite file."""

    kind = SQLITE

    def __init__(self, path: Path) -> None:
        self.path = path

    def facts(self) -> Facts:
        """Return what the database says now.

        Raises:
            DatabaseError: there is no such database.
        """
        try:
            with closing(_connect(self.path)) as connection:
                return _facts(connection)
        except sqlite3.Error as error:
            raise self._failed("read", error) from error

    def dump(self, target: Path) -> Facts:
        """Copy it as it is at one moment, while others go on writing, and check the copy.

        Raises:
            DatabaseError: there is no such database, it is damaged, or others do not let go of it.
        """
        end = time.monotonic() + _BUSY_SECONDS

        def still(status: int, _left: int, _all: int) -> None:
            if status != sqlite3.SQLITE_DONE and time.monotonic() > end:
                raise sqlite3.OperationalError("somebody else has it locked")

        try:
            with closing(_connect(self.path)) as source, closing(sqlite3.connect(target)) as copy:
                source.backup(copy, progress=still)
                _require_whole(copy)
                return _facts(copy)
        except sqlite3.Error as error:
            raise self._failed("copy", error) from error

    def load(self, source: Path) -> Facts:
        """Check a file that lies beside it, and rename it into its place; the owner's rights stay as they were.

        Raises:
            DatabaseError: the file is damaged, or somebody uses the present database; that is as it was.
        """
        try:
            with closing(_connect(source)) as copy:
                _require_whole(copy)
                facts = _facts(copy)
        except sqlite3.Error as error:
            raise DatabaseError(f"The database in the archive is damaged: {error}. Take an older archive.") from error
        mode = 0o600
        if self.path.exists():
            mode = self.path.stat().st_mode & 0o777
            self._settle()
        source.chmod(mode)
        with source.open("rb") as file:
            os.fsync(file.fileno())
        source.replace(self.path)
        return facts

    def _settle(self) -> None:
        """Bring the present database into its one file: what lies beside it would be taken for the new one's."""
        try:
            with closing(_connect(self.path, timeout=1.0)) as present:
                present.execute("pragma locking_mode = exclusive")
                present.execute("pragma journal_mode = delete")
                present.execute("begin exclusive")
                present.execute("rollback")
        except sqlite3.OperationalError as error:
            reason = "is in use; stop the hub first" if "locked" in str(error) else f"cannot be replaced: {error}"
            raise DatabaseError(f"The database {self.path} {reason}. Nothing was changed.") from error
        except sqlite3.DatabaseError:
            # Not a database, or a damaged one: what is beside it is worth nothing either.
            pass
        for end in ("-wal", "-shm", "-journal"):
            self.path.with_name(f"{self.path.name}{end}").unlink(missing_ok=True)

    def _failed(self, verb: str, error: sqlite3.Error) -> DatabaseError:
        reason = "it is not there" if not self.path.exists() else str(error)
        return DatabaseError(f"Could not {verb} the database {self.path}: {reason}. Check the path and the hub's log.")


def _facts(connection: sqlite3.Connection) -> Facts:
    """Return what an open sqlite database says of itself."""
    found = {name: _first(connection, query) for name, query in FACTS.items()}
    return Facts(found["users"], found["revision"])


def _require_whole(connection: sqlite3.Connection) -> None:
    """Raise sqlite3.DatabaseError when a database is damaged."""
    answer = connection.execute("pragma integrity_check").fetchone()[0]
    if answer != "ok":
        raise sqlite3.DatabaseError(f"it is damaged, {answer}")


def _first(connection: sqlite3.Connection, query: str) -> Any:
    table = query.rpartition(" ")[2]
    if not connection.execute("select 1 from sqlite_master where type = 'table' and name = ?", (table,)).fetchone():
        return None
    row = connection.execute(query).fetchone()
    return row[0] if row else None


def _connect(path: Path, timeout: float = _BUSY_SECONDS) -> sqlite3.Connection:
    """Open a database that is there; it is opened for writing since a crash may have left it to be repaired."""
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True, timeout=timeout, isolation_level=None)
