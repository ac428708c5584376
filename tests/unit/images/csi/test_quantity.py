from __future__ import annotations

import pytest
from campus_csi import quantity
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 0),
        ("1024", 1024),
        ("1k", 1000),
        ("1Ki", 1024),
        ("20Gi", 20 * 1024**3),
        ("1.5Gi", 3 * 512 * 1024**2),
        (".5Gi", 512 * 1024**2),
        ("1e9", 10**9),
        ("1E3", 1000),
        ("1E", 10**18),
        ("1.0001", 2),
    ],
)
def test_quantities_are_bytes_rounded_up(text: str, size: int) -> None:
    assert quantity.parse(text) == size


@pytest.mark.parametrize("text", ["", "Gi", "20 Gi", "20gb", "-1Gi", "ten", "1Ki1", "1e", "٣Gi"])
def test_anything_else_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match="20Gi"):
        quantity.parse(text)


@given(st.integers(min_value=0, max_value=2**60))
def test_plain_numbers_are_themselves(size: int) -> None:
    assert quantity.parse(str(size)) == size


@pytest.mark.parametrize(
    ("size", "text"), [(0, "0 B"), (512, "512 B"), (1536, "1.5 KiB"), (20 * 1024**3, "20 GiB"), (2**50, "1024 TiB")]
)
def test_sizes_are_shown_as_people_read_them(size: int, text: str) -> None:
    assert quantity.show(size) == text
