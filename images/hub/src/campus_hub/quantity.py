"""Sizes as Kubernetes writes them ("20Gi", "500M", "1e9")."""

from __future__ import annotations

import re
from decimal import Decimal

# The API server itself writes 0.1Gi as 107374182400m.
_SUFFIXES = {
    "": Decimal(1),
    **{f"{unit}i": Decimal(1024) ** power for power, unit in enumerate("KMGTPE", start=1)},
    **{unit: Decimal(1000) ** power for power, unit in enumerate("kMGTPE", start=1)},
    **{unit: Decimal(1000) ** -power for power, unit in enumerate("mun", start=1)},
}
_QUANTITY = re.compile(
    r"(?P<number>[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE](?P<exponent>[+-]?[0-9]{1,2})|(?P<suffix>[KMGTPE]i|[numkMGTPE])?)"
)


def parse(text: str) -> Decimal:
    """Return the number of bytes that a quantity stands for. Raises ValueError if it is none."""
    match = _QUANTITY.fullmatch(text)
    if match is None:
        raise ValueError(f'"{text}" is not a size such as 500Mi or 20Gi')
    return Decimal(match["number"]).scaleb(int(match["exponent"] or 0)) * _SUFFIXES[match["suffix"] or ""]
