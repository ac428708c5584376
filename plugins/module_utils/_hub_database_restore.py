# Copyright: campus.jupyterhub contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Put the database of an archive into the place of the hub's.

Private to the collection: it may change in any release.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from ansible_collections.campus.jupyterhub.plugins.module_utils._hub_archive import (
    DATABASES,
    NONE,
    extract_database,
    verify,
)
from ansible_collections.campus.jupyterhub.plugins.module_utils._hub_database import SOURCE, Database, database_of
from ansible_collections.campus.jupyterhub.plugins.module_utils._hub_database_facts import DatabaseError, Facts
from ansible_collections.campus.jupyterhub.plugins.module_utils._hub_sqlite import SQLITE

Json = dict[str, Any]

ARGUMENTS: Final[Json] = {"file": {"type": "path", "required": True}, **SOURCE}
"""The options of the module hub_database_restore."""


def restore_database(options: Mapping[str, Any], check: bool) -> Json:
    """Put it back, or in check mode only see whether that can be done, and return what the module returns.

    Raises:
        ArchiveError: there is no such archive, or it is not whole.
        DatabaseError: the archive has no database of the hub's kind, or it cannot be put back; the present one is as
            it was.
    """
    file, database = Path(options["file"]), database_of(options)
    if database is None:
        raise DatabaseError("Which database to restore is not said; set database_path or database_url_file.")
    said = verify(file)["database"]
    _require_kind(file, str(said["kind"]), database.kind)
    if check:
        return {"changed": True, "users": said.get("users"), "revision": said.get("revision")}
    beside = Path(options["database_path"]) if database.kind == SQLITE else file
    facts = _restore(file, database, beside.parent)
    return {"changed": True, "users": facts.users, "revision": facts.revision}


def _require_kind(file: Path, has: str, wanted: str) -> None:
    if has == NONE:
        raise DatabaseError(f"{file} holds no database; restore it from the backups of whoever runs it.")
    if has != wanted:
        raise DatabaseError(
            f"{file} holds a database of {has}, and this hub uses {wanted}. Set hub_db_url as it was when the backup "
            "was made, run the playbook site again, and restore then."
        )


def _restore(file: Path, database: Database, folder: Path) -> Facts:
    """Unpack the database in a folder, which is as it was afterwards, and let it take its place.

    The folder is that of the present one where a rename puts it there, else that of the archive: what took that has
    room, while a pod's /tmp has little.
    """
    try:
        with tempfile.TemporaryDirectory(prefix=".hub-restore-", dir=folder) as place:
            copy = Path(place) / DATABASES[database.kind]
            with copy.open("wb") as target:
                extract_database(file, target)
            return database.load(copy)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise DatabaseError(
            f"Could not put back the database, at {error.filename or folder}: {reason}. It is as it was; see that "
            "there is room and that it may be written to, and run again."
        ) from error
