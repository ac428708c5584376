"""The command campus-hub: load everything, wait for the Lease, and then be JupyterHub in the same process.

All options are JupyterHub's own.
"""

from __future__ import annotations

import asyncio
import importlib
import logging
import os
import signal
import sys
import threading
from collections.abc import Iterable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from typing import NoReturn

from kubernetes_asyncio import config
from kubernetes_asyncio.client import ApiClient

from campus_hub import fence, mark
from campus_hub.election import Election
from campus_hub.kube import HubLease, HubPods, KubeError
from campus_hub.lease import Candidate, Times

PORT = 8081
LEASE = "hub"
LEAST_SECONDS = 3

# Seconds between two looks at the hub's port, and at most for giving the Lease back.
GLANCE = 0.05
RELEASE_SECONDS = 5

# Among them what JupyterHub would load only when it needs it.
MODULES = (
    "campus_hub.config",
    "campus_hub.proxy",
    "campus_hub.spawner",
    "jupyterhub.app",
    "alembic.command",
    "alembic.config",
    "psycopg",
    "sqlalchemy.dialects.postgresql.psycopg",
)

log = logging.getLogger("campus_hub")


class SettingsError(ValueError):
    """An environment that the command cannot work with; the message says what to do."""


@dataclass(frozen=True)
class Place:
    """Where this hub runs. me: the holder that it enters into the Lease.

    standby: a second hub is wanted, which waits and is Ready; so the first one ends when it cannot renew the Lease.
    """

    namespace: str
    pod: str
    me: str
    standby: bool
    times: Times


def place(env: Mapping[str, str]) -> Place:
    """Read the environment. Raises SettingsError."""
    seconds = env.get("CAMPUS_LEASE_SECONDS", "6")
    if not seconds.isascii() or not seconds.isdigit() or int(seconds) < LEAST_SECONDS:
        raise SettingsError(f"CAMPUS_LEASE_SECONDS is {seconds!r}; use a whole number, {LEAST_SECONDS} or more")
    names = ("POD_NAMESPACE", "POD_NAME", "POD_UID")
    if missing := [name for name in names if not env.get(name)]:
        raise SettingsError(f"{', '.join(missing)} must be set, from the pod's own fields")
    namespace, pod, uid = (env[name] for name in names)
    return Place(namespace, pod, f"{pod}_{uid}", env.get("CAMPUS_STANDBY") == "true", Times.of(int(seconds)))


class Elector(threading.Thread):
    """The election, in a thread and an event loop of its own: a busy hub must not keep the Lease from being renewed.

    unlabelled: done once this pod does not carry the label of the hub that serves.
    won: done once the Lease was taken.
    """

    def __init__(self, where: Place) -> None:
        super().__init__(name="lease", daemon=True)
        self.unlabelled: Future[None] = Future()
        self.won: Future[None] = Future()
        self._pod = where.pod
        self._namespace = where.namespace
        self._candidate = Candidate(where.me, where.times, where.standby)
        self._loop = asyncio.new_event_loop()
        self._starting = threading.Event()
        self._election: Election | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._released = False

    def run(self) -> None:
        """Take and keep the Lease; end the process when it is lost, or when nobody looks after it any more."""
        try:
            self._loop.run_until_complete(self._run())
            log.critical("The Lease is lost; ending at once")
        except BaseException:
            log.critical("Nobody renews the Lease any more; ending at once", exc_info=True)
        end(1)

    def hub_starts(self) -> None:
        """Let the Service find this hub as soon as its port answers."""
        self._starting.set()

    def release(self) -> None:
        """Stop and give the Lease back; called when the hub has stopped. Never raises."""
        fence.FENCE.close()
        try:
            asyncio.run_coroutine_threadsafe(self._release(), self._loop).result(RELEASE_SECONDS)
        except (KubeError, TimeoutError) as error:
            log.warning("The Lease could not be given back, others have to wait for its end: %s", error)

    async def _run(self) -> None:
        async with ApiClient() as client:
            lease = HubLease(client, self._namespace, LEASE)
            self._election = Election(self._candidate, lease, fence.FENCE, fence.now)
            running = self._election.run(self._tell)
            labels = self._label(HubPods(client, self._namespace))
            self._tasks = [asyncio.create_task(work) for work in (running, labels)]
            # Neither ends unless the Lease is lost, or given back, or something is wrong.
            done, others = await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)
            if self._released:
                await asyncio.Event().wait()
            for task in others:
                task.cancel()
            for task in done:
                task.result()

    async def _release(self) -> None:
        self._released = True
        if self._election is not None:
            for task in self._tasks:
                task.cancel()
            await asyncio.wait(self._tasks)
            await self._election.release()

    def _tell(self) -> None:
        if not self.won.done():
            log.info("This hub holds the Lease")
            self.won.set_result(None)

    async def _label(self, pods: HubPods) -> None:
        await mark.clear(pods, self._pod)
        self.unlabelled.set_result(None)
        await asyncio.shield(asyncio.wrap_future(self.won))
        await mark.keep(pods, self._pod, fence.FENCE, self._serving)

    async def _serving(self) -> None:
        """Wait until JupyterHub accepts connections."""
        while True:
            if self._starting.is_set():
                try:
                    _reader, writer = await asyncio.open_connection("127.0.0.1", PORT)
                except OSError:
                    pass
                else:
                    writer.close()
                    return
            await asyncio.sleep(GLANCE)


def end(code: int) -> NoReturn:
    """End the process now, whatever its other threads do."""
    os._exit(code)


def load(modules: Iterable[str]) -> None:
    """Import what JupyterHub would import later."""
    for module in modules:
        importlib.import_module(module)


def log_as_the_hub_does() -> None:
    """Write to the container's log in JupyterHub's own format."""
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("[%(levelname).1s %(asctime)s %(name)s] %(message)s"))
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    log.propagate = False


def main() -> None:
    """Be the hub."""
    log_as_the_hub_does()
    # Until JupyterHub minds the signal itself. The first process of a container has no default to fall back on.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        where = place(os.environ)
        config.load_incluster_config()
    except (SettingsError, config.ConfigException) as error:
        sys.exit(f"campus-hub: {error}")
    elector = Elector(where)
    elector.start()
    try:
        be_the_hub(elector, where.standby)
    finally:
        elector.release()


def be_the_hub(elector: Elector, standby: bool) -> None:
    """Load, wait, run JupyterHub and return when it has stopped."""
    # The Lease is watched meanwhile.
    load(MODULES)
    from jupyterhub.app import JupyterHub  # noqa: PLC0415  (not before the election has begun)

    from campus_hub.standby import wait  # noqa: PLC0415

    wait(elector.unlabelled, None)
    log.info("Waiting for the Lease")
    wait(elector.won, PORT if standby else None)
    elector.hub_starts()
    JupyterHub.launch_instance(sys.argv[1:])
