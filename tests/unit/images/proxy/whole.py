"""A whole replica: a real HAProxy, the real agent, and an API server that can fall ill."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp.test_utils import TestClient, TestServer
from ansible_collections.campus.jupyterhub.tests.unit.images.proxy.fakes import (
    PODS,
    SLICES,
    FakeApi,
    Haproxy,
    Servers,
    make_pod,
    make_slice,
)
from campus_proxy.agent import Agent
from campus_proxy.kube import Api
from campus_proxy.server import build_app


@dataclass
class Replica:
    """HAProxy, its agent, and what they talk to."""

    haproxy: Haproxy
    agent: Agent
    client: TestClient[Any, Any]
    api: FakeApi
    servers: Servers
    session: aiohttp.ClientSession

    async def who(self, path: str) -> str:
        """Which server answers a student, or the status."""
        try:
            async with self.session.get(self.haproxy.url + path) as answer:
                return str((await answer.json())["server"]) if answer.status == 200 else str(answer.status)
        except aiohttp.ClientConnectionError:
            return "nobody"

    async def student(self, name: str, **pod: Any) -> dict[str, Any]:
        """A student with a server, a pod and a route; returns the slice."""
        port = await self.servers.start(name)
        self.api.put(PODS, make_pod(f"pod-{name}", "127.0.0.1", **pod))
        return self.api.put(SLICES, make_slice(f"/user/{name}/", "127.0.0.1", port, f"pod-{name}"))

    async def acknowledge(self, obj: dict[str, Any], timeout: float = 30, **changed: Any) -> tuple[int, dict[str, Any]]:
        """Ask whether HAProxy has this version of the slice."""
        metadata = obj["metadata"] | changed
        query = {key: metadata[key] for key in ("name", "uid", "resourceVersion")} | {"timeout": str(timeout)}
        answer = await self.client.get("/acknowledge", params=query)
        return answer.status, await answer.json()

    async def until(self, path: str, server: str) -> None:
        """Wait until this server answers."""
        end = time.monotonic() + 30
        while (seen := await self.who(path)) != server:
            assert time.monotonic() < end, f"{path} still goes to {seen}"
            await asyncio.sleep(0.02)

    async def until_refused(self, obj: dict[str, Any], reason: str) -> None:
        """Wait until the agent gives this reason for not acknowledging; what it watches reaches it piece by piece."""
        end = time.monotonic() + 30
        while (said := await self.acknowledge(obj, 0.02))[1]["reason"] != reason:
            assert time.monotonic() < end, f"the agent still says {said}"
        assert said[0] == 408

    async def until_owned(self) -> None:
        """Wait until HAProxy's map is the running agent's."""
        async with asyncio.timeout(30):
            while await self.haproxy.route_map.owner() != self.agent.owner:
                await asyncio.sleep(0.02)

    async def ready(self) -> int:
        """The status with which the agent tells the kubelet whether somebody new may come."""
        return (await self.client.get("/ready")).status

    async def uses(self, **query: str) -> list[dict[str, Any]]:
        """What students' servers were asked for, as the agent tells staff."""
        answer = await self.client.get("/students", params=query)
        assert answer.status == 200
        return list((await answer.json())["students"])

    def saved(self, routespec: str) -> bool:
        """Say whether the map on disk is this agent's and has a route."""
        text = self.haproxy.settings.route_map.read_text()
        return f"{routespec} " in text and f"file-{self.agent.owner}" in text


@asynccontextmanager
async def running(haproxy: Haproxy, api: FakeApi, **more: Any) -> AsyncIterator[tuple[Agent, TestClient[Any, Any]]]:
    """An agent that runs, and a client for its pages."""
    kube = Api(api.url, token=Path("/nowhere"), answer_seconds=0.5)
    agent = Agent.build(haproxy.settings, kube)
    for key, value in more.items():
        setattr(agent, key, value)
    task = asyncio.create_task(agent.run())
    async with TestClient(TestServer(build_app(agent))) as client:
        try:
            yield agent, client
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await kube.close()
