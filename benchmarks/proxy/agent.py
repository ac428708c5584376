"""The real routes agent in a process of its own, set by the environment as in the image. Usage: agent API-URL.

One thing differs: students' servers may have loopback addresses, which the agent refuses elsewhere.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from unittest import mock

from campus_proxy import routes, server
from campus_proxy.kube import Api
from campus_proxy.settings import Settings

_strict = routes.host_address


def loopback_too(text: object) -> str:
    """An address of a host; loopback counts as one here."""
    return str(text) if str(text).startswith("127.") else _strict(text)


def main() -> None:
    """Run until told to end."""
    logging.basicConfig(level=logging.WARNING)
    with (
        mock.patch.object(routes, "host_address", loopback_too),
        mock.patch("campus_proxy.agent.host_address", loopback_too),
        mock.patch.object(Api, "in_cluster", return_value=Api(sys.argv[1])),
    ):
        asyncio.run(server.serve(Settings.from_env()))


if __name__ == "__main__":
    main()
