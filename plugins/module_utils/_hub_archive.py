# Copyright: campus.jupyterhub contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The archive of what a hub knows: its members, their hashes, how it is written and read.

It is one tar.gz of a few plainly named files. The first says the hashes of the others, and gzip's checksum at the very
end is of all. Nothing is ever unpacked by a path that the archive says: a member is known by its name or the whole
archive is refused. Private to the collection: it may change in any release.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import re
import tarfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, Final

from ansible_collections.campus.jupyterhub.plugins.module_utils._hub_archive_lists import (
    DISK,
    SECRET,
    SNAPSHOT,
    Fields,
    fault_of,
)

Json = dict[str, Any]

FORMAT: Final = 1
REASONS: Final = ("scheduled", "upgrade", "restore", "asked")

INFO_FILE: Final = "backup.json"
SECRETS_FILE: Final = "secrets.json"
DISKS_FILE: Final = "disks.json"
SNAPSHOTS_FILE: Final = "snapshots.json"
_FIELDS: Final = {SECRETS_FILE: SECRET, DISKS_FILE: DISK, SNAPSHOTS_FILE: SNAPSHOT}
LISTS: Final = tuple(_FIELDS)
DATABASES: Final = {"sqlite": "database.sqlite", "postgresql": "database.pgdump"}
"""Member that holds a database, by its kind."""
NONE: Final = "none"

_NAME: Final = re.compile(rf"hub-([0-9]{{8}}T[0-9]{{6}}Z)-({'|'.join(REASONS)})\.tar\.gz")
_STAMP: Final = "%Y%m%dT%H%M%SZ"
_CHUNK: Final = 1024 * 1024
_MOST_INFO: Final = 1024 * 1024
_DAMAGE: Final = (tarfile.TarError, gzip.BadGzipFile, EOFError, zlib.error, UnicodeError)


class ArchiveError(Exception):
    """An archive that cannot be written or read; the message is for the user."""


@dataclass(frozen=True)
class Contents:
    """What an archive says, but for the database."""

    info: Json
    secrets: list[Json]
    disks: list[Json]
    """Dictionaries of claim, volume and uid."""
    snapshots: list[Json]
    """Dictionaries of snapshot and content."""


def archive_name(made: datetime, reason: str) -> str:
    """Return the name of the archive that is made at a time, to the second."""
    return f"hub-{made.astimezone(UTC).strftime(_STAMP)}-{reason}.tar.gz"


def made_of(name: str) -> datetime | None:
    """Return when an archive of this name was made, in UTC; None where the name is no archive's."""
    found = _NAME.fullmatch(name)
    try:
        return datetime.strptime(found[1], _STAMP).replace(tzinfo=UTC) if found else None
    except ValueError:
        return None


def reason_of(name: str) -> str:
    """Return why an archive of this name was made; empty where the name is no archive's."""
    found = _NAME.fullmatch(name)
    return found[2] if found else ""


def pack(folder: Path, info: Json, target: Path) -> None:
    """Write the members that lie in a folder, and ``info`` with their hashes, into a new file for its owner alone.

    Raises:
        OSError: the file is there already or cannot be written; a part of it may be left.
    """
    names = [*LISTS, *(name for name in DATABASES.values() if (folder / name).exists())]
    hashes = {name: _hash(folder / name) for name in names}
    text = json.dumps({**info, "format": FORMAT, "sha256": hashes}, indent=2, sort_keys=True).encode()
    with open(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        with tarfile.open(fileobj=file, mode="w:gz", compresslevel=6) as archive:
            archive.addfile(_member(INFO_FILE, len(text)), io.BytesIO(text))
            for name in names:
                with (folder / name).open("rb") as member:
                    archive.addfile(_member(name, os.fstat(member.fileno()).st_size), member)
        file.flush()
        os.fsync(file.fileno())


def _member(name: str, size: int) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.size, member.mode = size, 0o600
    return member


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def is_archive(path: Path) -> bool:
    """Say whether a file is an archive of ours by its name and by what it begins with; the rest of it is not read."""
    if made_of(path.name) is None or path.is_symlink() or not path.is_file():
        return False
    try:
        with _opened(path) as archive:
            _info_of(path, archive)
    except ArchiveError:
        return False
    return True


def verify(path: Path) -> Json:
    """Return what backup.json says, after all of the archive was read and compared with its hashes and its checksum.

    Raises:
        ArchiveError: there is no such archive, or it is not whole.
    """
    return _read(path, {})


def load(path: Path) -> Contents:
    """Return what an archive says, but for the database, after all of it was verified.

    Raises:
        ArchiveError: there is no such archive, it is not whole, or it lacks what a restore needs.
    """
    texts = {name: io.BytesIO() for name in LISTS}
    info = _read(path, texts)
    lists = [_list(path, name, texts[name].getvalue(), fields) for name, fields in _FIELDS.items()]
    return Contents(info, *lists)


def extract_database(path: Path, target: IO[bytes]) -> Json:
    """Write the database that an archive holds to a file, and return what backup.json says.

    Raises:
        ArchiveError: there is no such archive, or it is not whole; then the file is worth nothing.
        OSError: the file cannot be written.
    """
    return _read(path, {name: target for name in DATABASES.values()})


def _list(path: Path, name: str, text: bytes, fields: Fields) -> list[Json]:
    found = _json(path, name, text)
    if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
        raise _broken(path, f"{name} is no list of objects")
    for number, item in enumerate(found, 1):
        if fault := fault_of(item, fields):
            raise _broken(path, f"object {number} of {name} {fault}")
    return found


def _json(path: Path, name: str, text: bytes) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _broken(path, f"{name} is no JSON") from error


def _read(path: Path, sinks: Mapping[str, IO[bytes]]) -> Json:
    """Read a whole archive, write the members that are asked for, and compare the hash of each."""
    with _opened(path) as archive:
        info = _info_of(path, archive)
        hashes, seen = info["sha256"], {INFO_FILE}
        while member := _next(path, archive):
            if member.name in seen or member.name not in hashes or not member.isreg():
                raise _broken(path, f"it has a member that does not belong there, {member.name!r}")
            seen.add(member.name)
            digest = hashlib.sha256()
            for piece in _pieces(path, archive, member):
                digest.update(piece)
                if member.name in sinks:
                    sinks[member.name].write(piece)
            if digest.hexdigest() != hashes[member.name]:
                raise _broken(path, f"the content of {member.name} is not what was written")
        _read_to_end(path, archive)
    if missing := sorted(set(hashes) - seen):
        raise _broken(path, f"{missing[0]} is missing")
    return info


def _next(path: Path, archive: tarfile.TarFile) -> tarfile.TarInfo | None:
    with _explained(path):
        return archive.next()


def _pieces(path: Path, archive: tarfile.TarFile, member: tarfile.TarInfo) -> Iterator[bytes]:
    """Yield the content of a member. Errors of whoever takes it are not explained as those of the archive."""
    with _explained(path):
        file = archive.extractfile(member)
    while file:
        with _explained(path):
            piece = file.read(_CHUNK)
        if not piece:
            return
        yield piece


def _read_to_end(path: Path, archive: tarfile.TarFile) -> None:
    """Read what follows the last member: tar needs none of it, but gzip compares its checksum only there."""
    with _explained(path):
        while archive.fileobj and archive.fileobj.read(_CHUNK):
            pass


def _info_of(path: Path, archive: tarfile.TarFile) -> Json:
    """Return what the first member says, if that is backup.json of a format that is known here."""
    member = _next(path, archive)
    if member is None or member.name != INFO_FILE or not member.isreg() or member.size > _MOST_INFO:
        raise ArchiveError(
            f"{path} is not an archive of a hub: it does not begin with {INFO_FILE}. Name one of hub_backup."
        )
    info = _json(path, INFO_FILE, b"".join(_pieces(path, archive, member)))
    if not isinstance(info, dict) or not isinstance(info.get("format"), int):
        raise _broken(path, f"{INFO_FILE} names no format")
    if info["format"] != FORMAT:
        raise ArchiveError(
            f"{path} has format {info['format']}, and this version of the collection reads format {FORMAT}; "
            f"use the version that wrote it, {info.get('collection', 'which it does not say')}."
        )
    _check_info(path, info)
    return info


def _check_info(path: Path, info: Json) -> None:
    database, hashes = info.get("database"), info.get("sha256")
    kind = database.get("kind") if isinstance(database, dict) else None
    if kind not in (NONE, *DATABASES) or not isinstance(hashes, dict):
        raise _broken(path, f"{INFO_FILE} does not say what is in it")
    expected = {*LISTS, *([DATABASES[kind]] if kind in DATABASES else [])}
    if set(hashes) != expected or not info.get("namespace") or not isinstance(info["namespace"], str):
        raise _broken(path, f"{INFO_FILE} does not say what has to be in it")


@contextmanager
def _opened(path: Path) -> Iterator[tarfile.TarFile]:
    with ExitStack() as stack:
        with _explained(path):
            archive = stack.enter_context(tarfile.open(path, "r:gz"))
        yield archive


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise ArchiveError(f"There is no archive {path}; check the name and the machine.") from error
    except _DAMAGE as error:
        raise _broken(path, f"{error}" or "it ends too early") from error
    except OSError as error:
        raise ArchiveError(f"Could not read the archive {path}: {error.strerror or error}.") from error


def _broken(path: Path, reason: str) -> ArchiveError:
    words = " ".join(reason.split()).rstrip(".")
    return ArchiveError(f"{path} is not a whole archive of a hub: {words}. Take another copy, or an older archive.")
