"""HTTP for the probes and for Prometheus: /healthz, /readyz, /metrics."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

_log = logging.getLogger(__name__)
Answer = Callable[[], tuple[bool, str]]


def serve(port: int, answers: Mapping[str, Answer]) -> ThreadingHTTPServer:
    """Serve the answers by path on all addresses in a thread of its own; not good ones as 503.

    Raises:
        OSError: the port is taken.
    """

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer = answers.get(self.path)
            if answer is None:
                self.send_error(404)
                return
            try:
                good, text = answer()
            except Exception as error:
                _log.exception("%s failed", self.path)
                good, text = False, f"{error}\n"
            body = text.encode()
            self.send_response(200 if good else 503)
            self.send_header("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            _log.debug(format, *args)

    server = ThreadingHTTPServer(("", port), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, name="health", daemon=True).start()
    return server
