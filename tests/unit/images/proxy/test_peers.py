"""What a replica learns from the others."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from aiohttp import web
from aiohttp.test_utils import TestServer
from campus_proxy.peers import Peers

SLICE = {"name": "jupyterhub-ann", "uid": "u1", "resourceVersion": "7"}


class Other:
    """Another replica's agent, which has one version of one slice."""

    def __init__(self) -> None:
        self.port = 0
        self.asked: list[dict[str, str]] = []

    async def acknowledge(self, request: web.Request) -> web.Response:
        self.asked.append(dict(request.query))
        has = {key: request.query[key] for key in SLICE} == SLICE
        return web.json_response({"applied": has}, status=200 if has else 408)

    def peers(self, *addresses: str, own: str = "127.0.0.9") -> Peers:
        """The replicas at these addresses."""

        async def resolver(host: str) -> list[str]:
            assert host == "proxy-agent"
            if not addresses:
                raise OSError("no name server")
            return list(addresses)

        return Peers("proxy-agent", self.port, own, resolver)


@pytest_asyncio.fixture
async def other() -> AsyncIterator[Other]:
    """A running agent at 127.0.0.1."""
    found = Other()
    app = web.Application()
    app.router.add_get("/acknowledge", found.acknowledge)
    async with TestServer(app) as server:
        found.port = server.port or 0
        yield found


async def test_one_that_has_the_version_is_enough(other: Other) -> None:
    # Nobody listens at the second address.
    assert await other.peers("127.0.0.1", "127.0.0.2").have("jupyterhub-ann", "u1", "7")
    # Else it would ask in its turn.
    assert [query["timeout"] for query in other.asked] == ["0"]


@pytest.mark.parametrize(
    "asked", [("jupyterhub-bob", "u1", "7"), ("jupyterhub-ann", "u2", "7"), ("jupyterhub-ann", "u1", "8")]
)
async def test_another_version_does_not_count(other: Other, asked: tuple[str, str, str]) -> None:
    assert not await other.peers("127.0.0.1").have(*asked)


async def test_a_replica_does_not_ask_itself(other: Other) -> None:
    assert not await other.peers("127.0.0.1", own="127.0.0.1").have("jupyterhub-ann", "u1", "7")
    assert other.asked == []


async def test_without_names_or_neighbours_nobody_has_it(other: Other) -> None:
    assert not await other.peers().have("jupyterhub-ann", "u1", "7")
    assert not await other.peers("127.0.0.2").have("jupyterhub-ann", "u1", "7")
