"""A small Kubernetes API over real HTTP, proxy replicas that acknowledge, and spawners that use them."""

from __future__ import annotations

import asyncio
import itertools
import json
import logging
import ssl
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import pytest
from aiohttp import web
from ansible_collections.campus.jupyterhub.tests.unit.waiting import LoopClock
from campus_hub.proxy import EndpointSliceProxy
from campus_hub.spawner import CampusSpawner
from jupyterhub import orm
from kubernetes_asyncio.client import Configuration
from kubespawner import KubeSpawner

NAMESPACE = "jupyterhub"
Manifest = dict[str, Any]
Fault = Callable[[web.Request], int | None]


class FakeApi:
    """Stores what is posted, streams watches, and fails on demand: `fault` may return a status instead of an answer."""

    def __init__(self) -> None:
        self.objects: dict[tuple[str, str], Manifest] = {}
        self.versions = itertools.count(1)
        self.version = 0
        self.fault: Fault = lambda request: None
        self.calls: list[tuple[str, str]] = []
        # Everything that ever happened, for watches that begin later: version, kind, event.
        self.history: list[tuple[int, str, Manifest]] = []
        self.watchers: list[tuple[str, str, asyncio.Queue[Manifest]]] = []
        self.kubelet = False
        self.address = "10.1.2.3"
        self.url = ""

    def app(self) -> web.Application:
        """Return the application."""
        app = web.Application()
        for prefix in ("/api/v1", "/apis/discovery.k8s.io/v1", "/apis/coordination.k8s.io/v1"):
            base = prefix + "/namespaces/{namespace}/{kind}"
            app.router.add_get(base, self._guarded(self.list))
            app.router.add_post(base, self._guarded(self.create))
            app.router.add_get(base + "/{name}", self._guarded(self.read))
            app.router.add_put(base + "/{name}", self._guarded(self.replace))
            app.router.add_patch(base + "/{name}", self._guarded(self.patch))
            app.router.add_delete(base + "/{name}", self._guarded(self.delete))
        return app

    def _guarded(self, handler: Callable[[web.Request], Any]) -> Callable[[web.Request], Any]:
        async def guarded(request: web.Request) -> web.StreamResponse:
            self.calls.append((request.method, request.match_info["kind"]))
            status = self.fault(request)
            if status is not None:
                return self.error(status)
            answer: web.StreamResponse = await handler(request)
            return answer

        return guarded

    @staticmethod
    def error(status: int) -> web.Response:
        """Return a Status object."""
        return web.json_response(
            {"kind": "Status", "status": "Failure", "message": f"made to fail: {status}"}, status=status
        )

    def put(self, kind: str, manifest: Manifest, event: str = "ADDED") -> Manifest:
        """Store an object and tell the watchers."""
        self.version = next(self.versions)
        metadata = manifest["metadata"]
        metadata.setdefault("namespace", NAMESPACE)
        metadata.setdefault("uid", str(uuid.uuid4()))
        metadata.setdefault("creationTimestamp", datetime.now(UTC).isoformat(timespec="seconds"))
        metadata["resourceVersion"] = str(self.version)
        self.objects[kind, metadata["name"]] = manifest
        self._tell(kind, manifest, event)
        return manifest

    def drop(self, kind: str, name: str) -> None:
        """Delete an object and tell the watchers."""
        self.version = next(self.versions)
        gone = self.objects.pop((kind, name))
        gone["metadata"]["resourceVersion"] = str(self.version)
        self._tell(kind, gone, "DELETED")

    def _tell(self, kind: str, manifest: Manifest, event: str) -> None:
        told = {"type": event, "object": json.loads(json.dumps(manifest))}
        self.history.append((self.version, kind, told))
        for watched, selector, queue in self.watchers:
            if watched == kind and self.matches(manifest, selector):
                queue.put_nowait(told)

    @staticmethod
    def matches(manifest: Manifest, selector: str) -> bool:
        """Say whether an object has the labels of an equality selector."""
        labels = manifest["metadata"].get("labels") or {}
        return all(
            labels.get(key) == value
            for key, _unused, value in (part.partition("=") for part in selector.split(",") if part)
        )

    def of(self, kind: str) -> list[Manifest]:
        """Return the objects of a kind."""
        return [manifest for (stored, _unused), manifest in self.objects.items() if stored == kind]

    async def list(self, request: web.Request) -> web.StreamResponse:
        """List or watch."""
        kind, selector = request.match_info["kind"], request.query.get("labelSelector", "")
        if request.query.get("watch") == "True":
            return await self._watch(request, kind, selector)
        found = [manifest for manifest in self.of(kind) if self.matches(manifest, selector)]
        return web.json_response({"items": found, "metadata": {"resourceVersion": str(self.version)}})

    async def _watch(self, request: web.Request, kind: str, selector: str) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        watcher = (kind, selector, asyncio.Queue[Manifest]())
        self.watchers.append(watcher)
        # What happened since the list; nothing can come between this and the news.
        seen = int(request.query["resourceVersion"])
        for version, happened, told in self.history:
            if version > seen and happened == kind and self.matches(told["object"], selector):
                watcher[2].put_nowait(told)
        try:
            async with asyncio.timeout(float(request.query.get("timeoutSeconds", 5))):
                while True:
                    await response.write(json.dumps(await watcher[2].get()).encode() + b"\n")
        except TimeoutError:
            pass
        finally:
            self.watchers.remove(watcher)
        return response

    async def read(self, request: web.Request) -> web.Response:
        """Return one object."""
        found = self.objects.get((request.match_info["kind"], request.match_info["name"]))
        return self.error(404) if found is None else web.json_response(found)

    async def create(self, request: web.Request) -> web.Response:
        """Create an object."""
        kind, manifest = request.match_info["kind"], await request.json()
        if (kind, manifest["metadata"]["name"]) in self.objects:
            return self.error(409)
        if kind == "pods":
            manifest["status"] = {"phase": "Pending"}
        answer = web.json_response(self.put(kind, manifest), status=201)
        if kind == "pods" and self.kubelet:
            asyncio.get_running_loop().call_later(0.02, self._run_pod, manifest)
        return answer

    def _run_pod(self, manifest: Manifest) -> None:
        name = manifest["metadata"]["name"]
        if self.objects.get(("pods", name)) is manifest:
            manifest["status"] = student_pod(name, "", ip=self.address)["status"]
            self.put("pods", manifest, "MODIFIED")

    async def replace(self, request: web.Request) -> web.Response:
        """Replace an object of the same resourceVersion."""
        kind, name, manifest = request.match_info["kind"], request.match_info["name"], await request.json()
        old = self.objects.get((kind, name))
        if old is None:
            return self.error(404)
        if manifest["metadata"].get("resourceVersion") != old["metadata"]["resourceVersion"]:
            return self.error(409)
        manifest["metadata"]["uid"] = old["metadata"]["uid"]
        return web.json_response(self.put(kind, manifest, "MODIFIED"))

    async def patch(self, request: web.Request) -> web.Response:
        """Merge a patch of the same resourceVersion, if it names one; what is null goes."""
        kind, name, patch = request.match_info["kind"], request.match_info["name"], await request.json()
        assert request.content_type == "application/merge-patch+json"
        old = self.objects.get((kind, name))
        if old is None:
            return self.error(404)
        if (
            patch["metadata"].get("resourceVersion", old["metadata"]["resourceVersion"])
            != old["metadata"]["resourceVersion"]
        ):
            return self.error(409)
        return web.json_response(self.put(kind, merged(old, patch), "MODIFIED"))

    async def delete(self, request: web.Request) -> web.Response:
        """Delete an object, of the uid in the preconditions if there is one."""
        kind, name = request.match_info["kind"], request.match_info["name"]
        old = self.objects.get((kind, name))
        if old is None:
            return self.error(404)
        body = await request.json() if request.can_read_body else {}
        wanted = ((body or {}).get("preconditions") or {}).get("uid")
        if wanted and wanted != old["metadata"]["uid"]:
            return self.error(409)
        self.drop(kind, name)
        return web.json_response({"kind": "Status", "status": "Success"})


def merged(old: Manifest, patch: Manifest) -> Manifest:
    """Return an object with a JSON merge patch applied."""
    new = {**old}
    for key, value in patch.items():
        if isinstance(value, dict):
            new[key] = merged(old.get(key) or {}, value)
        elif value is None:
            new.pop(key, None)
        else:
            new[key] = value
    return new


class Replica:
    """A proxy replica's agent.

    mode: follow (has every slice at once), silent (never), stale (has another version), dead (hangs up).
    """

    def __init__(self, api: FakeApi, name: str) -> None:
        self.api, self.name = api, name
        self.mode = "follow"
        self.port = 0
        self.asked: list[dict[str, str]] = []

    async def acknowledge(self, request: web.Request) -> web.StreamResponse:
        """Answer as the agent does: 200 by equality of uid and resourceVersion, 408 after the timeout."""
        query = dict(request.query)
        self.asked.append(query)
        if self.mode == "dead":
            assert request.transport is not None
            request.transport.close()
            return web.Response()
        stored = self.api.objects.get(("endpointslices", query["name"]))
        applied = (stored or {"metadata": {}})["metadata"]
        if self.mode == "stale":
            applied = {"uid": applied.get("uid"), "resourceVersion": "0"}
        if self.mode != "silent" and (applied.get("uid"), applied.get("resourceVersion")) == (
            query["uid"],
            query["resourceVersion"],
        ):
            return web.json_response({"applied": True})
        await asyncio.sleep(float(query["timeout"]))
        return web.json_response({"applied": False, "reason": "not yet"}, status=408)


async def serve(app: web.Application) -> tuple[web.AppRunner, int]:
    """Serve an application on a free loopback port."""
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port: int = runner.addresses[0][1]
    return runner, port


@pytest.fixture
async def api(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[FakeApi]:
    """A fake API server that the real Kubernetes client of the process talks to."""
    # The API is plain HTTP; loading the machine's certificates for each client is most of a test's time.
    monkeypatch.setattr(ssl, "create_default_context", lambda **options: ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
    fake = FakeApi()
    runner, port = await serve(fake.app())
    fake.url = f"http://127.0.0.1:{port}"
    before = Configuration._default
    Configuration.set_default(Configuration(host=fake.url))
    for module in ("campus_hub.store", "kubespawner.spawner"):
        monkeypatch.setattr(f"{module}.load_config", lambda **kwargs: None)
    yield fake
    await KubeSpawner._stop_all_reflectors()
    Configuration._default = before
    await runner.cleanup()


@pytest.fixture
async def replicas(api: FakeApi) -> AsyncIterator[list[Replica]]:
    """Two replicas, known to the API server as endpoints of proxy-agent."""
    found, runners = [], []
    for name in ("proxy-0", "proxy-1"):
        replica = Replica(api, name)
        app = web.Application()
        app.router.add_get("/acknowledge", replica.acknowledge)
        runner, replica.port = await serve(app)
        runners.append(runner)
        found.append(replica)
        api.put("endpointslices", agent_slice(name, "127.0.0.1", replica.port))
    yield found
    for runner in runners:
        await runner.cleanup()


def agent_slice(pod: str, address: str, port: int, **conditions: bool) -> Manifest:
    """Return a slice of Service proxy-agent with one replica."""
    return {
        "metadata": {"name": f"proxy-agent-{pod}", "labels": {"kubernetes.io/service-name": "proxy-agent"}},
        "addressType": "IPv4",
        "endpoints": [{"addresses": [address], "conditions": conditions, "targetRef": {"kind": "Pod", "name": pod}}],
        "ports": [{"name": "agent", "port": port}],
    }


def student_pod(name: str, user: str, server: str = "", ip: str = "10.1.2.3", **status: Any) -> Manifest:
    """Return a running pod as KubeSpawner makes it."""
    annotations = {"hub.jupyter.org/username": user} | ({"hub.jupyter.org/servername": server} if server else {})
    return {
        "metadata": {"name": name, "labels": {"component": "singleuser-server"}, "annotations": annotations},
        "spec": {
            "containers": [
                {
                    "name": "notebook",
                    "ports": [{"name": "notebook-port", "containerPort": 8888}],
                    "env": [{"name": "JUPYTERHUB_API_TOKEN", "value": f"token-of-{user}"}],
                }
            ]
        },
        "status": {
            "phase": "Running",
            "podIP": ip,
            "containerStatuses": [{"name": "notebook", "ready": True, "state": {"running": {}}}],
            **status,
        },
    }


@pytest.fixture
async def clock(monkeypatch: pytest.MonkeyPatch) -> LoopClock:
    """The clock of the test's event loop."""
    return LoopClock(monkeypatch)


class FakeUser:
    """As much of JupyterHub's User as spawners and the proxy look at."""

    def __init__(self, name: str) -> None:
        self.name, self.id, self.url = name, 1, f"/user/{name}/"
        self.proxy_spec = f"/user/{name}/"
        self.spawners: dict[str, Any] = {}


Spawn = Callable[..., CampusSpawner]


@pytest.fixture
def spawn(api: FakeApi) -> Iterator[Spawn]:
    """Return a function that makes a CampusSpawner for a user and server name."""

    def make(user: str = "ann", server: str = "", **traits: Any) -> CampusSpawner:
        owner = FakeUser(user)
        spawner = CampusSpawner(
            _mock=True,
            user=owner,
            orm_spawner=SimpleNamespace(name=server, server=None, state=None),
            proxy_spec=f"/user/{user}/" + (f"{server}/" if server else ""),
            namespace=NAMESPACE,
            **{"k8s_api_request_timeout": 30, "k8s_api_request_retry_timeout": 60} | traits,
        )
        owner.spawners[server] = spawner
        return spawner

    yield make
    KubeSpawner.reflectors.clear()


class Hub:
    """The parts of JupyterHub that the proxy class sees."""

    def __init__(self) -> None:
        self.users: dict[str, FakeUser] = {}
        self.hub = SimpleNamespace(routespec="/", host="http://hub:8081")
        self.internal_ssl = False
        self.subdomain_host = ""

    def add(self, spawner: CampusSpawner, address: str = "http://10.1.2.3:8888") -> FakeUser:
        """Let the hub know a server and take it for ready."""
        user: FakeUser = spawner.user
        self.users[user.name] = user
        parts = urlsplit(address)
        spawner.orm_spawner.server = orm.Server(
            proto="http", ip=parts.hostname, port=parts.port, base_url=user.url, cookie_name=""
        )
        return user


@pytest.fixture
def hub() -> Hub:
    """A hub without users."""
    return Hub()


@pytest.fixture
async def proxy(api: FakeApi, hub: Hub) -> EndpointSliceProxy:
    """The proxy class with bounds that no slow machine reaches; a test of a bound puts the clock forward."""
    return EndpointSliceProxy(
        app=hub,
        hub=hub.hub,
        namespace=NAMESPACE,
        route_timeout=600,
        silent_replica_timeout=600,
        request_timeout=60,
        delete_lost_replicas=False,
        log=logging.getLogger("test"),
    )


def fail(kind: str, method: str, status: int) -> Any:
    """Return a fault for one kind and method."""

    def fault(request: web.Request) -> int | None:
        return status if (request.method, request.match_info["kind"]) == (method, kind) else None

    return fault


async def start(spawner: CampusSpawner) -> str:
    """Start as the hub does, without the profile."""
    url: str = await asyncio.wait_for(spawner.start(), 60)
    return url


@pytest.fixture
async def kubelet(api: FakeApi) -> None:
    """Run every pod soon after it is created."""
    api.kubelet = True
