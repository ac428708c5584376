# Copyright: campus.jupyterhub contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""An API server that answers what a client asks to find kinds of objects, and lists them a page at a time."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

Json = dict[str, Any]

PAGE = 2
KINDS = {
    "/api/v1": {"persistentvolumeclaims": "PersistentVolumeClaim"},
    "/apis/batch/v1": {"cronjobs": "CronJob", "jobs": "Job"},
    "/apis/snapshot.storage.k8s.io/v1": {"volumesnapshots": "VolumeSnapshot"},
}


def _group(path: str) -> Json:
    name, version = path.removeprefix("/apis/").split("/")
    about = {"groupVersion": f"{name}/{version}", "version": version}
    return {"name": name, "versions": [about], "preferredVersion": about}


def _kinds(path: str) -> Json:
    resources = [
        {"name": plural, "singularName": kind.lower(), "namespaced": True, "kind": kind, "verbs": ["list", "get"]}
        for plural, kind in KINDS[path].items()
    ]
    return {"kind": "APIResourceList", "groupVersion": path.partition("/apis/")[2] or "v1", "resources": resources}


FIXED: dict[str, Json] = {
    "/version": {"major": "1", "minor": "36", "gitVersion": "v1.36.3"},
    "/api": {"kind": "APIVersions", "versions": ["v1"]},
    "/apis": {"kind": "APIGroupList", "groups": [_group(path) for path in KINDS if path.startswith("/apis/")]},
    **{path: _kinds(path) for path in KINDS},
}


class FakeApi(ThreadingHTTPServer):
    """The server; ``objects`` are by kind in the plural, ``asked`` are the lists that were asked for."""

    daemon_threads = True

    def __init__(self) -> None:
        self.objects: dict[str, list[Json]] = {}
        self.asked: list[tuple[str, str]] = []
        super().__init__(("127.0.0.1", 0), _Handler)

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: FakeApi

    def do_GET(self) -> None:
        asked = urlsplit(self.path)
        query = parse_qs(asked.query)
        path = asked.path.rstrip("/")
        fixed = FIXED.get(path)
        data = json.dumps(fixed if fixed is not None else self._page(path.rpartition("/")[2], query)).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _page(self, plural: str, query: dict[str, list[str]]) -> Json:
        self.server.asked.append((plural, query["labelSelector"][0]))
        items = self.server.objects.get(plural, [])
        begin = int(query.get("continue", ["0"])[0])
        more = {"continue": str(begin + PAGE)} if begin + PAGE < len(items) else {}
        return {"kind": "List", "apiVersion": "v1", "metadata": more, "items": items[begin : begin + PAGE]}

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing."""


@contextmanager
def running() -> Iterator[FakeApi]:
    """Have a server as long as the block lasts."""
    server = FakeApi()
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
