"""A real PostgreSQL gives its database away and gets it back, in one transaction or not at all."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from ansible_collections.campus.jupyterhub.plugins.module_utils._hub_archive import load
from ansible_collections.campus.jupyterhub.plugins.module_utils._hub_database_facts import DatabaseError, Facts
from ansible_collections.campus.jupyterhub.plugins.module_utils._hub_database_restore import restore_database
from ansible_collections.campus.jupyterhub.plugins.module_utils._hub_postgres import PostgresDatabase
from ansible_collections.campus.jupyterhub.tests.unit.plugins.module_utils.hub_archives import backup
from ansible_collections.campus.jupyterhub.tests.unit.plugins.module_utils.hub_world import HubWorld
from ansible_collections.campus.jupyterhub.tests.unit.ports import free_port

PROGRAMS = sorted(Path("/usr/lib/postgresql").glob("*/bin/pg_ctl"))
PASSWORD = "s3cr/t?"
TABLES = """
create table users (id serial primary key, name text not null);
create table spawners (id serial primary key, user_id integer references users (id), state text);
create table alembic_version (version_num text);
insert into users (name) values ('ann'), ('bob');
insert into spawners (user_id, state) values (1, '{"pvc_name": "claim-ann"}');
insert into alembic_version values ('4621fec11365');
"""

pytestmark = pytest.mark.skipif(
    not PROGRAMS or not shutil.which("pg_dump"), reason="needs PostgreSQL (Debian package postgresql)"
)
Ask = Callable[[str], str]


@pytest.fixture(scope="module")
def server() -> Iterator[int]:
    """The port of a server of our own."""
    folder = Path(tempfile.mkdtemp(prefix="hub-postgres-", dir="/tmp"))
    port = free_port()
    # It refuses to run as root.
    user = "nobody" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name
    if os.geteuid() == 0:
        os.chown(folder, pwd.getpwnam(user).pw_uid, -1)
    programs = PROGRAMS[-1].parent

    def run(*command: str) -> None:
        subprocess.run(command, user=user if os.geteuid() == 0 else None, check=True, cwd=folder, capture_output=True)

    secret = folder / "password"
    secret.write_text(PASSWORD)
    secret.chmod(0o644)
    data = f"--pgdata={folder}/db"
    run(f"{programs}/initdb", data, "--username=hub", f"--pwfile={secret}", "--auth=scram-sha-256", "--no-sync")
    options = f"-h 127.0.0.1 -p {port} -k {folder} -F"
    log = f"--log={folder}/log"
    try:
        run(f"{programs}/pg_ctl", "start", "--wait", data, log, f"--options={options}")
        yield port
    finally:
        run(f"{programs}/pg_ctl", "stop", "--wait", "--mode=immediate", data)
        shutil.rmtree(folder)


@pytest.fixture
def url(server: int) -> Iterator[str]:
    """The URL of a database as the hub has it."""
    place = f"postgresql+psycopg://hub:{PASSWORD}@127.0.0.1:{server}"
    asks(f"{place}/postgres")("create database hub")
    asks(f"{place}/hub")(TABLES)
    yield f"{place}/hub"
    asks(f"{place}/postgres")("drop database hub with (force)")


def asks(url: str) -> Ask:
    """A connection of an administrator."""

    def ask(statements: str) -> str:
        plain = url.replace("+psycopg", "").replace(PASSWORD, "s3cr%2Ft%3F")
        command = ["psql", "--no-psqlrc", "--tuples-only", "--no-align", "--quiet", plain, "--command", statements]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    return ask


def test_what_is_lost_comes_back(url: str, tmp_path: Path) -> None:
    database, ask = PostgresDatabase(url), asks(url)
    assert database.dump(tmp_path / "copy") == Facts(2, "4621fec11365")
    ask("delete from spawners; delete from users where name = 'ann'; insert into users (name) values ('new')")
    assert database.load(tmp_path / "copy") == Facts(2, "4621fec11365")
    assert ask("select name from users order by id") == "ann\nbob"
    assert ask("select state from spawners") == '{"pvc_name": "claim-ann"}'
    assert ask("insert into users (name) values ('eve') returning id") == "3"


def test_a_client_that_is_newer_than_the_server(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    database, ask = PostgresDatabase(url), asks(url)
    database.dump(tmp_path / "copy")
    ask("delete from spawners; delete from users")
    # As PostgreSQL 17 does, and a server that does not know a setting refuses it.
    if int(ask("show server_version_num")) >= 170000:
        pytest.skip("The server knows transaction_timeout.")
    newer = tmp_path / "bin" / "pg_restore"
    newer.parent.mkdir()
    newer.write_text(
        f'#!/bin/sh\n{shutil.which("pg_restore")} "$@" || exit\n'
        'for word; do case "$word" in --file=*) '
        "sed -i '0,/^SET /s//SET transaction_timeout = 0;\\nSET /' \"${word#--file=}\";; esac; done\n"
    )
    newer.chmod(0o755)
    monkeypatch.setenv("PATH", f"{newer.parent}:{os.environ['PATH']}")
    assert database.load(tmp_path / "copy") == Facts(2, "4621fec11365")
    assert ask("select name from users order by id") == "ann\nbob"


def test_an_empty_database_is_filled(url: str, tmp_path: Path) -> None:
    database, ask = PostgresDatabase(url), asks(url)
    database.dump(tmp_path / "copy")
    ask("drop table spawners, users, alembic_version")
    assert database.facts() == Facts(None, None)
    assert database.load(tmp_path / "copy").users == 2


def test_what_cannot_be_put_back_changes_nothing(url: str, tmp_path: Path) -> None:
    database, ask = PostgresDatabase(url), asks(url)
    database.dump(tmp_path / "copy")
    ask("insert into users (name) values ('new'); drop table spawners; create table spawners_pkey (id integer)")
    with pytest.raises(DatabaseError, match=r"Could not put back the database: psql:.*spawners_pkey") as raised:
        database.load(tmp_path / "copy")
    assert "\n" not in str(raised.value)
    assert ask("select count(*) from users") == "3"


def test_the_tables_of_a_newer_hub_make_way(url: str, tmp_path: Path) -> None:
    database, ask = PostgresDatabase(url), asks(url)
    database.dump(tmp_path / "copy")
    ask(
        "create table shares (id serial primary key, user_id integer references users (id));"
        "create table codes (share_id integer references shares (id));"
        "create table somebody_s_own (name text)"
    )
    assert database.load(tmp_path / "copy").users == 2
    tables = ask("select table_name from information_schema.tables where table_schema = 'public' order by 1")
    assert tables.split() == ["alembic_version", "somebody_s_own", "spawners", "users"]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda url: url.replace("s3cr", "wrong"), "password authentication failed"),
        (lambda url: url.removesuffix("hub") + "none", 'database "none" does not exist'),
        (lambda url: f"{url.rpartition(':')[0]}:{free_port()}/hub", "Connection refused"),
    ],
)
def test_a_database_that_does_not_answer(url: str, tmp_path: Path, change: Callable[[str], str], says: str) -> None:
    with pytest.raises(DatabaseError, match=says) as raised:
        PostgresDatabase(change(url)).dump(tmp_path / "copy")
    assert PASSWORD not in str(raised.value)
    assert "wrong/t?" not in str(raised.value)


def test_by_an_archive(url: str, tmp_path: Path) -> None:
    world, ask = HubWorld(), asks(url)
    world.secret()
    (tmp_path / "url").write_text(f"{url}\n")
    report = backup(world, tmp_path, database_url_file=str(tmp_path / "url"))
    assert report["counts"]["users"] == 2
    assert load(Path(report["file"])).info["database"] == {
        "kind": "postgresql",
        "users": 2,
        "revision": "4621fec11365",
    }
    ask("delete from spawners; delete from users")
    options = {"file": report["file"], "database_path": "", "database_url_file": str(tmp_path / "url")}
    assert restore_database(options, False) == {"changed": True, "users": 2, "revision": "4621fec11365"}
    with pytest.raises(DatabaseError, match="holds a database of postgresql, and this hub uses sqlite"):
        restore_database({**options, "database_path": str(tmp_path / "x"), "database_url_file": ""}, False)
