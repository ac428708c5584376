"""The address of a Service, without a name server."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from urllib.parse import urlsplit


def service_address(url: str, env: Mapping[str, str]) -> str:
    """Return the address that the kubelet gave for the Service that a URL names; empty for any other host."""
    name = (urlsplit(url).hostname or "").upper().replace("-", "_")
    try:
        return str(ipaddress.ip_address(env.get(f"{name}_SERVICE_HOST", "")))
    except ValueError:
        return ""
