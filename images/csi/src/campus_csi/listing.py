"""Lists in pages, whose tokens stay good while things come and go."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Protocol, TypeVar

from .errors import Aborted, InvalidArgument

_TOKEN = re.compile(r"[0-9]{20}-(disk|snap)-[0-9a-f]{40}")


class Listed(Protocol):
    """What has a place in a list."""

    @property
    def token(self) -> str:
        """The place."""


T = TypeVar("T", bound=Listed)


def page(things: Iterable[T], token: str, entries: int) -> tuple[list[T], str]:
    """Return at most `entries` things (0: all) after `token`, and the token for the rest, empty when there is none.

    Raises:
        InvalidArgument: `entries` is negative.
        Aborted: the token is not one of ours.
    """
    if entries < 0:
        raise InvalidArgument("max_entries cannot be negative")
    if token and not _TOKEN.fullmatch(token):
        raise Aborted(f'"{token}" is not a token of this list; begin again without one')
    rest = [thing for thing in things if thing.token > token]
    shown = rest[:entries] if entries else rest
    return shown, shown[-1].token if len(shown) < len(rest) else ""
