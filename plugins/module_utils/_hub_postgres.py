# Copyright: campus.jupyterhub contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The hub's PostgreSQL database, by the programs that PostgreSQL brings for it.

A password is never on a command line, where every user of a machine sees it, nor in a message. Private to the
collection: it may change in any release.
"""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from typing import Final
from urllib.parse import parse_qsl, unquote

from ansible_collections.campus.jupyterhub.plugins.module_utils._hub_database_facts import (
    FACTS,
    DatabaseError,
    Facts,
)

POSTGRESQL: Final = "postgresql"

_COMMAND_SECONDS: Final = 1800
_CONNECT_SECONDS: Final = "10"
# As SQLAlchemy reads it, which the hub uses: a password may hold a slash or a question mark.
_URL: Final = re.compile(
    r"postgres(?:ql)?(?:\+\w+)?://(?:(?P<user>[^:/]*)(?::(?P<password>[^@]*))?@)?"
    r"(?:\[(?P<six>[^/?\]]+)\]|(?P<host>[^/:?]*))(?::(?P<port>[0-9]*))?/(?P<database>[^?]*)(?:\?(?P<query>.*))?"
)
_MISMATCH: Final = re.compile(r"server version: ([0-9.]+).*pg_\w+ version: ([0-9.]+)", re.DOTALL)
_TABLE: Final = re.compile(r"^[0-9]+; [0-9]+ [0-9]+ TABLE (?P<schema>\S+) (?P<name>.+) \S+$", re.MULTILINE)

# pg_restore of version 17 or newer writes this, and an older server refuses what it does not know. So it is made a
# comment, and set beforehand where the server knows it.
_NEWER: Final = re.compile(rb"^SET (?=transaction_timeout = 0;$)", re.MULTILINE)
_BEGINNING: Final = 4096
"""How many bytes of a script hold all its settings."""
# A hub that was upgraded has tables that its older copy does not know, and they hold on to those that it does.
_MAKE_WAY: Final = """\
do $$
declare found record;
begin
  perform set_config(name, '0', true) from pg_settings where name = 'transaction_timeout';
  for found in
    with recursive hub (id) as (
      select to_regclass(name)::oid from unnest(array[{tables}]::text[]) as name
      union
      select conrelid from pg_constraint join hub on confrelid = id where contype = 'f'
    )
    select id::regclass as name from hub where id is not null
  loop
    execute format('drop table if exists %s cascade', found.name);
  end loop;
end $$;
"""


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
        found = {name: self._value(query) for name, query in FACTS.items()}
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
        """Put a copy into its place, in one transaction; what is unpacked for that is left beside the copy.

        Raises:
            DatabaseError: it does not answer, or does not take it; it is as it was.
            OSError: there is no room beside the copy; it is as it was.
        """
        words = ["--clean", "--if-exists", "--no-owner", "--no-privileges"]
        restore, make_way = source.with_suffix(".sql"), source.with_suffix(".before.sql")
        _run("read the copy of the database", "pg_restore", *words, f"--file={restore}", str(source))
        _suit_older_servers(restore)
        tables = _TABLE.finditer(_run("read the copy of the database", "pg_restore", "--list", str(source)))
        names = (f"{_identifier(table['schema'])}.{_identifier(table['name'])}" for table in tables)
        make_way.write_text(_MAKE_WAY.format(tables=", ".join(map(_literal, names))), encoding="utf-8")
        ask = ("--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", "--single-transaction")
        self._run("put back the database", "psql", *ask, f"--file={make_way}", f"--file={restore}")
        return self.facts()

    def _value(self, query: str) -> str:
        """Return the one value that a query answers, empty when its table is not there."""
        table = query.rpartition(" ")[2]
        ask = ("--no-psqlrc", "--no-align", "--tuples-only", "--command")
        if self._run("ask the database", "psql", *ask, f"select to_regclass('{table}')"):
            return self._run("ask the database", "psql", *ask, query)
        return ""

    def _run(self, verb: str, program: str, *words: str) -> str:
        """Run one of PostgreSQL's programs on the database and return what it wrote."""
        try:
            return _run(verb, program, "--no-password", f"--dbname={self.place}", *words, password=self._password)
        except DatabaseError as error:
            raise DatabaseError(str(error).replace(self._password, "***") if self._password else str(error)) from None


def _run(verb: str, program: str, *words: str, password: str = "") -> str:
    env = {**os.environ, "LC_ALL": "C.UTF-8", **({"PGPASSWORD": password} if password else {})}
    try:
        done = subprocess.run(
            [program, *words],
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
        raise DatabaseError(f"Could not {verb}: {reason_of(done.stderr)}")
    return done.stdout.strip()


def _suit_older_servers(script: Path) -> None:
    """Make a comment of what only newer servers know; the script, which may be large, is changed in place."""
    with script.open("r+b") as file:
        if found := _NEWER.search(file.read(_BEGINNING)):
            file.seek(found.start())
            file.write(b"--".ljust(len(found[0])))


def _identifier(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


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
