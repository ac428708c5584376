# Copyright: campus.jupyterhub contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The hub's database, sqlite or PostgreSQL: copied while the hub writes to it, and put back at once or not at all.

A password is never on a command line, where every user of a machine sees it, nor in a message. Private to the
collection: it may change in any release.
"""

from __future__ import annotations

import os
import re
import sqlite3
import subprocess
import time
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol
from urllib.parse import parse_qsl, unquote

Json = dict[str, Any]

SQLITE, POSTGRESQL = "sqlite", "postgresql"
SOURCE: Final[Json] = {
    "database_path": {"type": "str", "default": ""},
    "database_url_file": {"type": "str", "default": ""},
}
"""The options that say where the database is."""

_BUSY_SECONDS: Final = 30.0
_COMMAND_SECONDS: Final = 1800
_CONNECT_SECONDS: Final = "10"
_FACTS: Final = {"users": "select count(*) from users", "revision": "select version_num from alembic_version"}
# As SQLAlchemy reads it, which the hub uses: a password may hold a slash or a question mark.
_URL: Final = re.compile(
    r"postgres(?:ql)?(?:\+\w+)?://(?:(?P<user>[^:/]*)(?::(?P<password>[^@]*))?@)?"
    r"(?:\[(?P<six>[^/?\]]+)\]|(?P<host>[^/:?]*))(?::(?P<port>[0-9]*))?/(?P<database>[^?]*)(?:\?(?P<query>.*))?"
)
_MISMATCH: Final = re.compile(r"server version: ([0-9.]+).*pg_\w+ version: ([0-9.]+)", re.DOTALL)


class DatabaseError(Exception):
    """A database that cannot be copied or put back; the message is for the user."""


@dataclass(frozen=True)
class Facts:
    """What a database says of itself; None where it lacks the table."""

    users: int | None
    revision: str | None


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
                return sqlite_facts(connection)
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
                require_whole(copy)
                return sqlite_facts(copy)
        except sqlite3.Error as error:
            raise self._failed("copy", error) from error

    def load(self, source: Path) -> Facts:
        """Check a file that lies beside it, and rename it into its place; the owner's rights stay as they were.

        Raises:
            DatabaseError: the file is damaged, or somebody uses the present database; that is as it was.
        """
        try:
            with closing(_connect(source)) as copy:
                require_whole(copy)
                facts = sqlite_facts(copy)
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
                mode = present.execute("pragma journal_mode = delete").fetchone()[0]
                present.execute("begin exclusive")
                present.execute("rollback")
        except sqlite3.OperationalError as error:
            raise self._in_use() from error
        except sqlite3.DatabaseError:
            # Not a database, or a damaged one: what is beside it is worth nothing either.
            mode = "delete"
        if mode != "delete":
            raise self._in_use()
        for end in ("-wal", "-shm", "-journal"):
            self.path.with_name(f"{self.path.name}{end}").unlink(missing_ok=True)

    def _in_use(self) -> DatabaseError:
        return DatabaseError(f"The database {self.path} is in use; stop the hub first. Nothing was changed.")

    def _failed(self, verb: str, error: sqlite3.Error) -> DatabaseError:
        reason = "it is not there" if not self.path.exists() else str(error)
        return DatabaseError(f"Could not {verb} the database {self.path}: {reason}. Check the path and the hub's log.")


class PostgresDatabase:
    """A PostgreSQL database by its URL."""

    kind = POSTGRESQL

    def __init__(self, url: str) -> None:
        """Raises DatabaseError for what is no such URL."""
        self.place, self._password = connection_of(url)

    def facts(self) -> Facts:
        """Return what the database says now.

        Raises:
            DatabaseError: it does not answer.
        """
        found = {name: self._value(query) for name, query in _FACTS.items()}
        return Facts(int(found["users"]) if found["users"] else None, found["revision"] or None)

    def dump(self, target: Path) -> Facts:
        """Copy it as it is at one moment; the server's other clients go on.

        Raises:
            DatabaseError: it does not answer, or is newer than pg_dump.
        """
        words = ["--format=custom", "--no-owner", "--no-privileges", f"--file={target}"]
        self._run("copy the database", "pg_dump", *words)
        return self.facts()

    def load(self, source: Path) -> Facts:
        """Put a copy into its place, in one transaction.

        Raises:
            DatabaseError: it does not answer, or does not take it; it is as it was.
        """
        words = ["--clean", "--if-exists", "--single-transaction", "--no-owner", "--no-privileges"]
        self._run("put back the database", "pg_restore", *words, str(source))
        return self.facts()

    def _value(self, query: str) -> str:
        """Return the one value that a query answers, empty when its table is not there."""
        table = query.rpartition(" ")[2]
        ask = ("--no-psqlrc", "--no-align", "--tuples-only", "--command")
        if self._run("ask the database", "psql", *ask, f"select to_regclass('{table}')"):
            return self._run("ask the database", "psql", *ask, query)
        return ""

    def _run(self, verb: str, program: str, *words: str) -> str:
        """Run one of PostgreSQL's programs and return what it wrote."""
        command = [program, "--no-password", f"--dbname={self.place}", *words]
        env = {**os.environ, "LC_ALL": "C.UTF-8", **({"PGPASSWORD": self._password} if self._password else {})}
        try:
            done = subprocess.run(
                command,
                env=env,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=_COMMAND_SECONDS,
                check=False,
            )
        except FileNotFoundError as error:
            raise DatabaseError(f"Could not {verb}: {program} is not installed here.") from error
        except subprocess.TimeoutExpired as error:
            raise DatabaseError(
                f"Could not {verb}: {program} was not done after {_COMMAND_SECONDS} s. Stop the hub, which may hold it "
                "locked, and run again."
            ) from error
        if done.returncode:
            raise DatabaseError(f"Could not {verb}: {self._hidden(reason_of(done.stderr))}")
        return done.stdout.strip()

    def _hidden(self, text: str) -> str:
        return text.replace(self._password, "***") if self._password else text


def connection_of(url: str) -> tuple[str, str]:
    """Return what libpq needs to reach the database of a URL as the hub has it, without the password, and that.

    Raises:
        DatabaseError: this is no URL of a PostgreSQL database; the message does not repeat it.
    """
    found = _URL.fullmatch(url)
    if not found or not found["database"]:
        raise DatabaseError(
            "The database's URL is not one of PostgreSQL such as postgresql://user:password@host:5432/database; "
            "hub_backup_database: false leaves the database to the backups of whoever runs it."
        )
    words = {
        "host": found["six"] or found["host"] or "",
        "port": found["port"] or "",
        "user": unquote(found["user"] or ""),
        "dbname": unquote(found["database"]),
        "connect_timeout": _CONNECT_SECONDS,
        **dict(parse_qsl(found["query"] or "")),
    }
    password = words.pop("password", "") or unquote(found["password"] or "")
    if "sslpassword" in words:
        raise DatabaseError(
            "The database's URL has an sslpassword, which a command line would show; use a key without."
        )
    quoted = (f"{key}='{_escaped(value)}'" for key, value in words.items() if value)
    return " ".join(quoted), password


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace("'", "\\'")


def reason_of(text: str) -> str:
    """Return in a sentence what one of PostgreSQL's programs complained about."""
    if versions := _MISMATCH.search(text):
        return (
            f"the server is PostgreSQL {versions[1]} and the backup's pg_dump is {versions[2]}, which is older. "
            "Use an image with a newer one, or leave the database to the backups of whoever runs it with "
            "hub_backup_database: false."
        )
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    # The first error is the cause, the others follow from it.
    first = next((line for line in lines if "error" in line.lower()), lines[0] if lines else "it gave no reason")
    return f"{first.rstrip('.')}. Check hub_db_url and the database server's log."


def sqlite_facts(connection: sqlite3.Connection) -> Facts:
    """Return what an open sqlite database says of itself."""
    found = {name: _first(connection, query) for name, query in _FACTS.items()}
    return Facts(found["users"], found["revision"])


def require_whole(connection: sqlite3.Connection) -> None:
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
