"""What the page asks about the student's disk."""

from __future__ import annotations

import asyncio
from pathlib import Path

from jupyter_server.base.handlers import APIHandler
from tornado.web import authenticated

from campus_singleuser.space import measure


class DiskHandler(APIHandler):  # type: ignore[misc]
    """Says how full the disk at the student's home is."""

    # A page that is open and asks by itself must not keep an idle server from being culled.
    _track_activity = False

    @authenticated  # type: ignore[untyped-decorator]
    async def get(self) -> None:
        """Answer with what Space tells."""
        # In a thread: a file server that hangs must not take the whole server with it.
        space = await asyncio.to_thread(measure, str(Path.home()))
        self.finish(space.told())
