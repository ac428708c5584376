"""Where the hub is while no name server answers: at the address that its Service had when the server started."""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Mapping
from urllib.parse import urlsplit

ADDRESS_ENV = "CAMPUS_HUB_ADDRESS"
NAME_SECONDS = 2.0
"""How long the name server may take."""


async def reachable(url: str, env: Mapping[str, str]) -> str:
    """Return the URL, with the hub's address for its name where that is known and the name leads nowhere."""
    address = env.get(ADDRESS_ENV, "")
    if not address:
        return url
    try:
        async with asyncio.timeout(NAME_SECONDS):
            await asyncio.get_running_loop().getaddrinfo(urlsplit(url).hostname, None)
    except (OSError, TimeoutError):
        return by_address(url, address)
    return url


def by_address(url: str, address: str) -> str:
    """Return the URL with an IP address for its host. Raises ValueError for what is no address."""
    parts = urlsplit(url)
    ip = ipaddress.ip_address(address)
    host = f"[{ip}]" if ip.version == 6 else str(ip)
    return parts._replace(netloc=f"{host}:{parts.port}" if parts.port else host).geturl()
