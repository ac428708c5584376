"""/hub/campus/health: what the hub's watches are doing, for staff and probes."""

from __future__ import annotations

from typing import Any

from jupyterhub.handlers.base import BaseHandler

from campus_hub.reflectors import watches


class CampusHealthHandler(BaseHandler):  # type: ignore[misc]
    """Answers 200 while every watch is healthy, 503 while one is not; the body names them.

    Restarting the hub would not help.
    """

    def get(self) -> None:
        """Write the state of each watch as JSON."""
        found = watches()
        healthy = all(state["healthy"] for state in found.values())
        self.set_status(200 if healthy else 503)
        answer: dict[str, Any] = {"healthy": healthy, "watches": found}
        self.finish(answer)


HANDLERS = [(r"/campus/health$", CampusHealthHandler)]
