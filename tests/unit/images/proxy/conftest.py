"""Fixtures of the proxy's tests."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from aiohttp import web
from ansible_collections.campus.jupyterhub.tests.unit.certificates import make_pair
from ansible_collections.campus.jupyterhub.tests.unit.images.proxy.fakes import FakeApi, Haproxy, Servers, make_settings
from ansible_collections.campus.jupyterhub.tests.unit.images.proxy.visitor import HOST
from ansible_collections.campus.jupyterhub.tests.unit.images.proxy.whole import Replica, running
from campus_proxy import agent as agent_module
from campus_proxy import certificate, launch, routes
from campus_proxy.kube import Reflector


@pytest_asyncio.fixture
async def api() -> AsyncIterator[FakeApi]:
    """A running fake API server."""
    fake = FakeApi()
    app = web.Application()
    app.router.add_get("/{path:.*}", fake.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    fake.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield fake
    fake.disconnect()
    await runner.cleanup()


@pytest_asyncio.fixture
async def servers() -> AsyncIterator[Servers]:
    """A starter of servers, which end with the test."""
    started = Servers()
    yield started
    await started.stop()


Hurry = tuple[tuple[str, str], ...]
MakeHaproxy = Callable[..., Haproxy]


@pytest.fixture
def make_haproxy(tmp_path: Path) -> Iterator[MakeHaproxy]:
    """A starter of HAProxys, which end with the test. `hurry` rewrites lines of the configuration."""
    if not shutil.which(launch.HAPROXY):
        pytest.skip("needs HAProxy (Debian package haproxy)")
    made: list[Haproxy] = []

    def make(hurry: Hurry = (), **more: Any) -> Haproxy:
        settings = make_settings(tmp_path, **more)
        env = launch.environment(settings, {"PATH": os.environ["PATH"]}, "", 20000) | {"CAMPUS_IPV6": "false"}
        if settings.https != "disabled":
            certificate.make_usable(settings.tls_dir, settings.tls_file)
        if not settings.route_map.exists():
            settings.route_map.write_text("")
        made.append(Haproxy(settings, env, hurry))
        made[-1].start()
        return made[-1]

    yield make
    for haproxy in made:
        haproxy.kill()


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """A mounted Secret with a good certificate."""
    return make_pair(HOST).mount(tmp_path / "tls")


@pytest.fixture
def loopback_pods(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let pods have loopback addresses, which no real one has."""
    strict = routes.host_address
    monkeypatch.setattr(routes, "host_address", lambda text: text if text == "127.0.0.1" else strict(text))
    monkeypatch.setattr("campus_proxy.agent.host_address", routes.host_address)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Agents that look and try again sooner than real ones."""
    for name, value in {
        "WATCH_SECONDS": 0.1,
        "SAVE_SECONDS": 0.02,
        "RETRY_SECONDS": 0.1,
        "RESOLVE_SECONDS": 0.3,
    }.items():
        monkeypatch.setattr(agent_module, name, value)
    monkeypatch.setattr(agent_module, "FAILURE_SECONDS", 0.1)
    monkeypatch.setattr(agent_module, "Reflector", partial(Reflector, longest_pause=0.2))


@pytest_asyncio.fixture
async def replica(make_haproxy: MakeHaproxy, api: FakeApi, servers: Servers) -> AsyncIterator[Replica]:
    """A replica with a hub behind it."""
    haproxy = make_haproxy(hub_port=await servers.start("hub"))
    async with running(haproxy, api) as (agent, client), aiohttp.ClientSession() as session:
        whole = Replica(haproxy, agent, client, api, servers, session)
        await whole.until("/", "hub")
        yield whole
