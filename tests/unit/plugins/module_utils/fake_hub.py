"""A small real web server that answers as JupyterHub and a student's server do, for the smoke test's client."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

TOKEN = "canary-token"
PASSWORD = "student-password"
XSRF = "xsrf-of-the-form"


@dataclass
class FakeHub:
    """What the fake hub holds, and how it misbehaves.

    Attributes:
        users: names known to the hub.
        running: names whose server runs.
        requests: method and path of every request, in order.
        fault: name of the fault to show, or an empty string.
        host: the hub's host.
        subdomains: whether each server has a host of its own below the hub's.
    """

    users: set[str] = field(default_factory=lambda: {"canary"})
    running: set[str] = field(default_factory=set)
    requests: list[str] = field(default_factory=list)
    fault: str = ""
    host: str = "127.0.0.1"
    subdomains: bool = False
    url: str = ""

    def host_of(self, user: str) -> str:
        """Host and port of a user's server."""
        port = self.url.rpartition(":")[2]
        return f"{user}.{self.host}:{port}" if self.subdomains else f"{self.host}:{port}"

    def application(self) -> web.Application:
        app = web.Application(middlewares=[self._record])
        app.add_routes(
            [
                web.get("/hub/login", self.login_form),
                web.post("/hub/login", self.login),
                web.get("/hub/home", self.home),
                web.get("/hub/authorize", self.authorize),
                web.get("/user/{user}/callback", self.callback),
                web.get("/hub/api/users/{user}", self.user),
                web.post("/hub/api/users/{user}", self.add_user),
                web.post("/hub/api/users/{user}/server", self.start),
                web.delete("/hub/api/users/{user}/server", self.stop),
                web.get("/hub/api/users/{user}/server/progress", self.progress),
                web.get("/user/{user}/api/status", self.status),
                web.get("/user/{user}/lab", self.lab),
                web.post("/user/{user}/api/kernels", self.kernel),
                web.get("/user/{user}/api/kernels/k1/channels", self.channels),
            ]
        )
        return app

    @web.middleware
    async def _record(self, request: web.Request, handler: Any) -> web.StreamResponse:
        self.requests.append(f"{request.method} {request.path}")
        user = request.match_info.get("user", "") if request.path.startswith("/user/") else ""
        if request.host != (self.host_of(user) if user else f"{self.host}:{self.url.rpartition(':')[2]}"):
            return web.json_response({"status": 404, "message": f"nothing at {request.host}"}, status=404)
        form_paths = ("/hub/login", "/hub/home")
        by_cookie = request.path in form_paths or request.cookies.get("login") == "yes"
        by_cookie = by_cookie or request.query.get("code") == "good"
        if user and not by_cookie and request.path.endswith("/lab"):
            return web.Response(status=302, headers={"Location": f"{self.url}/hub/authorize"})
        if not by_cookie and request.headers.get("Authorization") != f"token {TOKEN}":
            return web.json_response({"status": 403, "message": "Forbidden"}, status=403)
        response: web.StreamResponse = await handler(request)
        return response

    async def login_form(self, request: web.Request) -> web.Response:
        response = web.Response(text="<form>", content_type="text/html")
        response.set_cookie("_xsrf", XSRF, path="/hub/")
        return response

    async def login(self, request: web.Request) -> web.Response:
        form = await request.post()
        if form["_xsrf"] != XSRF or request.cookies.get("_xsrf") != XSRF or form["password"] != PASSWORD:
            return web.Response(status=403, text="Invalid username or password")
        response = web.Response(status=302, headers={"Location": request.query["next"]})
        response.set_cookie("login", "yes", path="/")
        return response

    async def home(self, request: web.Request) -> web.Response:
        return web.Response(text="home")

    async def authorize(self, request: web.Request) -> web.Response:
        back = f"http://{self.host_of('canary')}/user/canary/callback?code=good"
        return web.Response(status=302, headers={"Location": back})

    async def callback(self, request: web.Request) -> web.Response:
        response = web.Response(status=302, headers={"Location": "lab"})
        response.set_cookie("login", "yes", path="/user/canary/")
        return response

    async def user(self, request: web.Request) -> web.Response:
        name = request.match_info["user"]
        if name not in self.users:
            return web.json_response({"status": 404, "message": "Not Found"}, status=404)
        host = "evil.example.org" if self.fault == "elsewhere" else self.host_of(name)
        url = f"http://{host}/user/{name}/" if self.subdomains else f"/user/{name}/"
        servers = {"": {"name": "", "ready": True, "url": url}} if name in self.running else {}
        return web.json_response({"name": name, "servers": servers})

    async def add_user(self, request: web.Request) -> web.Response:
        self.users.add(request.match_info["user"])
        return web.json_response({}, status=201)

    async def start(self, request: web.Request) -> web.Response:
        if self.fault == "quota":
            return web.json_response({"status": 403, "message": "exceeded quota: students"}, status=403)
        self.running.add(request.match_info["user"])
        return web.Response(status=202)

    async def stop(self, request: web.Request) -> web.Response:
        self.running.discard(request.match_info["user"])
        return web.Response(status=204)

    async def progress(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        await response.write(b'data: {"progress": 10, "message": "Server requested"}\n\n')
        if self.fault == "spawn":
            await response.write(b'data: {"failed": true, "message": "Spawn failed: 0/2 nodes are available"}\n\n')
        elif self.fault == "silence":
            while True:
                await response.write(b"\n")
                await asyncio.sleep(0.05)
        elif self.fault != "cut":
            await response.write(b'data: {"ready": true, "message": "Server ready"}\n\n')
        return response

    async def status(self, request: web.Request) -> web.Response:
        if self.fault == "503":
            return web.Response(status=503, text="<p>Hub   down</p>")
        return web.json_response({"kernels": 0})

    async def lab(self, request: web.Request) -> web.Response:
        if self.fault == "oauth":
            raise web.HTTPFound("/hub/home")
        return web.Response(text="lab")

    async def kernel(self, request: web.Request) -> web.Response:
        return web.json_response({"id": "k1"}, status=201)

    async def channels(self, request: web.Request) -> web.StreamResponse:
        if self.fault == "no websocket":
            return web.Response(status=403)
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        asked = json.loads((await socket.receive()).data)
        if self.fault == "dropped":
            await socket.close(code=1001)
            return socket
        for kind, content in self._cell(asked["content"]["code"]):
            message = {"header": {"msg_type": kind}, "parent_header": asked["header"], "content": content}
            await socket.send_str(json.dumps(message))
        await socket.receive()
        return socket

    def _cell(self, code: str) -> list[tuple[str, dict[str, Any]]]:
        result: tuple[str, dict[str, Any]] = ("execute_result", {"data": {"text/plain": {"1+1": "2"}[code]}})
        if self.fault == "error":
            result = ("error", {"ename": "MemoryError", "evalue": "no memory"})
        if self.fault == "wrong":
            result = ("stream", {"text": "3\n"})
        return [
            ("status", {"execution_state": "busy"}),
            result,
            ("execute_reply", {"status": "ok"}),
            ("status", {"execution_state": "idle"}),
        ]


@contextmanager
def serving(hub: FakeHub) -> Iterator[FakeHub]:
    """Serve the fake hub on a free loopback port for the length of the block."""
    loop = asyncio.new_event_loop()
    runner = web.AppRunner(hub.application(), shutdown_timeout=0.1)

    async def start() -> int:
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port: int = runner.addresses[0][1]
        return port

    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    port = asyncio.run_coroutine_threadsafe(start(), loop).result(10)
    hub.url = f"http://{hub.host}:{port}"
    try:
        yield hub
    finally:
        asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()
