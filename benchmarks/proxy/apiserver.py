"""The tests' fake Kubernetes API server as a process of its own. Usage: apiserver PORT.

It is no etcd: nothing is stored on a disk and nobody votes. What is added here is what a watch needs under load: each
event is written once and a watch that begins late gets what it missed. POST /bench/students makes students' pods and,
if so wanted, their routes, without a hub; POST /bench/replica lets an agent be known to the hub.
"""

from __future__ import annotations

import asyncio
import bisect
import contextlib
import json
import sys
from typing import Any

from aiohttp import web
from ansible_collections.campus.jupyterhub.tests.unit.images.hub.conftest import (
    NAMESPACE,
    FakeApi,
    Manifest,
    agent_slice,
    student_pod,
)
from campus_hub.routes import Pod, build_slice

HUB = "jupyterhub"
SERVERS = {"app": "jupyterhub", "component": "singleuser-server"}


def student(number: int) -> str:
    """The name of a student."""
    return f"student-{number}"


class Api(FakeApi):
    """Lists and watches as the real one: page by page, and from a resource version on."""

    def __init__(self) -> None:
        super().__init__()
        self.events: list[tuple[int, str, dict[str, str], bytes]] = []
        self.news = asyncio.Event()

    def _tell(self, kind: str, manifest: Manifest, event: str) -> None:
        line = json.dumps({"type": event, "object": manifest}).encode() + b"\n"
        self.events.append((self.version, kind, manifest["metadata"].get("labels") or {}, line))
        self.news.set()

    async def list(self, request: web.Request) -> web.StreamResponse:
        """List a page, or watch."""
        kind, selector = request.match_info["kind"], request.query.get("labelSelector", "")
        if request.query.get("watch", "").lower() == "true":
            return await self._watch(request, kind, selector)
        found = [manifest for manifest in self.of(kind) if self.matches(manifest, selector)]
        first = int(request.query.get("continue") or 0)
        last = first + int(request.query.get("limit") or len(found))
        more = {"continue": str(last)} if last < len(found) else {}
        metadata = {"resourceVersion": str(self.version), **more}
        return web.json_response({"items": found[first:last], "metadata": metadata})

    async def _watch(self, request: web.Request, kind: str, selector: str) -> web.StreamResponse:
        terms = dict(term.split("=") for term in selector.split(",") if term)
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        seen = bisect.bisect_right(self.events, int(request.query.get("resourceVersion") or 0), key=lambda it: it[0])
        with contextlib.suppress(TimeoutError, ConnectionResetError):
            async with asyncio.timeout(float(request.query.get("timeoutSeconds", 300))):
                while True:
                    fresh, seen = self.events[seen:], len(self.events)
                    lines = [line for _version, of, has, line in fresh if of == kind and terms.items() <= has.items()]
                    if lines:
                        await response.write(b"".join(lines))
                    elif not fresh:
                        await self._next()
        return response

    async def _next(self) -> None:
        if self.news.is_set():
            self.news = asyncio.Event()
        await self.news.wait()

    async def students(self, request: web.Request) -> web.Response:
        """Make pods that run, from number `first` on: one a target (address, port), with routes to them or without."""
        told = await request.json()
        for number, (address, port) in enumerate(told["targets"], told["first"]):
            self._student(student(number), address, port, told["routes"])
        return web.json_response({})

    def _student(self, name: str, address: str, port: int, routed: bool) -> None:
        manifest = student_pod(f"jupyter-{name}", name, ip=address)
        manifest["metadata"] |= {"labels": dict(SERVERS), "uid": f"uid-{name}"}
        self.put("pods", manifest)
        if routed:
            pod = Pod(NAMESPACE, f"jupyter-{name}", f"uid-{name}", address)
            data: dict[str, Any] = {"user": name, "server_name": ""}
            target = f"http://{address}:{port}"
            route = build_slice(HUB, NAMESPACE, f"/user/{name}/", target=target, data=data, pod=pod)
            self.put("endpointslices", route)

    async def replica(self, request: web.Request) -> web.Response:
        """Let a replica's agent be an endpoint of Service proxy-agent."""
        told = await request.json()
        self.put("endpointslices", agent_slice(told["name"], "127.0.0.1", told["port"]))
        return web.json_response({})


def build() -> web.Application:
    """The application."""
    api = Api()
    app = api.app()
    app._client_max_size = 1 << 24
    app.router.add_post("/bench/students", api.students)
    app.router.add_post("/bench/replica", api.replica)
    return app


if __name__ == "__main__":
    web.run_app(build(), host="127.0.0.1", port=int(sys.argv[1]), print=lambda *_words: None, access_log=None)
