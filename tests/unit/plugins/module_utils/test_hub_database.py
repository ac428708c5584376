"""The database is copied while the hub writes, and put back whole or not at all; its password is never shown."""

from __future__ import annotations

import os
import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest
from ansible_collections.campus.jupyterhub.plugins.module_utils._hub_archive import LISTS, pack
from ansible_collections.campus.jupyterhub.plugins.module_utils._hub_database import database_of
from ansible_collections.campus.jupyterhub.plugins.module_utils._hub_database_facts import DatabaseError, Facts
from ansible_collections.campus.jupyterhub.plugins.module_utils._hub_database_restore import restore_database
from ansible_collections.campus.jupyterhub.plugins.module_utils._hub_postgres import PostgresDatabase, connection_of
from ansible_collections.campus.jupyterhub.plugins.module_utils._hub_sqlite import SqliteDatabase

NOTHING = {"database_path": "", "database_url_file": ""}
URL = "postgresql+psycopg://hub:s3cr%2Ft@db.example:5433/hub?sslmode=require"


def made(path: Path, users: int = 2, mode: str = "delete") -> Path:
    """A hub's database."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"pragma journal_mode = {mode}")
        connection.execute("create table users (id integer primary key, name text)")
        connection.execute("create table alembic_version (version_num text)")
        connection.execute("insert into alembic_version values ('4621fec11365')")
        connection.executemany("insert into users (name) values (?)", [(f"user-{n}",) for n in range(users)])
        connection.commit()
    return path


def users_of(path: Path) -> int:
    with closing(sqlite3.connect(path)) as connection:
        return int(connection.execute("select count(*) from users").fetchone()[0])


def test_a_copy_says_what_is_in_it(tmp_path: Path) -> None:
    assert SqliteDatabase(made(tmp_path / "hub")).dump(tmp_path / "copy") == Facts(2, "4621fec11365")
    assert users_of(tmp_path / "copy") == 2


@pytest.mark.parametrize("mode", ["delete", "wal"])
def test_a_copy_is_of_one_moment_while_somebody_writes(tmp_path: Path, mode: str) -> None:
    path = made(tmp_path / "hub", mode=mode)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("create table pairs (first integer, second integer)")
    enough, stop = threading.Event(), threading.Event()

    def write() -> None:
        with closing(sqlite3.connect(path, timeout=30)) as connection:
            number = 0
            while not stop.is_set():
                number += 1
                connection.execute("insert into pairs values (?, 0)", (number,))
                connection.execute("update pairs set second = first where first = ?", (number,))
                connection.commit()
                if number > 20:
                    enough.set()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        assert enough.wait(60)
        for number in range(10):
            SqliteDatabase(path).dump(tmp_path / f"copy-{number}")
    finally:
        stop.set()
        writer.join()
    seen = []
    for number in range(10):
        with closing(sqlite3.connect(tmp_path / f"copy-{number}")) as connection:
            half, rows = connection.execute("select sum(first != second), count(*) from pairs").fetchone()
        assert half == 0
        seen.append(rows)
    assert seen[0] > 20
    assert seen == sorted(seen)


def test_what_was_written_last_is_in_a_copy_in_wal_mode(tmp_path: Path) -> None:
    path = made(tmp_path / "hub", mode="wal")
    with closing(sqlite3.connect(path)) as hub:
        hub.execute("pragma wal_autocheckpoint = 0")
        hub.execute("insert into users (name) values ('new')")
        hub.commit()
        assert (tmp_path / "hub-wal").stat().st_size > 0
        assert SqliteDatabase(path).dump(tmp_path / "copy").users == 3


def test_no_database_is_not_made_by_looking(tmp_path: Path) -> None:
    with pytest.raises(DatabaseError, match="it is not there"):
        SqliteDatabase(tmp_path / "none").dump(tmp_path / "copy")
    assert not (tmp_path / "none").exists()


def test_a_damaged_database_is_not_kept(tmp_path: Path) -> None:
    path = made(tmp_path / "hub", 5000)
    content = bytearray(path.read_bytes())
    content[4096 * 3 : 4096 * 6] = os.urandom(4096 * 3)
    path.write_bytes(content)
    with pytest.raises(DatabaseError, match=r"damaged|malformed"):
        SqliteDatabase(path).dump(tmp_path / "copy")


def test_what_only_a_check_of_everything_finds_is_found(tmp_path: Path) -> None:
    path = made(tmp_path / "hub")
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("create index names on users (name)")
        connection.execute("pragma writable_schema = on")
        connection.execute("update sqlite_master set sql = replace(sql, '(name)', '(id)') where name = 'names'")
        connection.commit()
    with pytest.raises(DatabaseError, match="it is damaged, row 1 missing from index names"):
        SqliteDatabase(path).dump(tmp_path / "copy")
    with pytest.raises(DatabaseError, match="in the archive is damaged"):
        SqliteDatabase(tmp_path / "other").load(path)


def test_a_database_without_tables_says_nothing(tmp_path: Path) -> None:
    (tmp_path / "hub").touch()
    assert SqliteDatabase(tmp_path / "hub").facts() == Facts(None, None)


def test_put_back_leaves_nothing_of_the_old_one(tmp_path: Path) -> None:
    old = made(tmp_path / "hub", 9, "wal")
    (tmp_path / "hub-wal").write_bytes(b"of a crash")
    (tmp_path / "hub-shm").write_bytes(b"of a crash")
    old.chmod(0o640)
    assert SqliteDatabase(old).load(made(tmp_path / "copy", 4)) == Facts(4, "4621fec11365")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["hub"]
    assert users_of(old) == 4
    assert old.stat().st_mode & 0o777 == 0o640


def test_put_back_where_there_is_none(tmp_path: Path) -> None:
    assert SqliteDatabase(tmp_path / "hub").load(made(tmp_path / "copy")).users == 2
    assert users_of(tmp_path / "hub") == 2


def test_put_back_over_what_is_no_database(tmp_path: Path) -> None:
    (tmp_path / "hub").write_text("spoilt" * 1000)
    SqliteDatabase(tmp_path / "hub").load(made(tmp_path / "copy"))
    assert users_of(tmp_path / "hub") == 2


@pytest.mark.parametrize("mode", ["delete", "wal"])
def test_a_database_in_use_stays(tmp_path: Path, mode: str) -> None:
    path = made(tmp_path / "hub", 9, mode)
    with closing(sqlite3.connect(path)) as hub:
        hub.execute("begin immediate")
        hub.execute("insert into users (name) values ('x')")
        with pytest.raises(DatabaseError, match="is in use; stop the hub first"):
            SqliteDatabase(path).load(made(tmp_path / "copy"))
        hub.rollback()
    assert users_of(path) == 9


def test_a_hub_that_only_looks_has_a_database_in_use_too(tmp_path: Path) -> None:
    path = made(tmp_path / "hub", 9, "wal")
    with closing(sqlite3.connect(path)) as hub:
        assert hub.execute("select count(*) from users").fetchone() == (9,)
        with pytest.raises(DatabaseError, match="is in use; stop the hub first"):
            SqliteDatabase(path).load(made(tmp_path / "copy"))
        assert hub.execute("select count(*) from users").fetchone() == (9,)


def test_a_damaged_copy_replaces_nothing(tmp_path: Path) -> None:
    path = made(tmp_path / "hub", 9)
    (tmp_path / "copy").write_text("spoilt" * 1000)
    with pytest.raises(DatabaseError, match="in the archive is damaged"):
        SqliteDatabase(path).load(tmp_path / "copy")
    assert users_of(path) == 9


@pytest.mark.parametrize(
    ("url", "place", "password"),
    [
        (URL, "host='db.example' port='5433' user='hub' dbname='hub' connect_timeout='10' sslmode='require'", "s3cr/t"),
        ("postgresql://hub:a/b?c@db/x", "host='db' user='hub' dbname='x' connect_timeout='10'", "a/b?c"),
        ("postgres://db/x?password=p&connect_timeout=3", "host='db' dbname='x' connect_timeout='3'", "p"),
        ("postgresql://[fd00::1]:5432/it%27s", r"host='fd00::1' port='5432' dbname='it\'s' connect_timeout='10'", ""),
        ("postgresql+psycopg:///x?host=/run/pg", "host='/run/pg' dbname='x' connect_timeout='10'", ""),
    ],
)
def test_a_url_as_the_hub_has_it(url: str, place: str, password: str) -> None:
    assert connection_of(url) == (place, password)


@pytest.mark.parametrize("url", ["", "mysql://hub:s3cret@db/x", "postgresql://hub:s3cret@db", "hub:s3cret"])
def test_what_is_no_url_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(DatabaseError) as raised:
        connection_of(url)
    assert "s3cret" not in str(raised.value)


def program(folder: Path, name: str, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put a program of our own in PostgreSQL's place; it writes what it was called with to the file ``seen``."""
    path = folder / "bin" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(f'#!/bin/sh\necho "$0 $*" >> {folder}/seen\necho "$PGPASSWORD" >> {folder}/passwords\n{text}\n')
    path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{path.parent}:{os.environ['PATH']}")


def test_the_password_is_in_the_environment_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(tmp_path, "pg_dump", "echo 'pg_dump: error: no s3cr/t here' >&2; exit 1", monkeypatch)
    with pytest.raises(DatabaseError) as raised:
        PostgresDatabase(URL).dump(tmp_path / "copy")
    assert str(raised.value) == (
        "Could not copy the database: pg_dump: error: no *** here. Check hub_db_url and the database server's log."
    )
    assert "s3cr" not in (tmp_path / "seen").read_text()
    assert (tmp_path / "passwords").read_text() == "s3cr/t\n"


def test_a_newer_server_is_told_by_both_versions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (
        "echo 'pg_dump: error: aborting because of server version mismatch' >&2\n"
        "echo 'pg_dump: detail: server version: 17.2 (Debian); pg_dump version: 15.18 (Debian 15.18-0)' >&2\nexit 1"
    )
    program(tmp_path, "pg_dump", text, monkeypatch)
    with pytest.raises(DatabaseError) as raised:
        PostgresDatabase(URL).dump(tmp_path / "copy")
    for words in ("PostgreSQL 17.2", "pg_dump is 15.18", "hub_backup_database: false"):
        assert words in str(raised.value)


def test_a_missing_program_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(DatabaseError, match="pg_restore is not installed here"):
        PostgresDatabase(URL).load(tmp_path / "copy")


WRITES = """
write() { printf '%s\\n' 'SET lock_timeout = 0;' 'SET transaction_timeout = 0;' 'it' > "$1"; }
for word; do
  case "$word" in --file=*) write "${word#--file=}";; esac
done"""
READS = """
for word; do
  case "$word" in --file=*) cat "${word#--file=}" >> FOLDER/script;; esac
done"""


def postgres(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put programs in the place of PostgreSQL's: one writes a script as of version 17, the other keeps what it got."""
    program(tmp_path, "pg_restore", WRITES, monkeypatch)
    program(tmp_path, "psql", READS.replace("FOLDER", str(tmp_path)), monkeypatch)


def test_an_older_server_is_not_asked_for_what_it_does_not_know(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    postgres(tmp_path, monkeypatch)
    PostgresDatabase(URL).load(tmp_path / "copy")
    lines = ["SET lock_timeout = 0;", "--  transaction_timeout = 0;", "it"]
    assert (tmp_path / "script").read_text().splitlines()[-3:] == lines


def test_a_dump_is_unpacked_beside_its_archive_and_nothing_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    postgres(tmp_path, monkeypatch)
    place, folder = tmp_path / "place", tmp_path / "restore"
    place.mkdir()
    folder.mkdir()
    (tmp_path / "url").write_text(URL)
    for name in LISTS:
        (place / name).write_text("[]")
    (place / "database.pgdump").write_text("a dump")
    archive = folder / "archive.tar.gz"
    pack(place, {"namespace": "jupyterhub", "database": {"kind": "postgresql"}}, archive)
    restore_database({**NOTHING, "file": str(archive), "database_url_file": str(tmp_path / "url")}, False)
    seen = (tmp_path / "seen").read_text()
    files = {word.removeprefix("--file=") for word in seen.split() if word.endswith((".sql", ".pgdump"))}
    assert {Path(name).name for name in files} == {"database.pgdump", "database.sql", "database.before.sql"}
    assert {Path(name).parent.parent for name in files} == {folder}
    assert [*folder.iterdir()] == [archive]


def test_options_name_one_database_or_none(tmp_path: Path) -> None:
    (tmp_path / "url").write_text(f"{URL}\n")
    assert database_of(NOTHING) is None
    assert isinstance(database_of({**NOTHING, "database_path": "/x"}), SqliteDatabase)
    assert isinstance(database_of({**NOTHING, "database_url_file": str(tmp_path / "url")}), PostgresDatabase)
    with pytest.raises(DatabaseError, match="both set"):
        database_of({"database_path": "/x", "database_url_file": "/y"})
    with pytest.raises(DatabaseError, match="Could not read the database's URL"):
        database_of({**NOTHING, "database_url_file": str(tmp_path / "none")})
