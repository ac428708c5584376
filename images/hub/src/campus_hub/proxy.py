"""JupyterHub's side of the replicated proxy: routes are EndpointSlices, the replicas acknowledge them."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any, TypeVar

from jupyterhub.proxy import Proxy
from kubespawner import KubeSpawner
from prometheus_client import Counter
from traitlets import Bool, Float, Unicode, default

from campus_hub.lost import LostReplicas
from campus_hub.reflectors import SliceReflector
from campus_hub.replicas import Replicas
from campus_hub.routes import (
    Manifest,
    Pod,
    Route,
    RouteRefused,
    build_slice,
    owner_uid,
    parse_slice,
    same_route,
    selector,
    slice_name,
)
from campus_hub.spawner import own_namespace
from campus_hub.state import exit_code
from campus_hub.store import RouteStore, StoreError

LATE = Counter(
    "campus_hub_late_routes_total",
    "Routes that could not be written or deleted in time and were left to the background",
)

T = TypeVar("T")


class EndpointSliceProxy(Proxy):  # type: ignore[misc]
    """Writes one EndpointSlice a route.

    The proxy itself runs on its own and is neither started nor stopped by the hub.
    """

    should_start = Bool(False, help="The proxy is not the hub's to start.")

    name = Unicode(
        "jupyterhub",
        config=True,
        help="Name of the hub: prefix of its routes and value of their label hub.jupyter.org/name.",
    )
    namespace = Unicode(config=True, help="Namespace of the routes. Default: the hub's own.")
    agent_namespace = Unicode(
        config=True, help="Namespace of the Service of the routes agents. Default: that of the routes."
    )
    agent_service = Unicode(
        "proxy-agent", config=True, help="Service whose endpoints are the routes agents of all replicas."
    )
    agent_port = Unicode("agent", config=True, help="Name of the agents' port.")
    silent_replica_timeout = Float(
        5, config=True, help="Seconds to wait for a replica to acknowledge a route before going on without it."
    )
    route_timeout = Float(
        30,
        config=True,
        help="Seconds to try to write or delete a route before the hub goes on and the background takes over.",
    )
    request_timeout = Float(10, config=True, help="Seconds for one call of the API server.")

    @default("namespace")  # type: ignore[untyped-decorator]
    def _default_namespace(self) -> str:
        return own_namespace()

    @default("agent_namespace")  # type: ignore[untyped-decorator]
    def _default_agent_namespace(self) -> str:
        return str(self.namespace)

    delete_lost_replicas = Bool(
        True,
        config=True,
        help="Delete the pod of a replica from which nothing comes back while another answers: its node may be lost.",
    )

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if getattr(self.app, "internal_ssl", False):
            raise RouteRefused(
                "JupyterHub.internal_ssl cannot be used: the proxy speaks plain http to servers; set it to false"
            )
        self.store = RouteStore(self.namespace, self.request_timeout)
        self._replicas: Replicas | None = None
        self._checking = asyncio.Lock()
        # The newest intention for each routespec: what is left to the background stops when a newer one comes.
        self._intentions: dict[str, object] = {}
        self._locks: dict[str, asyncio.Lock] = {}
        self._background: set[asyncio.Task[None]] = set()
        self._watching = False

    @property
    def replicas(self) -> Replicas:
        """The proxy's replicas; the watch begins with the first use."""
        if self._replicas is None:
            reflector = SliceReflector(
                parent=self,
                namespace=self.agent_namespace,
                labels={"kubernetes.io/service-name": self.agent_service},
            )
            self._replicas = Replicas(reflector, self.agent_port, self.log)
        return self._replicas

    # What JupyterHub calls

    async def add_route(self, routespec: str, target: str, data: Mapping[str, Any]) -> None:
        """Write a route and wait until the replicas have it.

        Takes at most route_timeout (or the server's start_timeout, if that is less) plus silent_replica_timeout. A
        slow or absent API server or replica is logged, never raised: JupyterHub answers an error here by stopping the
        student's server. Raises RouteRefused for a route that can never work and for a pod that is gone, StoreError
        where the API server forbids it.
        """
        routespec = self.validate_routespec(routespec)
        if routespec == self.hub.routespec:
            return
        if routespec == "/":
            raise RouteRefused("route /: what no other route takes always goes to the hub; choose a longer path")
        bound = self.route_timeout
        if spawner := self._spawner(data):
            bound = min(bound, spawner.start_timeout)

        async def write() -> tuple[Manifest, bool]:
            pod = await self._pod(spawner) if spawner else None
            return await self._write(
                build_slice(self.name, self.namespace, routespec, target=target, data=data, pod=pod)
            )

        result = await self._intend(routespec, write, bound)
        if result is None or not result[1]:
            return
        metadata = result[0]["metadata"]
        await self.replicas.wait_until_applied(
            metadata["name"], metadata["uid"], metadata["resourceVersion"], self.silent_replica_timeout
        )

    async def delete_route(self, routespec: str) -> None:
        """Delete a route; one that is not there is fine.

        A slow API server is left to the background after route_timeout.
        """
        routespec = self.validate_routespec(routespec)
        if routespec == self.hub.routespec:
            return
        await self._intend(routespec, lambda: self.store.delete(slice_name(self.name, routespec)), self.route_timeout)

    async def get_all_routes(self) -> dict[str, Route]:
        """Return every route by its routespec, the hub's own among them.

        Raises StoreError after route_timeout without an answer.
        """
        # Begin to watch the replicas before the first route is added.
        self.replicas.known()
        slices = await self._retry(lambda: self.store.list(selector(self.name)), self.route_timeout)
        routes = {self.hub.routespec: {"routespec": self.hub.routespec, "target": self.hub.host, "data": {"hub": True}}}
        for item in slices:
            route = parse_slice(item)
            if route is None:
                self.log.warning("EndpointSlice %s has the labels of a route but holds none", item["metadata"]["name"])
            elif route["routespec"] != self.hub.routespec:
                routes[route["routespec"]] = route
        return routes

    async def check_routes(
        self, user_dict: Mapping[Any, Any], service_dict: Mapping[str, Any], routes: dict[str, Route] | None = None
    ) -> None:
        """Add what is missing, and delete what is stale, but no route of a running pod.

        A hub that has just returned, or whose database is older than the servers, does not know better than the API
        server which servers run. Never raises: JupyterHub would not start. The routes are read anew, since those
        given may have waited in a queue.
        """
        self._watch_replicas()
        async with self._checking:
            try:
                found = await self.get_all_routes()
                guarded = await self._running_unknown(found, user_dict)
                for routespec in sorted(guarded):
                    self.log.warning("Keeping route %s: the hub knows no such server, but its pod runs", routespec)
                trusted = {routespec: route for routespec, route in found.items() if routespec not in guarded}
                await super().check_routes(user_dict, service_dict, trusted)
            except Exception:
                self.log.exception("The routes could not be checked; trying again at the next check")

    # How it is done

    def _watch_replicas(self) -> None:
        """Begin to look for lost replicas, unless that was done."""
        if self.delete_lost_replicas and not self._watching:
            self._watching = True
            lost = LostReplicas(self.replicas, lambda pod: self.store.delete_pod(pod, self.agent_namespace), self.log)
            self._spawn_task(lost.watch())

    async def _running_unknown(self, routes: Mapping[str, Route], user_dict: Mapping[Any, Any]) -> set[str]:
        """Return the routes of running pods whose servers the hub does not hold ready or pending."""
        known = {
            spawner.proxy_spec
            for user in user_dict.values()
            for spawner in user.spawners.values()
            if spawner.ready or spawner.pending
        }
        doubtful = [route for routespec, route in routes.items() if routespec not in known and route.get("pod")]
        running = await asyncio.gather(*(self._pod_runs(route["pod"]) for route in doubtful))
        return {route["routespec"] for route, runs in zip(doubtful, running, strict=True) if runs}

    async def _pod_runs(self, pod: Pod) -> bool:
        """Say whether a pod still runs; when the API server cannot tell, it does."""
        try:
            found = await self.store.read_pod(pod.name, pod.namespace)
        except StoreError as error:
            self.log.warning("Cannot tell whether pod %s runs: %s", pod.name, error)
            return True
        return found is not None and found["metadata"]["uid"] == pod.uid and exit_code(found) is None

    def _spawner(self, data: Mapping[str, Any]) -> Any:
        """Return the KubeSpawner behind a user's route, None for any other route."""
        if "user" not in data:
            return None
        spawner = self.app.users[data["user"]].spawners[data.get("server_name", "")]
        return spawner if isinstance(spawner, KubeSpawner) else None

    async def _pod(self, spawner: Any) -> Pod:
        """Return the spawner's pod, from its watch or else from the API server.

        Raises RouteRefused if it is gone, StoreError.
        """
        reflector = spawner.pod_reflector
        manifest = reflector.pods.get(f"{spawner.namespace}/{spawner.pod_name}") if reflector else None
        if not (manifest and manifest.get("status", {}).get("podIP")):
            manifest = await self.store.read_pod(spawner.pod_name, spawner.namespace)
        address = (manifest or {}).get("status", {}).get("podIP")
        if manifest is None or not address:
            raise RouteRefused(f"pod {spawner.namespace}/{spawner.pod_name} is gone, so it gets no route")
        return Pod(spawner.namespace, spawner.pod_name, manifest["metadata"]["uid"], address)

    async def _write(self, wanted: Manifest) -> tuple[Manifest, bool]:
        """Make the API server hold the slice.

        Return it as stored and whether anything was written. Raises StoreError.
        """
        name = wanted["metadata"]["name"]
        while True:
            try:
                return await self.store.create(wanted), True
            except StoreError as error:
                if error.status != 409:
                    raise
            try:
                existing = await self.store.read(name)
                if same_route(existing, wanted):
                    return existing, False
                metadata = existing["metadata"]
                if owner_uid(existing) != owner_uid(wanted) or existing["addressType"] != wanted["addressType"]:
                    # Another pod's: the garbage collector may be about to delete it by its uid, so the new one needs
                    # a new uid.
                    await self.store.delete(name, metadata["uid"])
                    continue
                body = {**wanted, "metadata": {**wanted["metadata"], "resourceVersion": metadata["resourceVersion"]}}
                return await self.store.replace(body), True
            except StoreError as error:
                # It changed or went away meanwhile.
                if error.status not in (404, 409):
                    raise

    async def _intend(self, routespec: str, act: Callable[[], Awaitable[T]], bound: float) -> T | None:
        """Do something to a route; after bound seconds let the background finish it, unless a newer wish comes.

        Raises what act raises, but not a StoreError that may pass.
        """
        intention = self._intentions[routespec] = object()
        lock = self._locks.setdefault(routespec, asyncio.Lock())
        done: asyncio.Future[T] = asyncio.get_running_loop().create_future()

        async def keep_trying() -> None:
            try:
                async with lock:
                    done.set_result(await self._retry(act, None, lambda: self._intentions.get(routespec) is intention))
            except _SupersededError:
                done.cancel()
            except Exception as error:
                done.set_exception(error)
            finally:
                if self._intentions.get(routespec) is intention:
                    del self._intentions[routespec]
                    self._locks.pop(routespec, None)

        task = self._spawn_task(keep_trying())
        finished, _pending = await asyncio.wait([done], timeout=bound)
        if finished:
            return None if done.cancelled() else done.result()
        LATE.inc()
        self.log.error(
            "Route %s is not in the Kubernetes API after %.0f s; trying on in the background", routespec, bound
        )
        task.add_done_callback(lambda _: self._report(routespec, done))
        return None

    def _report(self, routespec: str, done: asyncio.Future[Any]) -> None:
        """Log how the background ended."""
        if done.cancelled() or not done.done():
            return
        if error := done.exception():
            self.log.error("Route %s: %s", routespec, error)
        else:
            self.log.info("Route %s is in the Kubernetes API at last", routespec)

    def _spawn_task(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)
        return task

    async def _retry(
        self, act: Callable[[], Awaitable[T]], bound: float | None, wanted: Callable[[], bool] = lambda: True
    ) -> T:
        """Repeat an API call with growing pauses (0.1 to 5 s) while its failure may pass.

        Raises the StoreError once bound seconds are over or when it cannot pass, _SupersededError when it is no
        longer wanted.
        """
        loop = asyncio.get_running_loop()
        deadline = None if bound is None else loop.time() + bound
        delay = 0.1
        while wanted():
            try:
                return await act()
            except StoreError as error:
                if not error.passing or (deadline is not None and loop.time() + delay > deadline):
                    raise
                self.log.warning("Kubernetes API: %s; trying again in %.1f s", error, delay)
            await asyncio.sleep(delay * random.uniform(0.8, 1.2))
            delay = min(delay * 2, 5)
        raise _SupersededError


class _SupersededError(Exception):
    """A newer wish for the same route has come."""
