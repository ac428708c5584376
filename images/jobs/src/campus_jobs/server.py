"""Serves the figures to Prometheus, and says to the kubelet whether they can be believed."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler
from typing import Any

from ansible_collections.campus.jupyterhub.plugins.module_utils._cluster import connect

from campus_jobs.dual_stack import DualStackServer
from campus_jobs.listing import Lister
from campus_jobs.text import TYPE, text

PORT = 8080


class Server(DualStackServer):
    """Answers with what was listed last."""

    def __init__(self, port: int, lister: Lister, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        """``port`` may be 0 for any that is free."""
        self.lister, self.now = lister, now
        super().__init__(port, Handler)


class Handler(BaseHTTPRequestHandler):
    """Answers one request."""

    timeout = 10
    server: Server

    def do_GET(self) -> None:
        """Answer /metrics, /healthz and /ready."""
        lister = self.server.lister
        if self.path == "/metrics":
            self._answer(200, text(lister.figures, lister.age, self.server.now()), TYPE)
        elif self.path == "/healthz":
            self._answer(200, "ok\n")
        elif self.path == "/ready":
            words = "ok" if lister.ready else f"the last listing is {lister.age:.0f} s old"
            self._answer(200 if lister.ready else 503, f"{words}\n")
        else:
            self._answer(404, "Look at /metrics.\n")

    def _answer(self, status: int, body: str, content_type: str = "text/plain; charset=utf-8") -> None:
        data = body.encode()
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing: the kubelet alone asks every few seconds."""


def main() -> None:
    """Run until told to end."""
    # The first process of a container has to say itself what ends it.
    signal.signal(signal.SIGTERM, lambda *_unused: sys.exit(0))
    lister = Lister(lambda: connect(None), os.environ["CAMPUS_NAMESPACE"])
    threading.Thread(target=Server(PORT, lister).serve_forever, daemon=True).start()
    # Here, so that what nobody foresaw ends the container and is seen.
    lister.run(threading.Event())


if __name__ == "__main__":
    main()
