# Copyright: campus.jupyterhub contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Kubernetes quantities such as 500m, 2Gi or 1e3, read the way the API server reads them."""

from __future__ import annotations

import math
import re
from decimal import Decimal
from typing import Final

_BINARY: Final = {"Ki": 1, "Mi": 2, "Gi": 3, "Ti": 4, "Pi": 5, "Ei": 6}
_DECIMAL: Final = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_QUANTITY: Final = re.compile(
    r"(?P<number>[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+))(?:(?P<suffix>[KMGTPE]i|[numkMGTPE])|[eE](?P<exponent>[+-]?[0-9]{1,3}))?"
)


def parse(value: object) -> Decimal:
    """The number a quantity stands for: cores for a CPU, bytes for memory or disk.

    Raises:
        ValueError: the value is not a quantity; the message is one sentence.
    """
    match = None if isinstance(value, bool) else _QUANTITY.fullmatch(str(value))
    if match is None:
        raise ValueError(f"{value!r} is not a Kubernetes quantity such as 500m, 2 or 10Gi.")
    number = Decimal(match["number"])
    suffix = match["suffix"] or ""
    if suffix in _BINARY:
        return number * Decimal(1024) ** _BINARY[suffix]
    return number.scaleb(int(match["exponent"]) if match["exponent"] else _DECIMAL[suffix])


def to_bytes(value: object) -> int:
    """Bytes of a memory or disk size, rounded up as Kubernetes does.

    Raises:
        ValueError: not a quantity, or not above zero; the message is one sentence.
    """
    number = parse(value)
    if number <= 0:
        raise ValueError(f"{value!r} is not a size above zero.")
    return math.ceil(number)
