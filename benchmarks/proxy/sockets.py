"""The load of websockets, in a process of its own that prints JSON.

Usage: sockets PORTS FIRST LAST SOCKETS SECONDS. Sockets are opened for students FIRST to LAST in turn. Each one sends a
message, waits for its echo and sends the next one. With 0 seconds each socket sends one message; then `open` is
printed, and the sockets stay open until standard input ends.
"""

from __future__ import annotations

import json
import os
import select
import socket
import sys
import time

UPGRADE = (
    "GET /user/student-{student}/api/kernels/x/channels HTTP/1.1\r\nHost: hub.example.org\r\nUpgrade: websocket\r\n"
    "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
TEXT = b"a message of a kernel, about as long as the status messages that make up most of them"
MESSAGE = bytes([0x81, 0x80 | len(TEXT)]) + b"\0\0\0\0" + TEXT
"""A text frame, masked with zeros."""


def connect(port: int, student: int) -> socket.socket:
    """Open a websocket. Raises OSError when the proxy or the server refuses it."""
    sock = socket.create_connection(("127.0.0.1", port), timeout=30)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.sendall(UPGRADE.format(student=student).encode())
    head = b""
    while b"\r\n\r\n" not in head:
        data = sock.recv(4096)
        if not data:
            raise ConnectionError(f"no websocket: {head[:100]!r}")
        head += data
    if b" 101 " not in head.partition(b"\r\n")[0]:
        raise ConnectionError(f"no websocket: {head[:100]!r}")
    return sock


def echo_once(sock: socket.socket) -> None:
    """Send a message and wait until it is back. Raises OSError."""
    sock.sendall(MESSAGE)
    left = len(MESSAGE)
    while left:
        data = sock.recv(left)
        if not data:
            raise ConnectionError("the websocket was closed")
        left -= len(data)


def talk(sockets: list[socket.socket], seconds: float) -> dict[str, float]:
    """Messages a second over all sockets, and the p99 of an echo in milliseconds."""
    poller = select.epoll()
    by_number = {sock.fileno(): sock for sock in sockets}
    got, sent_at = dict.fromkeys(by_number, 0), dict.fromkeys(by_number, 0.0)
    times: list[float] = []
    for number, sock in by_number.items():
        poller.register(number, select.EPOLLIN)
        sent_at[number] = time.perf_counter()
        sock.send(MESSAGE)
    began = time.perf_counter()
    now = began
    while now < began + seconds:
        for number, _event in poller.poll(1):
            sock = by_number[number]
            data = sock.recv(4096)
            if not data:
                raise ConnectionError("a websocket was closed")
            got[number] += len(data)
            if got[number] < len(MESSAGE):
                continue
            now = time.perf_counter()
            times.append(now - sent_at[number])
            got[number], sent_at[number] = 0, now
            sock.send(MESSAGE)
        now = time.perf_counter()
    times.sort()
    return {"rate": len(times) / (now - began), "p99": times[int(len(times) * 0.99)] * 1000}


def main() -> None:
    """Open the sockets and use them."""
    ports = [int(port) for port in sys.argv[1].split(",")]
    students = range(int(sys.argv[2]), int(sys.argv[3]) + 1)
    count, seconds = int(sys.argv[4]), float(sys.argv[5])
    sockets = [connect(ports[number % len(ports)], students[number % len(students)]) for number in range(count)]
    if seconds:
        print(json.dumps(talk(sockets, seconds)))
        return
    for sock in sockets:
        echo_once(sock)
    print("open", flush=True)
    os.read(0, 1)


if __name__ == "__main__":
    main()
