"""Keep the start of the hub from waiting for services that run elsewhere.

JupyterHub looks whether each service with an address answers before it adds the routes, and waits for one that does
not: half a minute, or longer where its node is lost. A hub that returns would come up late for want of a page that few
look at. No setting turns that off, so the one method is wrapped; the hub still looks every minute, beside its work.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from jupyterhub.app import JupyterHub

from campus_hub.wrapping import wrap

StartService = Callable[..., Awaitable[bool]]


def at_once(start_service: StartService) -> StartService:
    """Wrap JupyterHub.start_service: only a service that the hub itself runs is waited for."""

    async def start(self: Any, service_name: str, service: Any, ssl_context: Any = None) -> bool:
        if service.managed:
            return await start_service(self, service_name, service, ssl_context)
        self.log.info("Adding external service %s without waiting for it", service_name)
        return True

    return start


def install() -> None:
    """Put the wrapper in place, once."""
    wrap(JupyterHub, "start_service", at_once)
