"""Keep JupyterHub from stopping a server that runs but does not answer its HTTP check.

JupyterHub checks every server when it comes back, and stops the one that fails: a busy student or a slow network
would cost the student the session. No setting turns that off, so the one method is wrapped.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlsplit

from jupyterhub.user import User

from campus_hub.spawner import CampusSpawner
from campus_hub.wrapping import wrap

# Seconds between two tries to connect; JupyterHub's own tries, which follow, pause for up to 5 s.
GLANCE = 0.1

WaitUp = Callable[[Any, Any], Awaitable[Any]]


def patient(wait_up: WaitUp) -> WaitUp:
    """Wrap User._wait_up: only a server that this hub has just created has to answer."""

    async def _wait_up(self: Any, spawner: Any) -> Any:
        if not isinstance(spawner, CampusSpawner):
            return await wait_up(self, spawner)
        if spawner._start_pending and not spawner.adopted:
            await listening(spawner.server.url, spawner.http_timeout)
            return await wait_up(self, spawner)
        try:
            # A taken-over server may still be starting; after a restart of the hub its pod's status is enough.
            if spawner._start_pending:
                await spawner.server.wait_up(http=True, timeout=spawner.http_timeout, extra_path="api")
        except Exception as error:
            self.log.warning("%s runs but does not answer (%s); leaving it alone", spawner._log_name, error)
        finally:
            spawner._waiting_for_response = False
            spawner._start_pending = False
        return spawner

    return _wait_up


async def listening(url: str, bound: float) -> None:
    """Wait until something accepts connections at a URL, at most bound seconds."""
    parts = urlsplit(url)
    try:
        async with asyncio.timeout(bound):
            while True:
                try:
                    _reader, writer = await asyncio.open_connection(parts.hostname, parts.port or 80)
                except OSError:
                    await asyncio.sleep(GLANCE)
                else:
                    writer.close()
                    return
    except TimeoutError:
        return


def install() -> None:
    """Put the wrapper in place, once."""
    wrap(User, "_wait_up", patient)
