"""What the proxy's tests work with: a small Kubernetes API, servers that say who they are, and a real HAProxy."""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import web
from ansible_collections.campus.jupyterhub.tests.unit.ports import free_port
from campus_proxy import launch
from campus_proxy.haproxy import RouteMap
from campus_proxy.routes import DATA, MANAGED_BY, ROUTESPEC, TARGET, slice_name
from campus_proxy.settings import Settings

NAMESPACE = "campus"
PREFIX = "jupyterhub"
SLICES = f"/apis/discovery.k8s.io/v1/namespaces/{NAMESPACE}/endpointslices"
PODS = f"/api/v1/namespaces/{NAMESPACE}/pods"


def make_slice(
    routespec: str, ip: str = "10.0.0.1", port: int = 8888, pod: str = "pod-1", **extra: Any
) -> dict[str, Any]:
    """A slice as the hub writes it."""
    user = routespec.strip("/").rpartition("/")[2]
    return {
        "metadata": {
            "name": slice_name(PREFIX, routespec),
            "uid": f"uid-{routespec}",
            "resourceVersion": "1",
            "creationTimestamp": "2026-01-01T00:00:00Z",
            "labels": {"endpointslice.kubernetes.io/managed-by": MANAGED_BY},
            "annotations": {ROUTESPEC: json.dumps(routespec), DATA: json.dumps({"user": user, "server_name": ""})},
            **extra,
        },
        "addressType": "IPv6" if ":" in ip else "IPv4",
        "endpoints": [
            {
                "addresses": [ip],
                "conditions": {"ready": True},
                "targetRef": {"kind": "Pod", "namespace": NAMESPACE, "name": pod, "uid": pod},
            }
        ],
        "ports": [{"name": "http", "port": port, "protocol": "TCP"}],
    }


def make_target_slice(routespec: str, target: str, data: dict[str, Any] | None = None) -> dict[str, Any]:
    """A slice of a route without a pod."""
    obj = make_slice(routespec)
    obj["metadata"]["annotations"] |= {TARGET: target, DATA: json.dumps(data or {"service": "x"})}
    return obj | {"endpoints": None, "ports": []}


def make_pod(uid: str = "pod-1", ip: str = "10.0.0.1", phase: str = "Running") -> dict[str, Any]:
    """A student's pod as the API shows it; its uid is its name as well."""
    return {
        "metadata": {"name": uid, "uid": uid, "resourceVersion": "1"},
        "status": {"phase": phase, "podIP": ip, "podIPs": [{"ip": ip}]},
    }


@dataclass
class FakeApi:
    """A Kubernetes API server of two collections that can fall ill."""

    url: str = ""
    mode: str = "well"
    """well, error (500 to everything), hang (no answer, watches fall silent), torn (watches end within a line)."""
    version: int = 100
    oldest: int = 0
    objects: dict[str, dict[str, dict[str, Any]]] = field(default_factory=lambda: {SLICES: {}, PODS: {}})
    history: list[tuple[int, str, str, dict[str, Any]]] = field(default_factory=list)
    news: asyncio.Event = field(default_factory=asyncio.Event)
    cut: asyncio.Event = field(default_factory=asyncio.Event)
    lists: int = 0
    watches: int = 0
    page: int = 1000

    def put(self, path: str, obj: dict[str, Any]) -> dict[str, Any]:
        """Create or replace an object; returns it with its new resource version."""
        name = obj["metadata"]["name"]
        kind = "MODIFIED" if name in self.objects[path] else "ADDED"
        return self._record(path, kind, name, obj)

    def delete(self, path: str, name: str) -> None:
        """Delete an object."""
        self._record(path, "DELETED", name, self.objects[path][name])
        del self.objects[path][name]

    def _record(self, path: str, kind: str, name: str, obj: dict[str, Any]) -> dict[str, Any]:
        self.version += 1
        obj = obj | {"metadata": obj["metadata"] | {"resourceVersion": str(self.version)}}
        self.objects[path][name] = obj
        self.history.append((self.version, path, kind, obj))
        self._wake()
        return obj

    def _wake(self) -> None:
        self.news.set()
        self.news = asyncio.Event()

    def forget_history(self) -> None:
        """Let every watch from before be too old, and end those that run."""
        self.version += 1
        self.oldest = self.version
        self.disconnect()

    def disconnect(self) -> None:
        """End all running watches."""
        self.cut.set()
        self.cut = asyncio.Event()
        self._wake()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer a list or a watch."""
        if self.mode == "hang":
            await asyncio.sleep(3600)
        if self.mode == "error":
            return web.Response(status=500, text="etcd is away")
        assert "app=jupyterhub" in request.query["labelSelector"]
        if request.query.get("watch") == "true":
            return await self._watch(request)
        self.lists += 1
        limit = min(int(request.query["limit"]), self.page)
        start = int(request.query.get("continue") or 0)
        items = list(self.objects[request.path].values())
        more = str(start + limit) if start + limit < len(items) else ""
        metadata = {"resourceVersion": str(self.version), "continue": more}
        return web.json_response({"metadata": metadata, "items": items[start : start + limit]})

    async def _watch(self, request: web.Request) -> web.StreamResponse:
        self.watches += 1
        seen, cut = int(request.query["resourceVersion"]), self.cut
        response = web.StreamResponse()
        await response.prepare(request)
        if seen < self.oldest:
            gone = {"type": "ERROR", "object": {"kind": "Status", "code": 410, "reason": "Expired"}}
            await response.write(json.dumps(gone).encode() + b"\n")
            return response
        while not cut.is_set():
            news = self.news
            for version, path, kind, obj in self.history:
                if version > seen and path == request.path and self.mode == "well":
                    line = json.dumps({"type": kind, "object": obj}).encode() + b"\n"
                    await response.write(line[:20])
                    await response.write(line[20:])
                    seen = version
            if self.mode == "torn":
                await response.write(b'{"type": "MODIFIED", "object": {"meta')
                request.transport.abort()  # type: ignore[union-attr]
                return response
            await news.wait()
        return response


async def _tell(request: web.Request) -> web.StreamResponse:
    name: str = request.app[NAME]
    if request.headers.get("Upgrade", "").lower() == "websocket":
        socket_ = web.WebSocketResponse()
        await socket_.prepare(request)
        async for message in socket_:
            await socket_.send_str(f"{name}:{message.data}")
        return socket_
    size = 0
    async for chunk in request.content.iter_any():
        size += len(chunk)
    answer = {"server": name, "path": request.raw_path, "headers": dict(request.headers), "size": size}
    return web.json_response(answer)


NAME = web.AppKey("name", str)


class Servers:
    """Servers on loopback that tell their name, the raw path, the headers and the body's size."""

    def __init__(self) -> None:
        self._runners: list[web.AppRunner] = []

    async def start(self, name: str, port: int = 0) -> int:
        """Start one; returns its port."""
        app = web.Application(client_max_size=0)
        app[NAME] = name
        app.router.add_route("*", "/{path:.*}", _tell)
        runner = web.AppRunner(app, shutdown_timeout=0.1, handler_cancellation=True, max_line_size=65536)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", port).start()
        self._runners.append(runner)
        return int(runner.addresses[0][1])

    async def stop(self) -> None:
        """Stop all."""
        for runner in self._runners:
            await runner.cleanup()
        self._runners.clear()


@dataclass
class Haproxy:
    """A real HAProxy with the image's own configuration."""

    settings: Settings
    env: dict[str, str]
    hurry: tuple[tuple[str, str], ...] = ()
    """What the configuration says, and what it is to say instead so that a test need not wait."""
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where students come in."""
        return f"http://127.0.0.1:{self.settings.http_port}"

    @property
    def monitor(self) -> str:
        """Where the kubelet asks."""
        return f"http://127.0.0.1:{self.settings.monitor_port}"

    @property
    def route_map(self) -> RouteMap:
        """Its route map."""
        return RouteMap(str(self.settings.socket), str(self.settings.route_map))

    def start(self) -> None:
        """Start it and wait until its socket answers."""
        # The launcher's environment speaks of all interfaces, the test of loopback only.
        config = (launch.DATA / "haproxy.cfg").read_text().replace('"0.0.0.0:', '"127.0.0.1:')
        for slow, fast in self.hurry:
            assert slow in config
            config = config.replace(slow, fast)
        path = self.settings.run_dir / "haproxy.cfg"
        path.write_text(config)
        # A killed test run must leave none behind.
        command = ["setpriv", "--pdeathsig", "KILL", launch.HAPROXY, "-db", "-f", str(path)]
        self.process = subprocess.Popen(command, env=self.env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        end = time.monotonic() + 60
        while not self._answers():
            assert self.process.poll() is None, f"HAProxy ended with {self.process.returncode}"
            assert time.monotonic() < end, "HAProxy does not start"
            time.sleep(0.02)

    def _answers(self) -> bool:
        """Say whether its socket answers; that takes connections before anybody reads them."""
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(5)
            try:
                sock.connect(str(self.settings.socket))
                sock.sendall(b"show info\n")
                return sock.recv(1) != b""
            except OSError:
                return False

    def kill(self) -> None:
        """End it as a crash would."""
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process = None


def make_settings(run_dir: Path, **more: Any) -> Settings:
    """Settings for a replica on loopback."""
    env = {
        "CAMPUS_NAME": PREFIX,
        "CAMPUS_NAMESPACE": NAMESPACE,
        "CAMPUS_RUN_DIR": str(run_dir),
        "CAMPUS_HUB_HOST": "127.0.0.1",
        "CAMPUS_DRAIN_SECONDS": "5",
        "CAMPUS_HTTP_PORT": str(free_port()),
        "CAMPUS_HTTPS_PORT": str(free_port()),
        "CAMPUS_MONITOR_PORT": str(free_port()),
        "CAMPUS_AGENT_PORT": str(free_port()),
        "CAMPUS_MAX_CONNECTIONS": "500",
    }
    return Settings.from_env(env | {f"CAMPUS_{key.upper()}": str(value) for key, value in more.items()})
