"""An archive is whole or not there, and old ones go only after it."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import signal
import sqlite3
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from typing import IO, Any

import pytest
import yaml
from ansible_collections.campus.jupyterhub.plugins.module_utils import _hub_database_restore, _hub_shelf
from ansible_collections.campus.jupyterhub.plugins.module_utils._cluster import ClusterError
from ansible_collections.campus.jupyterhub.plugins.module_utils._hub_archive import (
    ArchiveError,
    extract_database,
    load,
    pack,
    verify,
)
from ansible_collections.campus.jupyterhub.plugins.module_utils._hub_backup_run import VERSION
from ansible_collections.campus.jupyterhub.plugins.module_utils._hub_database_facts import DatabaseError, Facts
from ansible_collections.campus.jupyterhub.plugins.module_utils._hub_database_restore import restore_database
from ansible_collections.campus.jupyterhub.plugins.module_utils._hub_sqlite import SqliteDatabase
from ansible_collections.campus.jupyterhub.plugins.modules import hub_backup
from ansible_collections.campus.jupyterhub.tests.unit.plugins.module_utils.hub_archives import NOW, backup
from ansible_collections.campus.jupyterhub.tests.unit.plugins.module_utils.hub_world import HubWorld
from ansible_collections.campus.jupyterhub.tests.unit.plugins.module_utils.student_objects import claim

Json = dict[str, Any]
ROOT = Path(__file__).resolve().parents[4]
FIRST = "hub-20261126T031500Z-asked.tar.gz"


@pytest.fixture
def world() -> HubWorld:
    made = HubWorld()
    made.secret(cookie_secret="Y29va2ll")
    made.disk("ann")
    made.disk("canary")
    made.snapshot("ann")
    made.snapshot("canary")
    made.snapshot("ann", "2026-11-25T10:00:00Z", ready=False)
    return made


@pytest.fixture
def database(tmp_path: Path) -> str:
    (tmp_path / "hub").mkdir()
    with closing(sqlite3.connect(tmp_path / "hub" / "jupyterhub.sqlite")) as connection:
        connection.execute("create table users (name text)")
        connection.execute("insert into users values ('ann')")
        connection.commit()
    return str(tmp_path / "hub" / "jupyterhub.sqlite")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "backups").mkdir()
    return tmp_path / "backups"


def archives(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name != _hub_shelf.LOCK)


def members(file: str) -> list[str]:
    with tarfile.open(file) as archive:
        return archive.getnames()


def test_what_is_kept(world: HubWorld, folder: Path, database: str) -> None:
    world.put(claim("new", **{"app": "jupyterhub"}))["spec"]["volumeName"] = ""
    world.secret("proxy-tls", key="a2V5")
    options: Json = {"optional_secrets": ["proxy-tls", "none", "hub-secret"], "canary_user": "canary"}
    report = backup(world, folder, database_path=database, cluster_uid="cluster-1", **options)
    assert report["file"] == str(folder / FIRST)
    assert report["counts"] == {"disks": 1, "snapshots": 1, "secrets": 2, "users": 1}
    assert report["left_out"] == ["claim-new"]
    assert report["bytes"] == (folder / FIRST).stat().st_size
    assert archives(folder) == [FIRST]
    assert members(report["file"]) == ["backup.json", "secrets.json", "disks.json", "snapshots.json", "database.sqlite"]
    contents = load(Path(report["file"]))
    hashes = contents.info.pop("sha256")
    assert sorted(hashes) == ["database.sqlite", "disks.json", "secrets.json", "snapshots.json"]
    assert contents.info == {
        "format": 1,
        "made": "2026-11-26T03:15:00Z",
        "reason": "asked",
        "collection": VERSION,
        "namespace": "jupyterhub",
        "cluster_uid": "cluster-1",
        "database": {"kind": "sqlite", "users": 1, "revision": None},
        "counts": {"disks": 1, "snapshots": 1, "secrets": 2},
    }
    disk = contents.disks[0]
    assert "annotations" in disk["claim"]["metadata"]
    assert "pv.kubernetes.io/bind-completed" not in disk["claim"]["metadata"]["annotations"]
    assert disk["volume"]["spec"]["claimRef"] == {"namespace": "jupyterhub", "name": "claim-ann"}
    assert disk["volume"]["metadata"]["annotations"] == {
        "pv.kubernetes.io/provisioned-by": "local.csi.campus.jupyterhub"
    }
    assert contents.snapshots[0]["content"]["spec"]["source"] == {
        "snapshotHandle": "handle-of-claim-ann-20261125-090000"
    }
    for kept in (*contents.secrets, disk["claim"], disk["volume"], *contents.snapshots[0].values()):
        assert not {"uid", "resourceVersion", "finalizers", "ownerReferences"} & kept["metadata"].keys()
        assert "status" not in kept


def test_the_version_is_the_collections() -> None:
    assert yaml.safe_load((ROOT / "galaxy.yml").read_text())["version"] == VERSION


def test_without_a_database_and_without_snapshots(world: HubWorld, folder: Path) -> None:
    world.knows_snapshots = False
    report = backup(world, folder)
    assert report["counts"] == {"disks": 2, "snapshots": 0, "secrets": 1, "users": None}
    assert verify(folder / FIRST)["database"] == {"kind": "none", "users": None, "revision": None}


def test_check_mode_writes_nothing(world: HubWorld, folder: Path, database: str) -> None:
    planned = backup(world, folder, check=True, database_path=database, keep_last=1)
    assert [*folder.iterdir()] == []
    done = backup(world, folder, database_path=database, keep_last=1)
    assert {**planned, "bytes": done["bytes"]} == done


def test_a_missing_secret_fails(world: HubWorld, folder: Path) -> None:
    with pytest.raises(ClusterError, match="Secret hub-secrets: it is not there"):
        backup(world, folder, secrets=["hub-secret", "hub-secrets"])
    assert archives(folder) == []


def test_a_secret_of_another_namespace(world: HubWorld, folder: Path) -> None:
    world.secret("proxy-tls", "jupyterhub-edge", key="a2V5")
    backup(world, folder, secrets=["jupyterhub-edge/proxy-tls"])
    assert load(folder / FIRST).secrets[0]["metadata"]["namespace"] == "jupyterhub-edge"


def test_another_cluster_is_refused(world: HubWorld, folder: Path) -> None:
    with pytest.raises(ClusterError, match="another uid"):
        backup(world, folder, cluster_uid="other")


def test_an_account_that_may_not_read_the_uid_is_believed(
    world: HubWorld, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forbidden(*_words: str) -> str:
        raise ClusterError("read", "Namespace kube-system", "forbidden", "", 403)

    monkeypatch.setattr(world, "expect_uid", forbidden)
    backup(world, folder, cluster_uid="told")
    assert verify(folder / FIRST)["cluster_uid"] == "told"


def test_two_of_one_second_have_two_names(world: HubWorld, folder: Path) -> None:
    backup(world, folder)
    backup(world, folder)
    assert archives(folder) == [FIRST, "hub-20261126T031501Z-asked.tar.gz"]


def test_old_ones_go_and_what_is_not_ours_stays(world: HubWorld, folder: Path) -> None:
    (folder / "hub-20200101T000000Z-asked.tar.gz").write_text("somebody's own")
    (folder / "notes.txt").write_text("somebody's own")
    (folder / "hub-20200102T000000Z-asked.tar.gz").symlink_to(folder / "notes.txt")
    for days in range(5):
        backup(world, folder, now=NOW - timedelta(days=9 - days), reason="scheduled")
    report = backup(world, folder, keep_last=1, keep_daily=3)
    assert report["removed"] == [f"hub-202611{day}T031500Z-scheduled.tar.gz" for day in (17, 18, 19)]
    assert archives(folder) == [
        "hub-20200101T000000Z-asked.tar.gz",
        "hub-20200102T000000Z-asked.tar.gz",
        "hub-20261120T031500Z-scheduled.tar.gz",
        "hub-20261121T031500Z-scheduled.tar.gz",
        FIRST,
        "notes.txt",
    ]


@pytest.mark.parametrize("reason", ["upgrade", "restore"])
def test_what_the_hub_knew_before_a_change_stays_for_a_while(world: HubWorld, folder: Path, reason: str) -> None:
    policy: Json = {"keep_last": 1, "keep_daily": 2}
    before = [
        Path(backup(world, folder, now=NOW + timedelta(hours=hours), reason=reason, **policy)["file"]).name
        for hours in range(4)
    ]
    asked = Path(backup(world, folder, now=NOW + timedelta(hours=4), **policy)["file"]).name
    late = NOW + _hub_shelf.SPARED
    backup(world, folder, now=late - timedelta(hours=1), reason="scheduled", **policy)
    last = backup(world, folder, now=late - timedelta(seconds=1), reason="scheduled", **policy)
    assert {*before} <= {*archives(folder)}
    assert asked in archives(folder)
    # The first is of an age now in which the policy alone says what becomes of it.
    assert backup(world, folder, check=True, now=late, reason="scheduled", **policy)["removed"] == [
        before[0],
        Path(last["file"]).name,
    ]
    assert backup(world, folder, now=late + timedelta(days=1), reason="scheduled", **policy)["removed"][:4] == before


def test_how_long_they_stay_is_documented() -> None:
    words = f"{_hub_shelf.SPARED.days} days"
    module = yaml.safe_load(hub_backup.DOCUMENTATION)
    assert any("before an upgrade or a restore" in line and words in line for line in module["description"])
    lines = (ROOT / "docs" / "hub_backup.md").read_text().split("\n\n")
    assert any("before an upgrade or a restore" in line and words in line for line in lines)


@pytest.mark.parametrize("ahead", [timedelta(minutes=2), timedelta(days=40)])
def test_a_clock_that_was_set_back_takes_nothing_of_the_new_one(
    world: HubWorld, folder: Path, ahead: timedelta
) -> None:
    backup(world, folder, now=NOW + ahead, keep_last=1)
    report = backup(world, folder, keep_last=1)
    assert Path(report["file"]).exists()
    assert len(archives(folder)) == 2


def test_an_impossible_policy_is_refused_before_anything(world: HubWorld, folder: Path) -> None:
    with pytest.raises(ValueError, match="keeps nothing"):
        backup(world, folder, keep_last=0)
    assert [*folder.iterdir()] == []


def test_a_folder_that_is_not_there(world: HubWorld, folder: Path) -> None:
    with pytest.raises(ArchiveError, match="There is no folder"):
        backup(world, folder / "none")


def test_no_room_leaves_what_was_there(world: HubWorld, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    backup(world, folder)

    def full(*_words: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(_hub_shelf, "pack", full)
    with pytest.raises(ArchiveError, match="no room is left") as raised:
        backup(world, folder, now=NOW + timedelta(days=1), keep_last=1)
    assert "\n" not in str(raised.value)
    assert archives(folder) == [FIRST]


def test_what_does_not_read_as_it_was_written_gets_no_name(
    world: HubWorld, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def spoilt(place: Path, info: Json, target: Path) -> None:
        pack(place, info, target)
        with target.open("r+b") as file:
            file.seek(200)
            file.write(b"spoilt")

    monkeypatch.setattr(_hub_shelf, "pack", spoilt)
    with pytest.raises(ArchiveError, match="not a whole archive"):
        backup(world, folder, keep_last=1)
    assert archives(folder) == []


def test_a_database_that_cannot_be_copied_leaves_nothing(world: HubWorld, folder: Path) -> None:
    with pytest.raises(DatabaseError, match="it is not there"):
        backup(world, folder, database_path=str(folder / "none"))
    assert archives(folder) == []


def test_only_one_works_in_a_folder(world: HubWorld, folder: Path) -> None:
    with (folder / _hub_shelf.LOCK).open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(ArchiveError, match="Another backup has been at work"):
            backup(world, folder)
    # A job that is over by then could not say why.
    deadline = yaml.safe_load((ROOT / "roles" / "hub_backup" / "defaults" / "main.yml").read_text())
    assert 60 <= world.seconds <= deadline["hub_backup_timeout"] / 2
    backup(world, folder)
    assert archives(folder) == [FIRST]


def test_who_waited_reads_what_there_is_then(world: HubWorld, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with (folder / _hub_shelf.LOCK).open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)

        def end(_seconds: float) -> None:
            world.disk("bob")
            fcntl.flock(file, fcntl.LOCK_UN)

        monkeypatch.setattr(world, "_sleep", end)
        backup(world, folder)
    assert "claim-bob" in disks(folder / FIRST)


def test_who_is_in_the_database_has_their_disk_in_the_list(
    world: HubWorld, folder: Path, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    dump = SqliteDatabase.dump

    def with_somebody_new(self: SqliteDatabase, target: Path) -> Facts:
        world.disk("bob")
        return dump(self, target)

    monkeypatch.setattr(SqliteDatabase, "dump", with_somebody_new)
    backup(world, folder, database_path=database)
    assert "claim-bob" in disks(folder / FIRST)


def disks(file: Path) -> list[str]:
    return [disk["claim"]["metadata"]["name"] for disk in load(file).disks]


KILLED = """
import sys
from datetime import datetime
from pathlib import Path
sys.path[:0] = sys.argv[3:]
from ansible_collections.campus.jupyterhub.plugins.module_utils import _hub_shelf
from ansible_collections.campus.jupyterhub.tests.unit.plugins.module_utils.hub_archives import backup
from ansible_collections.campus.jupyterhub.tests.unit.plugins.module_utils.hub_world import HubWorld
pack = _hub_shelf.pack
def half(place, info, target):
    pack(place, info, target)
    target.write_bytes(target.read_bytes()[:100])
    print("half", flush=True)
    sys.stdin.read()
_hub_shelf.pack = half
world = HubWorld()
world.secret(a="YQ==")
backup(world, Path(sys.argv[1]), now=datetime.fromisoformat(sys.argv[2]))
"""


@pytest.fixture
def half_done(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """A backup that has written half of its archive."""
    moment = (NOW - timedelta(days=1)).isoformat()
    command = [sys.executable, "-c", KILLED, str(folder), moment, *filter(None, sys.path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout
        assert running.stdout.readline() == "half\n"
        yield running
        running.kill()


def test_a_killed_run_leaves_no_archive_and_the_next_one_tidies_up(
    world: HubWorld, folder: Path, half_done: subprocess.Popen[str]
) -> None:
    half_done.send_signal(signal.SIGKILL)
    half_done.wait()
    assert archives(folder) == [_hub_shelf.PARTIAL]
    backup(world, folder)
    assert archives(folder) == [FIRST]


def test_a_database_comes_back(world: HubWorld, folder: Path, database: str) -> None:
    file = backup(world, folder, database_path=database)["file"]
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("insert into users values ('later')")
        connection.commit()
    options = {"file": file, "database_path": database, "database_url_file": ""}
    assert restore_database(options, True) == {"changed": True, "users": 1, "revision": None}
    assert users(database) == 2
    assert restore_database(options, False) == {"changed": True, "users": 1, "revision": None}
    assert users(database) == 1
    assert [path.name for path in Path(database).parent.iterdir()] == ["jupyterhub.sqlite"]


def users(database: str) -> int:
    with closing(sqlite3.connect(database)) as connection:
        return int(connection.execute("select count(*) from users").fetchone()[0])


def test_a_database_of_another_kind_is_refused(world: HubWorld, folder: Path, database: str, tmp_path: Path) -> None:
    file = backup(world, folder, database_path=database)["file"]
    (tmp_path / "url").write_text("postgresql://hub:p@db/hub")
    with pytest.raises(DatabaseError, match="holds a database of sqlite, and this hub uses postgresql"):
        restore_database({"file": file, "database_path": "", "database_url_file": str(tmp_path / "url")}, True)
    nothing = backup(world, folder)["file"]
    with pytest.raises(DatabaseError, match="holds no database"):
        restore_database({"file": nothing, "database_path": database, "database_url_file": ""}, True)
    with pytest.raises(DatabaseError, match="is not said"):
        restore_database({"file": file, "database_path": "", "database_url_file": ""}, True)


def test_a_damaged_archive_leaves_the_database(world: HubWorld, folder: Path, database: str) -> None:
    file = Path(backup(world, folder, database_path=database)["file"])
    file.write_bytes(file.read_bytes()[:-400])
    with pytest.raises(ArchiveError):
        restore_database({"file": str(file), "database_path": database, "database_url_file": ""}, False)
    assert users(database) == 1
    assert [path.name for path in Path(database).parent.iterdir()] == ["jupyterhub.sqlite"]


def test_a_full_disk_leaves_the_database(
    world: HubWorld, folder: Path, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def onto_a_full_disk(file: Path, _target: IO[bytes]) -> Json:
        with open("/dev/full", "wb", buffering=0) as disk:
            return extract_database(file, disk)

    file = backup(world, folder, database_path=database)["file"]
    monkeypatch.setattr(_hub_database_restore, "extract_database", onto_a_full_disk)
    with pytest.raises(DatabaseError) as raised:
        restore_database({"file": file, "database_path": database, "database_url_file": ""}, False)
    place = Path(database).parent
    assert str(raised.value).startswith(f"Could not put back the database, at {place}: no space left on device. ")
    assert [path.name for path in place.iterdir()] == ["jupyterhub.sqlite"]


def test_a_database_whose_folder_is_missing(world: HubWorld, folder: Path, database: str) -> None:
    file = backup(world, folder, database_path=database)["file"]
    options = {"file": file, "database_path": str(folder / "none" / "x"), "database_url_file": ""}
    with pytest.raises(DatabaseError, match=r"Could not put back the database.*It is as it was"):
        restore_database(options, False)


def test_lists_are_json_of_a_line_an_object(world: HubWorld, folder: Path) -> None:
    backup(world, folder)
    with tarfile.open(folder / FIRST) as archive:
        file = archive.extractfile("disks.json")
        assert file
        text = file.read().decode()
    assert text.splitlines()[0] == "["
    assert [json.loads(line.rstrip(","))["claim"]["metadata"]["name"] for line in text.splitlines()[1:-1]] == [
        "claim-ann",
        "claim-canary",
    ]


def test_names_are_in_utc(world: HubWorld, folder: Path) -> None:
    backup(world, folder, now=datetime.fromisoformat("2026-11-26T04:15:00+01:00"))
    assert archives(folder) == [FIRST]
