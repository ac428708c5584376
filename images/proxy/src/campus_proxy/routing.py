"""The lookup key of a URL: built here for a routespec and by data/key.lua, in the same way, for a request."""

from __future__ import annotations

import re
from urllib.parse import unquote_to_bytes

SAFE = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~@")
"""Bytes that stand for themselves in a key; every other one is written %XX, so a key needs no quoting anywhere."""

MAX_KEY = 1000
"""Longest key of a route, in characters. The lookup looks at four times as many."""

_HOST = re.compile(r"[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*|\[[0-9a-f:.]+\]", re.ASCII)
_STRAY_PERCENT = re.compile(rb"%(?![0-9A-Fa-f]{2})")


class BadRoutespec(ValueError):
    """A routespec that no request could mean, or that could be mistaken for another one."""


def _canonical_segment(segment: bytes) -> str:
    decoded = unquote_to_bytes(_STRAY_PERCENT.sub(b"%25", segment))
    return "".join(chr(byte) if byte in SAFE else f"%{byte:02X}" for byte in decoded)


def _segments(path: str) -> list[str]:
    """Canonical segments of a path, empty ones left out (`//` counts as `/`)."""
    return [_canonical_segment(part) for part in path.encode("utf-8", "surrogateescape").split(b"/") if part]


def path_key(path: str) -> str:
    """The key of a request path: slashes merged, dot segments resolved, percent-encoding canonical, `/` at the end."""
    kept: list[str] = []
    for segment in _segments(path):
        if segment == "..":
            del kept[-1:]
        elif segment != ".":
            kept.append(segment)
    return "/" + "".join(f"{segment}/" for segment in kept)


def host_key(host: str) -> str:
    """The key of a Host header: no port, lower case; empty when it is not a host name or an address."""
    name = host.lower()
    name = name.partition("]")[0] + "]" if name.startswith("[") else name.partition(":")[0]
    return name if _HOST.fullmatch(name) else ""


def routespec_key(routespec: str) -> str:
    """The key of a routespec, `[host]/path/`.

    Raises BadRoutespec, with the reason, for one that is not a prefix of its own key: without slashes at its ends, with
    dot segments (a user named `..` must not capture the whole site), control characters, a bad host, or too long.
    """
    host, slash, path = routespec.partition("/")
    if not slash or (path and not path.endswith("/")):
        raise BadRoutespec("does not begin or end with a slash")
    if any(ord(char) < 0x21 or ord(char) == 0x7F for char in routespec):
        raise BadRoutespec("contains control characters or blanks")
    if any(segment in {".", ".."} for segment in _segments(path)):
        raise BadRoutespec("contains dot segments")
    if host and host_key(host) != host.lower():
        raise BadRoutespec("its host is not a host name")
    key = host.lower() + path_key("/" + path)
    if len(key) > MAX_KEY:
        raise BadRoutespec(f"its key is longer than {MAX_KEY} characters")
    return key
