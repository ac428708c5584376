"""The service itself: put together, started, tidied up."""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import signal
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import jinja2
from aiohttp import ClientSession
from ansible_collections.campus.jupyterhub.plugins.module_utils._cluster import ClusterError
from jupyterhub.services.auth import HubOAuthCallbackHandler
from jupyterhub.utils import subdomain_hook_idna
from tornado.web import Application

from campus_history import handlers
from campus_history.cluster import Students, connections
from campus_history.looks import Looks
from campus_history.put_backs import PutBacks
from campus_history.settings import PORT, SERVICE, Settings, oauth_environment, settings_of

log = logging.getLogger(__name__)

HERE: Final = Path(__file__).parent
THREADS: Final = 64
"""Most of them wait for the API server."""
TIDY: Final = 30.0
SWEEP: Final = 600.0
LARGEST: Final = 1 << 20
"""Bytes of what a browser may send; whatever it is, it is held in memory before anybody asks who sent it."""
END: Final = 25.0
"""Seconds that tidying up at the end may take; the pod is killed a little later."""


@dataclass
class History:
    """What the handlers work with."""

    settings: Settings
    students: Students
    looks: Looks
    put_backs: PutBacks
    session: ClientSession
    templates: jinja2.Environment


def history(settings: Settings, students: Students, session: ClientSession) -> History:
    """Put it together."""
    return History(
        settings,
        students,
        Looks(students, settings.at_once, settings.idle),
        PutBacks(students, settings.at_once),
        session,
        jinja2.Environment(loader=jinja2.FileSystemLoader(HERE / "templates"), autoescape=True, trim_blocks=True),
    )


def application(parts: History) -> Application:
    """Return the pages."""
    prefix = parts.settings.prefix
    given: dict[str, Any] = {"parts": parts}
    snapshot = f"{prefix}snapshot/([^/]+)"
    return Application(
        [
            (prefix, handlers.Calendar, given),
            (prefix.rstrip("/"), handlers.Slash, given),
            (f"{prefix}oauth_callback", HubOAuthCallbackHandler),
            (f"{prefix}health", handlers.Health),
            (f"{prefix}static/(.*)", handlers.Static, {"path": str(HERE / "static")}),
            (f"{prefix}put-back", handlers.LastPutBack, given),
            (f"{snapshot}/files/(.*)", handlers.Folder, given),
            (f"{snapshot}/file/(.*)", handlers.Download, given),
            (f"{snapshot}/folder/(.*)", handlers.Archive, given),
            (f"{snapshot}/put-back", handlers.PutBack, given),
            (".*", handlers.Missing, given),
        ],
        # One for each start: who has a page open is logged in again without noticing.
        cookie_secret=secrets.token_bytes(32),
        xsrf_cookies=True,
        hub_origin=parts.settings.subdomain_host,
        log_function=handlers.log_request,
    )


async def tidy(parts: History) -> None:
    """End what is not used any more, for ever; now and then remove what was lost sight of."""
    # At first what the page before this one had open: nobody looks any more.
    sweep_in = 0.0
    while True:
        if sweep_in <= 0:
            sweep_in = SWEEP if await swept(parts) else TIDY
        await asyncio.sleep(TIDY)
        sweep_in -= TIDY
        parts.looks.end_idle()


async def swept(parts: History) -> bool:
    """Remove what nobody knows of any more and say whether that could be done."""
    try:
        await asyncio.to_thread(parts.students.sweep, lambda: parts.looks.names | parts.put_backs.names)
    except ClusterError as error:
        log.warning("What is left over cannot be removed yet: %s", error)
        return False
    return True


async def serve() -> None:
    """Run until told to end."""
    settings = settings_of(os.environ)
    hub = urlsplit(settings.subdomain_host).hostname or ""
    os.environ.update(oauth_environment(settings, subdomain_hook_idna(SERVICE, hub, "service") if hub else ""))
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(THREADS))
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    async with ClientSession() as session:
        parts = history(settings, Students(connections(), settings), session)
        tidying = asyncio.create_task(tidy(parts))
        application(parts).listen(PORT, xheaders=True, max_body_size=LARGEST)
        told = asyncio.create_task(ended.wait())
        await asyncio.wait([told, tidying], return_when=asyncio.FIRST_COMPLETED)
        failed = tidying.done()
        tidying.cancel()
        told.cancel()
        await asyncio.wait([asyncio.create_task(parts.looks.end_all())], timeout=END)
        if failed:
            # What nobody foresaw ends the page, so that it is seen and begun anew.
            await tidying


def main() -> None:
    """Run the service."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    # At this level JupyterHub's own log names each cookie that it sets.
    logging.getLogger("tornado.application").setLevel(logging.WARNING)
    asyncio.run(serve())


if __name__ == "__main__":
    main()
