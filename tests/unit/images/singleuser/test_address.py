"""The hub by its address, where its name leads nowhere."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from campus_singleuser import address
from campus_singleuser.address import ADDRESS_ENV, by_address, reachable

URL = "http://hub:8081/hub/api/user"


def name_server(monkeypatch: pytest.MonkeyPatch, knows: bool | None) -> None:
    """Have a name server that knows the name, knows it not, or never answers (None)."""

    async def answer(*_asked: Any) -> list[Any]:
        if knows is None:
            await asyncio.sleep(3600)
        if not knows:
            raise OSError(-3, "Temporary failure in name resolution")
        return []

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", answer)


@pytest.mark.parametrize(
    ("knows", "given", "expected"),
    [
        (True, "10.96.1.2", URL),
        (False, "10.96.1.2", "http://10.96.1.2:8081/hub/api/user"),
        (None, "10.96.1.2", "http://10.96.1.2:8081/hub/api/user"),
        (False, "", URL),
    ],
)
async def test_the_address_is_taken_only_where_the_name_leads_nowhere(
    monkeypatch: pytest.MonkeyPatch, knows: bool | None, given: str, expected: str
) -> None:
    monkeypatch.setattr(address, "NAME_SECONDS", 0.1)
    name_server(monkeypatch, knows)

    assert await reachable(URL, {ADDRESS_ENV: given}) == expected


@pytest.mark.parametrize(
    ("url", "given", "expected"),
    [
        ("https://hub/hub/api?a=b", "10.96.1.2", "https://10.96.1.2/hub/api?a=b"),
        ("http://hub:8081/", "fd00::1", "http://[fd00::1]:8081/"),
    ],
)
def test_nothing_but_the_host_is_another(url: str, given: str, expected: str) -> None:
    assert by_address(url, given) == expected
