"""Put a function around a method of JupyterHub that no setting changes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def wrap(owner: type, method: str, wrapper: Callable[[Any], Any]) -> None:
    """Replace a method by what the wrapper makes of it, once.

    What the wrapper returns is a function of the wrapper's own module: that tells whether it is there already.
    """
    present = getattr(owner, method)
    if present.__module__ != wrapper.__module__:
        setattr(owner, method, wrapper(present))
