"""An archive is what it was when it was written, or it is refused in a sentence."""

from __future__ import annotations

import errno
import hashlib
import io
import json
import os
import tarfile
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.campus.jupyterhub.plugins.module_utils._hub_archive import (
    ArchiveError,
    archive_name,
    extract_database,
    is_archive,
    load,
    made_of,
    pack,
    verify,
)
from hypothesis import given
from hypothesis import strategies as st

Json = dict[str, Any]
NAME = "hub-20261126T031500Z-asked.tar.gz"
INFO: Json = {"namespace": "jupyterhub", "collection": "0.1.0", "database": {"kind": "sqlite", "users": 1}}
SECRET: Json = {"metadata": {"name": "hub-secret", "namespace": "jupyterhub"}, "type": "Opaque", "data": {}}
MEMBERS = {
    "secrets.json": json.dumps([SECRET]).encode(),
    "disks.json": b"[]",
    "snapshots.json": b"[]",
    "database.sqlite": bytes(range(256)) * 9000,
}


@pytest.fixture
def whole(tmp_path: Path) -> Path:
    """An archive as a backup writes it."""
    place = tmp_path / "place"
    place.mkdir()
    for name, content in MEMBERS.items():
        (place / name).write_bytes(content)
    pack(place, INFO, tmp_path / NAME)
    return tmp_path / NAME


def forged(path: Path, members: Mapping[str, bytes], info: Json | None = None, kind: bytes = tarfile.REGTYPE) -> Path:
    """An archive of somebody who knows the format; ``kind`` is that of the last member."""
    hashes = {name: hashlib.sha256(content).hexdigest() for name, content in MEMBERS.items()}
    head = json.dumps({"format": 1, "sha256": hashes, **INFO, **(info or {})}).encode()
    with tarfile.open(path, "w:gz") as archive:
        for name, content in {"backup.json": head, **members}.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            if name == [*members][-1]:
                member.type, member.linkname = kind, "/etc/passwd"
            archive.addfile(member, io.BytesIO(content))
    return path


def test_what_was_written_is_read(whole: Path) -> None:
    contents = load(whole)
    assert contents.secrets == [SECRET]
    assert (contents.disks, contents.snapshots) == ([], [])
    assert contents.info["database"] == INFO["database"]
    assert contents.info["format"] == 1
    target = io.BytesIO()
    extract_database(whole, target)
    assert target.getvalue() == MEMBERS["database.sqlite"]


def test_only_its_owner_reads_it(whole: Path) -> None:
    assert whole.stat().st_mode & 0o777 == 0o600


def test_nothing_is_overwritten(whole: Path) -> None:
    with pytest.raises(FileExistsError):
        pack(whole.parent / "place", INFO, whole)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda path: path.unlink(), "There is no archive"),
        (lambda path: path.write_bytes(b""), "not a whole archive"),
        (lambda path: path.write_text("a letter"), "not a whole archive"),
        (lambda path: forged(path, {**MEMBERS, "disks.json": b'["x"]'}), "disks.json is not what was written"),
        (lambda path: forged(path, {"secrets.json": MEMBERS["secrets.json"]}), "database.sqlite is missing"),
        (lambda path: forged(path, {**MEMBERS, "../../evil": b"x"}), "does not belong there, '../../evil'"),
        (lambda path: forged(path, {**MEMBERS, "/etc/passwd": b"x"}), "does not belong there, '/etc/passwd'"),
        (lambda path: forged(path, {**MEMBERS, "more.json": b"x"}), "does not belong there, 'more.json'"),
        (lambda path: forged(path, MEMBERS, kind=tarfile.SYMTYPE), "does not belong there, 'database.sqlite'"),
        (lambda path: forged(path, MEMBERS, {"format": 2, "collection": "3.0.0"}), "the version that wrote it, 3.0.0"),
        (lambda path: forged(path, MEMBERS, {"format": None}), "names no format"),
        (lambda path: forged(path, MEMBERS, {"sha256": {}}), "does not say what has to be in it"),
        (lambda path: forged(path, MEMBERS, {"namespace": ""}), "does not say what has to be in it"),
        (lambda path: forged(path, MEMBERS, {"database": {"kind": "none"}}), "does not say what has to be in it"),
        (lambda path: forged(path, MEMBERS, {"database": "sqlite"}), "does not say what is in it"),
    ],
)
def test_what_is_no_whole_archive_is_refused(whole: Path, make: Callable[[Path], Any], says: str) -> None:
    make(whole)
    with pytest.raises(ArchiveError) as raised:
        load(whole)
    assert says in str(raised.value)
    assert "\n" not in str(raised.value)
    assert str(whole) in str(raised.value)


def test_a_foreign_archive_is_none_of_ours(tmp_path: Path) -> None:
    path = tmp_path / NAME
    with tarfile.open(path, "w:gz") as archive:
        archive.addfile(tarfile.TarInfo("thesis.tex"), io.BytesIO())
    assert not is_archive(path)
    with pytest.raises(ArchiveError, match=r"does not begin with backup\.json"):
        verify(path)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ('{"a": 1}', "disks.json is no list of objects"),
        ('[{"claim": {"metadata": {"name": "claim-ann"}, "spec": {}}}]', "object 1 of disks.json has no valid volume."),
        ("[" * 100_000, "disks.json is no JSON"),
        ('[{"claim": ' + '{"a": ' * 100 + "1" + "}" * 101 + "]", "object 1 of disks.json is nested too deeply"),
    ],
)
def test_lists_say_what_a_restore_needs(tmp_path: Path, content: str, says: str) -> None:
    members = {**MEMBERS, "disks.json": content.encode()}
    hashes = {name: hashlib.sha256(each).hexdigest() for name, each in members.items()}
    path = forged(tmp_path / NAME, members, {"sha256": hashes})
    with pytest.raises(ArchiveError) as raised:
        load(path)
    assert says in str(raised.value)
    assert "\n" not in str(raised.value)


def test_what_begins_with_endless_json_is_refused(tmp_path: Path) -> None:
    head = b"[" * 100_000
    with tarfile.open(tmp_path / NAME, "w:gz") as archive:
        member = tarfile.TarInfo("backup.json")
        member.size = len(head)
        archive.addfile(member, io.BytesIO(head))
    assert not is_archive(tmp_path / NAME)


@given(share=st.floats(0, 1, exclude_max=True))
def test_wherever_it_is_cut_it_is_refused(tmp_path_factory: pytest.TempPathFactory, share: float) -> None:
    folder = tmp_path_factory.mktemp("cut")
    for name, content in MEMBERS.items():
        # What does not compress, so that a cut is a cut of content.
        (folder / name).write_bytes(os.urandom(5000) if name.startswith("database") else content)
    pack(folder, INFO, folder / NAME)
    content = (folder / NAME).read_bytes()
    (folder / NAME).write_bytes(content[: int(share * len(content))])
    with pytest.raises(ArchiveError):
        verify(folder / NAME)


def test_no_bit_of_it_can_turn_and_change_what_it_says(tmp_path: Path) -> None:
    members = {**MEMBERS, "secrets.json": b"[]", "database.sqlite": b"users"}
    for name, content in members.items():
        (tmp_path / name).write_bytes(content)
    pack(tmp_path, INFO, tmp_path / NAME)
    written, content = load(tmp_path / NAME), (tmp_path / NAME).read_bytes()
    passed = set()
    for number in range(len(content) * 8):
        spoilt = bytearray(content)
        spoilt[number // 8] ^= 1 << number % 8
        (tmp_path / NAME).write_bytes(spoilt)
        try:
            assert load(tmp_path / NAME) == written, f"bit {number % 8} of byte {number // 8}"
        except ArchiveError:
            continue
        passed.add(number // 8)
    # The time in the head of gzip.
    assert {4, 5, 6, 7} <= passed


@pytest.mark.parametrize("read", [verify, load, lambda path: extract_database(path, io.BytesIO())])
def test_whoever_reads_it_compares_the_checksum(whole: Path, read: Callable[[Path], Any]) -> None:
    content = bytearray(whole.read_bytes())
    content[-8] ^= 1
    whole.write_bytes(content)
    with pytest.raises(ArchiveError, match="CRC check failed"):
        read(whole)


def test_a_full_disk_is_no_fault_of_the_archive(whole: Path) -> None:
    with open("/dev/full", "wb") as target, pytest.raises(OSError, match="No space left") as raised:
        extract_database(whole, target)
    assert raised.value.errno == errno.ENOSPC


def test_names_tell_the_time() -> None:
    made = datetime(2026, 11, 26, 3, 15, tzinfo=UTC)
    assert archive_name(made, "asked") == NAME
    assert made_of(NAME) == made
    for name in ("hub-20261126T031500Z-evil.tar.gz", "hub-20261326T031500Z-asked.tar.gz", f"{NAME}.old", f"x{NAME}"):
        assert made_of(name) is None
