"""Kubernetes quantities of bytes ("20Gi", "500M", "1e9")."""

from __future__ import annotations

import math
import re
from decimal import Decimal

_SUFFIXES = {
    "": Decimal(1),
    **{f"{unit}i": Decimal(1024) ** power for power, unit in enumerate("KMGTPE", start=1)},
    **{unit: Decimal(1000) ** power for power, unit in enumerate("kMGTPE", start=1)},
}
_QUANTITY = re.compile(
    r"(?P<number>[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE](?P<exponent>[+-]?[0-9]{1,2})|(?P<suffix>[KMGTPE]i|[kMGTPE])?)"
)


def parse(text: str) -> int:
    """Return the bytes of a quantity, rounded up.

    Raises:
        ValueError: the text is no quantity of bytes.
    """
    match = _QUANTITY.fullmatch(text)
    if match is None:
        raise ValueError(f'"{text}" is not a quantity of bytes; write it like 500Mi, 20Gi or 1.5Ti')
    number = Decimal(match["number"]) * Decimal(10) ** int(match["exponent"] or 0) * _SUFFIXES[match["suffix"] or ""]
    return math.ceil(number)


def show(size: int) -> str:
    """Return a size in bytes as people read it, in binary units."""
    power = min((max(1, abs(size)).bit_length() - 1) // 10, 4)
    amount = f"{size / 1024**power:.2f}".rstrip("0").rstrip(".")
    return f"{amount} {('B', 'KiB', 'MiB', 'GiB', 'TiB')[power]}"
