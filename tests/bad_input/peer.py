"""A server that nobody can use: as a registry it wants a login, as a Kubernetes it is too old."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

OLD_KUBERNETES = {
    "/version": {"major": "1", "minor": "28", "gitVersion": "v1.28.9"},
    "/api": {"kind": "APIVersions", "versions": ["v1"]},
    "/apis": {"kind": "APIGroupList", "groups": []},
    "/api/v1": {"kind": "APIResourceList", "groupVersion": "v1", "resources": []},
}


class Answer(BaseHTTPRequestHandler):
    """Answers what an old API server would say of itself, and 401 to everything else."""

    def do_GET(self) -> None:
        """Answer a request."""
        found = OLD_KUBERNETES.get(self.path.partition("?")[0].rstrip("/"))
        body = json.dumps(found or {"errors": [{"code": "UNAUTHORIZED"}]}).encode()
        self.send_response(200 if found else 401)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        if not found:
            self.send_header("WWW-Authenticate", 'Basic realm="closed"')
        self.end_headers()
        self.wfile.write(body)

    do_HEAD = do_GET

    def log_message(self, format: str, *args: object) -> None:
        """Keep quiet."""


@contextmanager
def peer() -> Iterator[int]:
    """Run the server on loopback; yields its port."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
