"""A database that is away: say so, instead of taking everybody for somebody who is not known.

JupyterHub goes on without a user when it cannot look one up, and answers that who asks may not. A student's server
would believe that, and shut out the student who works on it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from jupyterhub.handlers.base import BaseHandler
from sqlalchemy.exc import SQLAlchemyError
from tornado.web import HTTPError

from campus_hub.wrapping import wrap

AWAY = "The hub's database does not answer. Please try again in a minute."

# Seconds, but for the two that say otherwise; the parameters are libpq's. The hub waits for its database in the one
# thread that does everything, so a database that is gone without a word must be noticed soon.
POSTGRESQL = {
    "connect_timeout": 5,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    # Milliseconds.
    "tcp_user_timeout": 15_000,
}

Step = Callable[[Any], Awaitable[Any]]


def connection(url: str) -> dict[str, Any]:
    """Return JupyterHub.db_kwargs for a database, empty for other ones than PostgreSQL."""
    return {"connect_args": dict(POSTGRESQL)} if url.startswith("postgresql") else {}


def noticing(get_current_user: Step) -> Step:
    """Wrap BaseHandler.get_current_user: note when it was the database that did not tell who asks."""

    async def _get_current_user(self: Any) -> Any:
        try:
            return await get_current_user(self)
        except SQLAlchemyError:
            self.campus_database_away = True
            raise

    return _get_current_user


def honest(prepare: Step) -> Step:
    """Wrap BaseHandler.prepare: answer 503 where the database did not tell who asks."""

    async def _prepare(self: Any) -> None:
        self.campus_database_away = False
        try:
            await prepare(self)
        except HTTPError:
            if not self.campus_database_away:
                raise
        if self.campus_database_away:
            raise HTTPError(503, AWAY)

    return _prepare


def install() -> None:
    """Put the wrappers in place, once."""
    wrap(BaseHandler, "get_current_user", noticing)
    wrap(BaseHandler, "prepare", honest)
