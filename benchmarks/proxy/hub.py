"""The hub's side of both proxies, in a process of its own that prints JSON: JupyterHub's own class for the peer.

Usage: hub ours|chp API-URL add|add-one-by-one|check FIRST STUDENTS PORT. The students have real spawners; only
JupyterHub's application is a stand-in.
"""

from __future__ import annotations

import asyncio
import json
import logging
import statistics
import sys
import time
from collections.abc import Awaitable
from types import SimpleNamespace
from typing import Any
from unittest import mock

from ansible_collections.campus.jupyterhub.benchmarks.proxy.apiserver import HUB, student
from ansible_collections.campus.jupyterhub.benchmarks.proxy.chp import TOKEN
from ansible_collections.campus.jupyterhub.tests.unit.images.hub.conftest import NAMESPACE, FakeUser, Hub
from campus_hub.proxy import EndpointSliceProxy
from campus_hub.spawner import CampusSpawner
from jupyterhub.proxy import ConfigurableHTTPProxy
from kubernetes_asyncio.client import Configuration

SECONDS_PER_TICK = 0.001


def users(hub: Hub, first: int, count: int, port: int) -> list[FakeUser]:
    """Students whose servers run, known to the hub, from number `first` on."""
    return [_user(hub, student(number), port) for number in range(first, first + count)]


def _user(hub: Hub, name: str, port: int) -> FakeUser:
    user = FakeUser(name)
    spawner = CampusSpawner(
        _mock=True,
        user=user,
        orm_spawner=SimpleNamespace(name="", server=None, state=None),
        proxy_spec=user.proxy_spec,
        namespace=NAMESPACE,
        pod_name=f"jupyter-{name}",
    )
    user.spawners[""] = spawner
    hub.add(spawner, f"http://127.0.0.1:{port}")
    return user


async def our_proxy(hub: Hub) -> Any:
    """The collection's class, its watches begun as in a hub that has run for a while."""
    proxy = EndpointSliceProxy(app=hub, hub=hub.hub, name=HUB, namespace=NAMESPACE, log=logging.getLogger("hub"))
    await proxy.replicas.reflector.loaded()
    first = next(iter(hub.users.values())).spawners[""]
    await first._start_watching_pods()
    return proxy


def chp_proxy(hub: Hub, url: str) -> Any:
    """JupyterHub's class for configurable-http-proxy, with its own defaults."""
    options = {"api_url": url, "auth_token": TOKEN, "should_start": False}
    return ConfigurableHTTPProxy(app=hub, hub=hub.hub, log=logging.getLogger("hub"), **options)


async def longest_hold(stop: asyncio.Event) -> float:
    """The longest time, in seconds, for which nothing else could run in the hub's thread."""
    worst = 0.0
    while not stop.is_set():
        asleep = time.perf_counter()
        await asyncio.sleep(SECONDS_PER_TICK)
        worst = max(worst, time.perf_counter() - asleep - SECONDS_PER_TICK)
    return worst


async def measure(work: Awaitable[object]) -> dict[str, float]:
    """Await something; seconds of wall time, of the thread's processor time, and the longest hold of the thread."""
    stop = asyncio.Event()
    watcher = asyncio.create_task(longest_hold(stop))
    await asyncio.sleep(0.01)
    wall, thread = time.perf_counter(), time.thread_time()
    await work
    wall, thread = time.perf_counter() - wall, time.thread_time() - thread
    stop.set()
    return {"seconds": wall, "thread_seconds": thread, "longest_hold": await watcher}


async def add(proxy: Any, everybody: list[FakeUser], concurrency: int) -> dict[str, float]:
    """Let every student's server be ready at the same moment, or one after the other."""
    turns, times = asyncio.Semaphore(concurrency), []

    async def one(user: FakeUser) -> None:
        async with turns:
            began = time.perf_counter()
            await proxy.add_user(user)
            times.append(time.perf_counter() - began)

    figures = await measure(asyncio.gather(*(one(user) for user in everybody)))
    return {**figures, "median": statistics.median(times), "p95": statistics.quantiles(times, n=20)[-1]}


async def check(proxy: Any, hub: Hub) -> dict[str, float]:
    """A check that finds everything well. The one before it adds the hub's own route, where that is missing."""
    await proxy.check_routes(hub.users, {})
    return await measure(proxy.check_routes(hub.users, {}))


async def main() -> None:
    """Measure one thing."""
    peer, url, task = sys.argv[1:4]
    first, count, port = (int(word) for word in sys.argv[4:7])
    logging.basicConfig(level=logging.ERROR)
    hub = Hub()
    for module in ("campus_hub.store", "kubespawner.spawner"):
        mock.patch(f"{module}.load_config", return_value=None).start()
    Configuration.set_default(Configuration(host=url))
    everybody = users(hub, first, count, port)
    proxy = await our_proxy(hub) if peer == "ours" else chp_proxy(hub, url)
    if task == "check":
        figures = await check(proxy, hub)
    else:
        figures = await add(proxy, everybody, 1 if task == "add-one-by-one" else count)
    print(json.dumps(figures))
    if peer == "ours":
        await proxy.replicas.reflector.stop()
        await CampusSpawner._stop_all_reflectors()


if __name__ == "__main__":
    asyncio.run(main())
