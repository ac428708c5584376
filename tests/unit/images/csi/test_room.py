"""Whatever snapshots hold, each disk can be filled to its size: the rule against a pool that is simulated by blocks."""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import pytest
from campus_csi.accounting import MIB, Copying, Ledger, Member, Room, Usage, needed, promisable, spare
from campus_csi.errors import ResourceExhausted
from hypothesis import given
from hypothesis import strategies as st

GIB = 1024**3


@pytest.mark.parametrize(
    ("promises", "members", "overcommit", "expected"),
    [
        ({}, [], 1.0, 0),
        ({"a": 10}, [], 1.0, 10),
        ({"a": 10}, [("a", "a", 4)], 1.0, 6),
        ({"a": 10}, [("a", "a", 11)], 1.0, 0),
        # All that a disk has is shared with the snapshot just taken: all of it may have to be written anew.
        ({"a": 10}, [("a", "a", 4), ("s", "a", 4, "a")], 1.0, 10),
        # It has written 3 more since: these are surely its own, however many snapshots there are.
        ({"a": 10}, [("a", "a", 7), ("s", "a", 4, "a")], 1.0, 7),
        ({"a": 10}, [("a", "a", 7), ("s", "a", 4, "a"), ("t", "a", 4, "a"), ("u", "a", 3, "a")], 1.0, 7),
        # Another disk's snapshot shares nothing with it.
        ({"a": 10}, [("a", "a", 4), ("s", "b", 4, "b")], 1.0, 6),
        # A restored disk and its snapshot; the first disk is gone.
        ({"b": 10}, [("b", "a", 4), ("s", "a", 4, "a")], 1.0, 10),
        # It may share one block with the one, and one with the other.
        ({"b": 10}, [("b", "a", 2), ("s", "a", 1, "a"), ("t", "a", 1, "a")], 1.0, 10),
        # With a further disk, the snapshots both come from may be gone.
        ({"a": 10, "b": 10}, [("a", "a", 9), ("b", "a", 4), ("s", "a", 2, "a")], 1.0, 17),
        ({"a": 10, "b": 20}, [("a", "a", 4), ("b", "b", 5)], 1.0, 21),
        ({"a": 10}, [("a", "a", 4)], 2.0, 1),
        ({"a": 10}, [("a", "a", 8)], 2.0, 0),
    ],
)
def test_what_disks_may_yet_need(
    promises: dict[str, int], members: list[tuple[Any, ...]], overcommit: float, expected: int
) -> None:
    assert needed(promises, itertools.starmap(Member, members), overcommit) == expected


def test_a_snapshot_may_hold_what_no_disk_was_promised() -> None:
    usage = Usage(total=100 * GIB, used=21 * GIB, images=20 * GIB)
    disk = Member("a", "a", 20 * GIB)
    plan = Copying(Member("s", "a", 20 * GIB, "a"), 0)
    assert spare(usage, [disk], {"a": 60 * GIB}) == 39 * GIB
    assert spare(usage, [disk], {"a": 60 * GIB}, [plan]) == 18 * GIB
    # Once it is there, the plan is no longer counted.
    assert spare(replace(usage, images=40 * GIB), [disk, plan.member], {"a": 60 * GIB}, [plan]) == 18 * GIB


def test_a_copy_belongs_to_its_family_before_its_record_is_known() -> None:
    usage = Usage(total=100 * GIB, used=20 * GIB, images=40 * GIB)
    disk, plan = Member("a", "a", 20 * GIB), Copying(Member("b", "a", 20 * GIB), 0)
    promises = {"a": 30 * GIB, "b": 30 * GIB}
    there = spare(usage, [disk, plan.member], promises)
    assert spare(usage, [disk, Member("b", "b", 20 * GIB)], promises, [plan]) == there == 19 * GIB


def test_a_copy_of_all_data_takes_its_size_at_once() -> None:
    usage = Usage(total=100 * GIB, used=21 * GIB, images=20 * GIB)
    disk = Member("a", "a", 20 * GIB)
    plan = Copying(Member("s", "s", 20 * GIB, "a"), 20 * GIB)
    assert spare(usage, [disk], {"a": 60 * GIB}, [plan]) == 19 * GIB
    # Made, but not there yet, the pool counts it as used.
    made, usage = replace(plan, fresh=0), replace(usage, used=41 * GIB)
    assert spare(usage, [disk], {"a": 60 * GIB}, [made]) == 19 * GIB
    assert spare(replace(usage, images=40 * GIB), [disk, made.member], {"a": 60 * GIB}, [plan]) == 19 * GIB


def test_a_sparse_pool_has_no_more_than_its_disk_can_give() -> None:
    usage = Usage(total=100 * GIB, used=1 * GIB, images=0, reachable=31 * GIB)
    assert spare(usage, [], {"a": 10 * GIB}) == 20 * GIB


@given(st.integers(0, 2**40), st.integers(0, 2**30), st.lists(st.tuples(st.integers(0, 2**30), st.integers(0, 2**30))))
def test_without_snapshots_both_limits_are_the_same(total: int, own: int, disks: list[tuple[int, int]]) -> None:
    """A pool on which nothing is shared promises what it always did."""
    members = [Member(str(number), str(number), min(size, taken)) for number, (size, taken) in enumerate(disks)]
    promises = {str(number): size for number, (size, _taken) in enumerate(disks)}
    images = sum(member.taken for member in members)
    usage = Usage(total + own + images, own + images, images)
    left = promisable(usage, 1.0, 0.0) - sum(promises.values())
    assert left <= spare(usage, members, promises) < left + MIB


class Pool:
    """Disks and snapshots as sets of blocks, of one byte each."""

    def __init__(self, total: int) -> None:
        self.total = total
        self.blocks = itertools.count()
        self.disks: dict[str, dict[int, int]] = {}
        self.dirty: dict[str, set[int]] = defaultdict(set)
        """What a student wrote to each disk and the kernel has not yet written back."""
        self.snapshots: dict[str, set[int]] = {}
        self.contents: dict[str, dict[int, int]] = {}
        self.families: dict[str, str] = {}
        self.sources: dict[str, str] = {}
        self.sizes: dict[str, int] = {}
        self.ledger = Ledger(Room(lambda: total, self.spare), {})

    def held(self) -> dict[str, set[int]]:
        return {**{name: set(disk.values()) for name, disk in self.disks.items()}, **self.snapshots}

    def used(self) -> int:
        return len(set().union(*self.held().values()))

    def spare(self, promises: Mapping[str, int], copies: Iterable[Copying]) -> int:
        members = [
            Member(name, self.families[name], len(blocks), self.sources.get(name, ""))
            for name, blocks in self.held().items()
        ]
        images = sum(member.taken for member in members)
        return spare(Usage(self.total, self.used(), images), members, promises, copies)

    def create(self, name: str, size: int) -> None:
        self.ledger.promise(name, size)
        self.disks[name], self.families[name], self.sizes[name] = {}, name, size

    def snapshot(self, name: str, source: str) -> None:
        plan = Copying(Member(name, self.families[source], len(self.disks[source]), source), 0)
        with self.ledger.copying(plan) as made:
            self.write_back(source)
            made(len(self.disks[source]))
            self.snapshots[name], self.contents[name] = set(self.disks[source].values()), dict(self.disks[source])
            self.families[name], self.sources[name] = self.families[source], source
            self.sizes[name] = self.sizes[source]

    def clone(self, name: str, source: str) -> None:
        content = self.disks[source] if source in self.disks else self.contents[source]
        plan = Copying(Member(name, self.families[source], len(content)), 0)
        with self.ledger.copying(plan, self.sizes[source]) as made:
            self.write_back(source)
            made(len(content))
            self.disks[name], self.sizes[name] = dict(content), self.sizes[source]
            self.families[name] = self.families[source]

    def free(self) -> int:
        return self.total - self.used()

    def true_need(self) -> int:
        """Return what all disks may yet need, with full knowledge of who shares which block."""
        holders = Counter(block for blocks in self.held().values() for block in blocks)
        return sum(
            self.sizes[name] - sum(holders[block] == 1 for block in disk.values()) for name, disk in self.disks.items()
        )

    def write(self, name: str, offset: int) -> None:
        """Write a block, in place where nobody shares it; the pool must have room for it."""
        others = set().union(*(blocks for other, blocks in self.held().items() if other != name))
        present = self.disks[name].get(offset)
        if present is None or present in others:
            self.disks[name][offset] = next(self.blocks)
        assert self.used() <= self.total, "a disk met a full pool"

    def change(self, action: str, name: str, offset: int) -> None:
        """Write a block of a disk now, or leave it for later, or discard it."""
        if action == "write":
            self.write(name, offset)
        elif action == "dirty":
            self.dirty[name].add(offset)
        else:
            self.disks[name].pop(offset, None)

    def write_back(self, name: str) -> None:
        """Write what is dirty; a snapshot never is."""
        for offset in self.dirty.pop(name, ()):
            self.write(name, offset)

    def delete(self, name: str) -> None:
        self.dirty.pop(name, None)
        if self.disks.pop(name, None) is not None:
            self.ledger.restore(name, None)
        self.snapshots.pop(name, None)


numbers = st.integers(0, 9)
actions = st.sampled_from(["create", "snapshot", "clone", "write", "dirty", "discard", "delete"])
steps = st.lists(st.tuples(actions, numbers, numbers), max_size=60)


@given(st.integers(0, 40), steps)
def test_no_disk_ever_meets_a_full_pool(total: int, plan: list[tuple[str, int, int]]) -> None:
    pool = Pool(total)
    names = (f"n{number}" for number in itertools.count())
    for action, which, offset in plan:
        disks = list(pool.disks)
        try:
            if action == "create":
                pool.create(next(names), offset + 1)
            elif action == "delete" and pool.held():
                pool.delete(list(pool.held())[which % len(pool.held())])
            elif action == "clone" and pool.held():
                pool.clone(next(names), list(pool.held())[which % len(pool.held())])
            elif disks:
                disk = disks[which % len(disks)]
                if action == "snapshot":
                    pool.snapshot(next(names), disk)
                else:
                    pool.change(action, disk, offset % pool.sizes[disk])
        except ResourceExhausted:
            continue
        assert pool.ledger.spare() <= pool.free() - pool.true_need() >= 0
    for disk, size in pool.sizes.items():
        if disk in pool.disks:
            for offset in range(size):
                pool.write(disk, offset)


def test_a_snapshot_that_could_eat_promised_space_is_refused_and_leaves_nothing() -> None:
    pool = Pool(10)
    pool.create("a", 6)
    for offset in range(4):
        pool.write("a", offset)
    pool.snapshot("first", "a")
    pool.write("a", 0)
    with pytest.raises(ResourceExhausted, match=r"no room for a snapshot.*1 B.*delete snapshots"):
        pool.snapshot("second", "a")
    with pytest.raises(ResourceExhausted, match="no room for a disk"):
        pool.create("b", 1)
    pool.delete("first")
    pool.snapshot("second", "a")


def test_what_is_written_back_for_a_snapshot_is_looked_at_before_it_is_kept() -> None:
    pool = Pool(10)
    pool.create("a", 6)
    pool.dirty["a"] = set(range(5))
    with pytest.raises(ResourceExhausted, match=r"no room for a snapshot.*1 B"):
        pool.snapshot("s", "a")
    assert (pool.snapshots, pool.ledger.spare()) == ({}, 4)
    pool.create("b", 0)
    pool.dirty["a"] = {5}
    pool.disks["a"] = {0: next(pool.blocks)}
    pool.snapshot("s", "a")
    assert pool.ledger.spare() == 2


def test_a_failed_copy_gives_its_promise_back() -> None:
    pool = Pool(20)
    with pytest.raises(OSError, match="full"), pool.ledger.copying(Copying(Member("b", "b", 0), 0), 10):
        raise OSError(28, "full")
    assert (pool.ledger.promised, pool.ledger.spare()) == (0, 20)


def test_copies_under_way_are_counted() -> None:
    pool = Pool(10)
    pool.create("a", 5)
    for offset in range(5):
        pool.write("a", offset)
    pool.create("b", 0)
    with (
        pool.ledger.copying(Copying(Member("s", "a", 5, "a"), 0)),
        pytest.raises(ResourceExhausted),
        pool.ledger.copying(Copying(Member("t", "t", 1), 1)),
    ):
        pass
