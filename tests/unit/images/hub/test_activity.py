"""Whom the hub lost sight of, and whom it did not."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from campus_hub.activity import ABSENCE, forgive_absence
from jupyterhub import orm

NOW = datetime(2030, 1, 1, 12)
LONG_AGO = NOW - timedelta(hours=9)


@pytest.fixture
def db() -> Iterator[Any]:
    """JupyterHub's database, with one student who has a server and one who has none; neither was seen for hours."""
    session = orm.new_session_factory("sqlite:///:memory:")()
    for name, server in (("ann", orm.Server(base_url="/user/ann/")), ("ben", None)):
        user = orm.User(name=name, last_activity=LONG_AGO)
        session.add(orm.Spawner(name="", user=user, server=server, last_activity=LONG_AGO))
    session.commit()
    yield session
    session.close()


def seen(db: Any) -> dict[str, datetime]:
    """When each student's server was used last."""
    return {spawner.user.name: spawner.last_activity for spawner in db.query(orm.Spawner)}


def test_after_an_absence_every_server_counts_as_used_now(db: Any) -> None:
    assert forgive_absence(db, NOW) == 1

    assert seen(db) == {"ann": NOW, "ben": LONG_AGO}


@pytest.mark.parametrize("witness", ["user", "server", "token"])
def test_a_hub_that_was_hardly_away_knows_better(db: Any, witness: str) -> None:
    user = orm.User.find(db, "ben")
    lately = NOW - ABSENCE + timedelta(seconds=1)
    match witness:
        case "user":
            user.last_activity = lately
        case "server":
            user.orm_spawners[""].last_activity = lately
        case "token":
            db.add(orm.APIToken(user=user, last_activity=lately))
    db.commit()

    assert forgive_absence(db, NOW) == 0

    assert seen(db)["ann"] == LONG_AGO


def test_an_empty_database_is_fine() -> None:
    assert forgive_absence(orm.new_session_factory("sqlite:///:memory:")(), NOW) == 0
