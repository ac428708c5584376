# Copyright: campus.jupyterhub contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

from decimal import Decimal

import pytest
from ansible_collections.campus.jupyterhub.plugins.module_utils import _quantity as quantity
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("1", "1"),
        (2, "2"),
        (0.5, "0.5"),
        ("500m", "0.5"),
        ("1.5", "1.5"),
        (".5", "0.5"),
        ("10Gi", "10737418240"),
        ("10G", "10000000000"),
        ("1Ki", "1024"),
        ("1k", "1000"),
        ("1e3", "1000"),
        ("1E", "1000000000000000000"),
        ("1E3", "1000"),
        ("100n", "1E-7"),
        ("-1", "-1"),
    ],
)
def test_a_quantity_is_read_as_the_api_server_reads_it(text: object, number: str) -> None:
    assert quantity.parse(text) == Decimal(number)


@pytest.mark.parametrize(
    "text", ["", "Gi", "10 Gi", "10GB", "10gi", "ten", "1Gi2", "1K", None, True, [], "1e", "1\n", "٣"]
)
def test_anything_else_is_refused_in_one_sentence(text: object) -> None:
    with pytest.raises(ValueError, match=r"is not a Kubernetes quantity such as 500m, 2 or 10Gi\.$"):
        quantity.parse(text)


@pytest.mark.parametrize(("text", "size"), [("1Gi", 1073741824), ("1.5Mi", 1572864), ("1500m", 2), (4096, 4096)])
def test_bytes_are_whole_and_rounded_up(text: object, size: int) -> None:
    assert quantity.to_bytes(text) == size


@pytest.mark.parametrize("text", ["0", "0Gi", "-1Gi"])
def test_a_size_is_above_zero(text: str) -> None:
    with pytest.raises(ValueError, match="above zero"):
        quantity.to_bytes(text)


@given(st.integers(min_value=1, max_value=10**15), st.sampled_from(["Ki", "Mi", "Gi"]))
def test_binary_suffixes_multiply_by_1024(number: int, suffix: str) -> None:
    assert quantity.to_bytes(f"{number}{suffix}") == number * 1024 ** ("Ki", "Mi", "Gi").index(suffix) * 1024
