"""What a hub does that waits for the Lease: answer the probes on the hub's port, under any base URL."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager

from tornado.httpserver import HTTPServer
from tornado.web import Application, RequestHandler

RETRY_SECONDS = 5


class HealthHandler(RequestHandler):  # type: ignore[misc]
    """All is well: this hub waits."""

    def get(self) -> None:
        """Answer the probe."""
        self.finish({"standby": True})


class AwayHandler(RequestHandler):  # type: ignore[misc]
    """Nobody is sent here by the Service."""

    def prepare(self) -> None:
        """Refuse whatever is asked."""
        self.set_status(503)
        self.set_header("Retry-After", str(RETRY_SECONDS))
        self.finish("This hub waits for another one to end.\n")


def application() -> Application:
    """Return what is served on the hub's port meanwhile."""
    return Application(
        [(r"(?:/.*)?/hub/health", HealthHandler), (r".*", AwayHandler)], log_function=lambda handler: None
    )


@contextmanager
def answering(port: int, address: str = "") -> Iterator[None]:
    """Answer on a port within a running event loop. Raises OSError when the port is taken."""
    server = HTTPServer(application())
    server.listen(port, address=address)
    try:
        yield
    finally:
        # The listening socket is closed at once: JupyterHub needs the port.
        server.stop()


def wait(won: Future[None], port: int | None) -> None:
    """Block until the future is done, answering the probes on a port if one is given.

    Raises what the future holds, OSError. JupyterHub makes a loop of its own later, so this one is never the thread's.
    """
    loop = asyncio.new_event_loop()
    try:
        loop.run_until_complete(_wait(won, port))
    finally:
        loop.close()


async def _wait(won: Future[None], port: int | None) -> None:
    done = asyncio.wrap_future(won)
    if port is None:
        await done
        return
    with answering(port):
        await done
