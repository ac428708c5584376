from __future__ import annotations

import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from campus_csi.accounting import MIB, Ledger, Room, Usage, promisable
from campus_csi.errors import ResourceExhausted
from hypothesis import given
from hypothesis import strategies as st

GIB = 1024**3
sizes = st.integers(min_value=0, max_value=2**50)


def limited(limit: Callable[[], int]) -> Room:
    """Return the room of a pool without snapshots that may promise so much."""
    return Room(limit, lambda *_: sys.maxsize)


def test_the_file_systems_own_needs_come_off() -> None:
    usage = Usage(total=100 * GIB, used=13 * GIB, images=10 * GIB)
    assert promisable(usage, 1.0, 0.0) == 97 * GIB


def test_a_hundredth_at_least_is_kept_back() -> None:
    assert promisable(Usage(total=100 * GIB, used=0, images=0), 1.0, 0.0) == 99 * GIB


def test_a_sparse_pool_promises_no_more_than_its_disk_can_give() -> None:
    usage = Usage(total=100 * GIB, used=0, images=0, reachable=11 * GIB)
    assert promisable(usage, 1.0, 0.0) == 10 * GIB


def test_reserve_and_overcommit() -> None:
    usage = Usage(total=100 * GIB, used=0, images=0)
    assert promisable(usage, 2.0, 0.5) == 99 * GIB


@given(sizes, sizes, sizes, st.none() | sizes, st.floats(0, 0.99))
def test_never_more_than_the_pool_without_overcommit(
    total: int, used: int, images: int, reachable: int | None, reserve: float
) -> None:
    limit = promisable(Usage(total, used, images, reachable), 1.0, reserve)
    assert 0 <= limit <= total
    assert limit % MIB == 0


def test_a_full_ledger_refuses_and_says_by_how_much() -> None:
    ledger = Ledger(limited(lambda: 10 * GIB), {"a": 6 * GIB})
    with pytest.raises(ResourceExhausted, match=r"5 GiB more: 6 GiB of 10 GiB"):
        ledger.promise("b", 5 * GIB)
    ledger.promise("b", 4 * GIB)
    assert ledger.available() == 0


def test_the_same_promise_again_is_free_and_a_larger_one_counts_its_difference() -> None:
    ledger = Ledger(limited(lambda: 10), {"a": 6})
    ledger.promise("a", 6)
    ledger.promise("a", 10)
    assert ledger.promised == 10


def test_disks_keep_their_promise_when_the_limit_falls() -> None:
    limit = 10
    ledger = Ledger(limited(lambda: limit), {"a": 8})
    limit = 5
    ledger.promise("a", 8)
    assert (ledger.promised, ledger.available()) == (8, 0)
    with pytest.raises(ResourceExhausted):
        ledger.promise("a", 9)


@given(st.lists(st.tuples(st.sampled_from("abcd"), st.integers(0, 12) | st.none()), max_size=40))
def test_promises_never_pass_the_limit(steps: list[tuple[str, int | None]]) -> None:
    ledger = Ledger(limited(lambda: 20), {})
    for name, size in steps:
        if size is None:
            ledger.restore(name, None)
            continue
        before = ledger.promised
        try:
            ledger.promise(name, size)
        except ResourceExhausted:
            assert ledger.promised == before
    assert ledger.promised <= 20


def test_promises_made_at_once_never_pass_the_limit() -> None:
    ledger = Ledger(limited(lambda: 50), {})

    def promise(number: int) -> bool:
        try:
            ledger.promise(str(number), 1)
        except ResourceExhausted:
            return False
        return True

    with ThreadPoolExecutor(16) as pool:
        assert sum(pool.map(promise, range(200))) == 50
