"""Sizes as Kubernetes writes them."""

from __future__ import annotations

from decimal import Decimal

import pytest
from campus_hub.quantity import parse


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("0", 0),
        ("1000", 1000),
        ("10Gi", 10 * 1024**3),
        ("1.5Ki", 1536),
        (".5k", 500),
        ("2M", 2_000_000),
        ("1e9", 10**9),
        ("12E2", 1200),
        ("1E", 10**18),
        ("107374182400m", Decimal("107374182.4")),
    ],
)
def test_a_size(text: str, number: Decimal) -> None:
    assert parse(text) == number


@pytest.mark.parametrize("text", ["", "Gi", "ten", "10 Gi", "-1Gi", "10gi", "1e", "None"])
def test_no_size(text: str) -> None:
    with pytest.raises(ValueError, match="is not a size such as"):
        parse(text)
