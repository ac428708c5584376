"""An HTTP server that answers on all addresses, of IPv4 and IPv6."""

from __future__ import annotations

import contextlib
import socket
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer


class DualStackServer(ThreadingHTTPServer):
    """Listens on addresses of both kinds where the system has both."""

    daemon_threads = True
    address_family = socket.AF_INET6 if socket.has_dualstack_ipv6() else socket.AF_INET

    def __init__(self, port: int, handler: type[BaseHTTPRequestHandler]) -> None:
        """``port`` may be 0 for any that is free."""
        super().__init__(("", port), handler)

    def server_bind(self) -> None:
        """Take addresses of both kinds where the system has both, and ask no name server for the own name."""
        with contextlib.suppress(OSError):
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        # HTTPServer's own would wait for name servers, which a pod without a network has not.
        TCPServer.server_bind(self)
        self.server_name, self.server_port = "", self.server_address[1]
