"""A server of websockets that sends everything back, as cheap as Python can be. Usage: echo PORT.

After the handshake the bytes are returned as they came, masked or not: the client of this benchmark expects that, and
a proxy does not look inside. So the proxy is what is measured, and not the server.
"""

from __future__ import annotations

import base64
import hashlib
import re
import select
import socket
import sys

MAGIC = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
KEY = re.compile(rb"sec-websocket-key:[ \t]*([A-Za-z0-9+/=]+)", re.IGNORECASE)


def accept(request: bytes) -> bytes:
    """The answer to a websocket's request; a plain one gets a short page."""
    found = KEY.search(request)
    if not found:
        return b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
    proof = base64.b64encode(hashlib.sha1(found[1] + MAGIC).digest())
    head = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    return head + b"Sec-WebSocket-Accept: " + proof + b"\r\n\r\n"


def serve(port: int) -> None:
    """Serve until killed."""
    listener = socket.create_server(("127.0.0.1", port), backlog=4096)
    listener.setblocking(False)
    poller = select.epoll()
    poller.register(listener.fileno(), select.EPOLLIN)
    open_: dict[int, socket.socket] = {}
    upgraded: set[int] = set()
    while True:
        for number, _event in poller.poll():
            if number == listener.fileno():
                connection, _address = listener.accept()
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                open_[connection.fileno()] = connection
                poller.register(connection.fileno(), select.EPOLLIN)
                continue
            connection = open_[number]
            try:
                data = connection.recv(65536)
                if data and number in upgraded:
                    connection.sendall(data)
                    continue
                if data:
                    connection.sendall(accept(data))
                    upgraded.add(number)
                    continue
            except OSError:
                pass
            poller.unregister(number)
            upgraded.discard(number)
            del open_[number]
            connection.close()


if __name__ == "__main__":
    serve(int(sys.argv[1]))
