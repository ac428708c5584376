"""What a hub that comes back to many servers has to do."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine
from sqlalchemy.event import listen, remove

from .conftest import FakeApi
from .real_hub import Campus, campus


@pytest.fixture
async def ground(api: FakeApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Campus]:
    """A campus without a hub."""
    async with campus(api, tmp_path, monkeypatch) as found:
        yield found


async def test_what_a_hub_that_comes_back_asks_of_its_students_does_not_grow_with_their_number(ground: Campus) -> None:
    asked: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_unused: Any) -> None:
        asked.append(statement)

    async def questions(servers: int) -> int:
        async with ground.hub() as app:
            for number in range(servers):
                await ground.spawn(app, f"student-{servers}-{number}")
        async with ground.hub() as app:
            asked.clear()
            app.db.expunge_all()
            app.users.clear()
            await app.init_spawners()
            return sum("FROM users" in statement or "spawners.user_id IN" in statement for statement in asked)

    listen(Engine, "before_cursor_execute", note)
    try:
        few = await questions(2)
        assert await questions(12) == few
    finally:
        remove(Engine, "before_cursor_execute", note)
