# Copyright: campus.jupyterhub contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What every kind of a hub's database is asked, and how it says that it cannot answer.

Private to the collection: it may change in any release.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

FACTS: Final = {"users": "select count(*) from users", "revision": "select version_num from alembic_version"}
"""By the name of a fact the query that asks for it; the last word is the table."""


class DatabaseError(Exception):
    """A database that cannot be copied or put back; the message is for the user."""


@dataclass(frozen=True)
class Facts:
    """What a database says of itself; None where it lacks the table."""

    users: int | None
    revision: str | None
