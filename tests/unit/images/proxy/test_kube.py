"""List and watch against an API server that falls ill in every way it can."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.campus.jupyterhub.tests.unit.images.proxy.fakes import PODS, FakeApi, make_pod
from ansible_collections.campus.jupyterhub.tests.unit.waiting import eventually
from campus_proxy import kube
from campus_proxy.kube import Api, ApiError, Reflector


@dataclass
class Store:
    """A sink that remembers."""

    objects: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    replaced: int = 0

    def replace(self, items: Iterable[Mapping[str, Any]]) -> None:
        """Take a whole list."""
        self.objects = {item["metadata"]["name"]: item for item in items}
        self.replaced += 1

    def put(self, obj: Mapping[str, Any]) -> None:
        """Take an object."""
        self.objects[obj["metadata"]["name"]] = obj

    def drop(self, obj: Mapping[str, Any]) -> None:
        """Forget an object."""
        self.objects.pop(obj["metadata"]["name"], None)


@asynccontextmanager
async def reflecting(api: FakeApi, **more: Any) -> AsyncIterator[tuple[Reflector, Store]]:
    """A reflector of the pods that runs."""
    store = Store()
    client = Api(api.url, token=Path("/nowhere"), **more)
    reflector = Reflector(client, PODS, "app=jupyterhub", store, lambda: None, longest_pause=0.2)
    task = asyncio.create_task(reflector.run())
    try:
        yield reflector, store
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await client.close()


async def test_lists_then_watches(api: FakeApi) -> None:
    for number in range(7):
        api.put(PODS, make_pod(f"p{number}"))
    api.page = 3
    async with reflecting(api) as (reflector, store):
        await asyncio.wait_for(reflector.synced.wait(), 30)
        assert len(store.objects) == 7
        assert api.lists == 3
        api.put(PODS, make_pod("new"))
        api.delete(PODS, "p0")
        await eventually(lambda: "new" in store.objects and "p0" not in store.objects)
        assert store.replaced == 1


async def test_a_watch_that_ends_goes_on_where_it_was(api: FakeApi) -> None:
    async with reflecting(api) as (_unused, store):
        api.put(PODS, make_pod("a"))
        await eventually(lambda: "a" in store.objects)
        api.delete(PODS, "a")
        await eventually(lambda: not store.objects)
        for number in range(3):
            api.disconnect()
            api.put(PODS, make_pod(f"b{number}"))
            await eventually(lambda number=number: f"b{number}" in store.objects)  # type: ignore[misc]
        assert "a" not in store.objects
        assert store.replaced == 1


async def test_a_watch_too_far_behind_lists_again(api: FakeApi) -> None:
    async with reflecting(api) as (_unused, store):
        api.put(PODS, make_pod("a"))
        await eventually(lambda: "a" in store.objects)
        del api.objects[PODS]["a"]
        api.forget_history()
        await eventually(lambda: not store.objects)
        assert store.replaced == 2


@pytest.mark.parametrize("mode", ["error", "hang", "torn"])
async def test_an_ill_api_server_clears_nothing_and_is_asked_again(api: FakeApi, mode: str) -> None:
    api.put(PODS, make_pod("a"))
    async with reflecting(api, answer_seconds=0.3, silence_seconds=0.3) as (reflector, store):
        await eventually(lambda: "a" in store.objects)
        api.mode = mode
        api.disconnect()
        await eventually(lambda: reflector.errors >= 2)
        assert set(store.objects) == {"a"}
        api.put(PODS, make_pod("b"))
        api.mode = "well"
        api.disconnect()
        await eventually(lambda: set(store.objects) == {"a", "b"})


async def test_an_api_server_that_is_away_at_first_is_waited_for(api: FakeApi) -> None:
    api.mode = "error"
    api.put(PODS, make_pod("a"))
    async with reflecting(api) as (reflector, store):
        await eventually(lambda: reflector.errors >= 2)
        assert not reflector.synced.is_set()
        assert store.replaced == 0
        api.mode = "well"
        await asyncio.wait_for(reflector.synced.wait(), 30)
        assert set(store.objects) == {"a"}


async def chunks(*parts: bytes) -> AsyncIterator[bytes]:
    """A stream in these pieces."""
    for part in parts:
        yield part


async def test_lines_are_put_together() -> None:
    found = [line async for line in kube.lines(chunks(b"a", b"b\nc\n\nd", b"", b"e\n", b"rest"))]
    assert found == [b"ab", b"c", b"de"]


async def test_a_line_without_end_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kube, "MAX_LINE", 10)
    with pytest.raises(ApiError, match="too long"):
        async for _unused in kube.lines(chunks(b"short\n", b"x" * 8, b"x" * 8)):
            pass


async def test_the_token_is_read_again_for_every_request(api: FakeApi, tmp_path: Path) -> None:
    token = tmp_path / "token"
    client = Api(api.url, token=token)
    for text, header in (("one\n", "Bearer one"), ("two", "Bearer two")):
        token.write_text(text)
        assert client._headers()["Authorization"] == header
    await client.close()


def test_the_api_server_is_found_by_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.96.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")
    assert Api.in_cluster().url == "https://10.96.0.1:443"
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "fd00::1")
    assert Api.in_cluster().url == "https://[fd00::1]:443"
