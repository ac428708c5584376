"""The servers of all simulated students in one process: says of every path below /user/<name>/ whose it is.

Runs in a pod, with Python and aiohttp alone.
"""

from __future__ import annotations

from aiohttp import web

PORT = 8888
STUDENT = "X-Student"
VERSION = "X-JupyterHub-Version"
"""The hub takes an answer with this header for one of a student's server."""


async def answer(request: web.Request) -> web.Response:
    """Be the server of the student in the path."""
    headers = {STUDENT: request.match_info["student"], VERSION: "6"}
    return web.json_response({"version": "simulated"}, headers=headers)


def farm() -> web.Application:
    """The web application."""
    app = web.Application()
    app.router.add_route("*", "/user/{student}/{rest:.*}", answer)
    return app


if __name__ == "__main__":
    web.run_app(farm(), port=PORT, access_log=None, print=None)
