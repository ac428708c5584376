"""Copies of disks at rest and in use, with the kernel's part replaced."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from campus_csi import copies, files, loop, mounts
from campus_csi.copies import Copies
from campus_csi.errors import Aborted, FailedPrecondition, NotFound
from campus_csi.freezing import Freezer
from campus_csi.locks import Locks
from campus_csi.mounts import Mount
from campus_csi.store import Store
from hypothesis import given
from hypothesis import strategies as st

MIB = 1024 * 1024
WORK = b"work of a term"


@given(st.lists(st.tuples(st.booleans(), st.integers(1, 40)), max_size=12))
def test_a_sparse_copy_has_the_same_bytes(
    tmp_path_factory: pytest.TempPathFactory, parts: list[tuple[bool, int]]
) -> None:
    folder = tmp_path_factory.mktemp("sparse")
    source, target = folder / "source", folder / "target"
    with source.open("wb") as handle:
        for data, count in parts:
            if data:
                handle.write(os.urandom(1024 * count))
            else:
                handle.seek(16 * 1024 * count, os.SEEK_CUR)
        handle.truncate(handle.tell())
    files.copy_sparse(source, target)
    assert target.read_bytes() == source.read_bytes()
    assert target.stat().st_blocks <= source.stat().st_blocks + 8


def test_a_copy_that_takes_too_long_is_given_up(tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(WORK)
    with pytest.raises(TimeoutError):
        files.copy_sparse(tmp_path / "source", tmp_path / "target", seconds=-1)


def test_nothing_is_copied_over(tmp_path: Path) -> None:
    for name in ("source", "target"):
        (tmp_path / name).write_bytes(WORK)
    with pytest.raises(FileExistsError):
        files.copy_sparse(tmp_path / "source", tmp_path / "target")


class Still(Freezer):
    """Freezes nothing, but remembers what it was asked to."""

    def __init__(self) -> None:
        super().__init__(None)
        self.log: list[str] = []

    @contextmanager
    def frozen(self, mount: Mount) -> Iterator[None]:
        self.log.append(f"freeze {mount.path}")
        yield
        self.log.append("thaw")


def make_image(path: Path, size: int) -> None:
    path.write_bytes(WORK)


class Parts:
    """One disk with something on it, and what copies it."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.store = Store(root, make_image)
        self.disk = self.store.create("pvc-1", MIB)
        self.image = self.store.disks.image(self.disk.id)
        self.locks, self.freezer = Locks(), Still()
        self.number: int | None = None
        self.mounted: list[Mount] = []
        self.target = root / "copy"
        monkeypatch.setattr(loop, "find", lambda image: self.number)
        monkeypatch.setattr(loop, "released", lambda image: False)
        monkeypatch.setattr(mounts, "mounts", lambda: self.mounted)

        def clone(source: Path, target: Path) -> None:
            with pytest.raises(Aborted), self.locks.hold(self.disk.id):
                pass
            target.write_bytes(source.read_bytes())

        monkeypatch.setattr(files, "clone", clone)

    def copies(self, *, shares: bool) -> Copies:
        return Copies(self.store, self.locks, self.freezer, shares=shares)

    def mount(self) -> None:
        self.number = 7
        self.mounted = [Mount(Path("/other"), (7, 6)), Mount(Path("/stage"), (7, 7)), Mount(Path("/pod"), (7, 7))]


@pytest.fixture
def parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Parts:
    return Parts(tmp_path, monkeypatch)


@pytest.mark.parametrize("shares", [True, False])
@pytest.mark.parametrize("mounted", [True, False])
def test_a_disk_is_frozen_only_where_it_is_mounted(parts: Parts, *, shares: bool, mounted: bool) -> None:
    if mounted:
        parts.mount()
    assert parts.copies(shares=shares).of_disk(parts.disk.id, parts.target) == parts.disk
    assert parts.target.read_bytes() == WORK
    assert parts.freezer.log == (["freeze /stage", "thaw"] if mounted else [])


def test_a_device_that_stays_without_a_mount_is_no_disk_at_rest(parts: Parts) -> None:
    parts.number = 7
    with pytest.raises(Aborted, match="mounted nowhere"):
        parts.copies(shares=True).of_disk(parts.disk.id, parts.target)


def interrupt(parts: Parts, monkeypatch: pytest.MonkeyPatch, change: Callable[[], None]) -> None:
    """Let something happen while data is copied, which nothing holds up."""
    real = files.copy_sparse

    def copy(source: Path, target: Path) -> None:
        real(source, target)
        with parts.locks.hold(parts.disk.id):
            change()

    monkeypatch.setattr(files, "copy_sparse", copy)


def test_a_disk_that_is_started_while_its_data_is_copied_makes_no_copy(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupt(parts, monkeypatch, parts.mount)
    with pytest.raises(Aborted, match="was used while"):
        parts.copies(shares=False).of_disk(parts.disk.id, parts.target)


def test_a_disk_that_was_used_meanwhile_makes_no_copy(parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    interrupt(parts, monkeypatch, lambda: os.utime(parts.image, ns=(0, 0)))
    with pytest.raises(Aborted, match="was used while"):
        parts.copies(shares=False).of_disk(parts.disk.id, parts.target)


def test_a_disk_deleted_meanwhile_is_not_found(parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    interrupt(parts, monkeypatch, lambda: parts.store.disks.delete(parts.disk.id))
    with pytest.raises(NotFound):
        parts.copies(shares=False).of_disk(parts.disk.id, parts.target)


def test_no_student_waits_for_much_data(parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    parts.mount()
    monkeypatch.setattr(copies, "LONGEST", 0)
    with pytest.raises(FailedPrecondition, match=r"in use.*stop its server first"):
        parts.copies(shares=False).of_disk(parts.disk.id, parts.target)
    assert parts.freezer.log == []


def test_a_slow_copy_of_a_frozen_disk_is_given_up(parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    def slow(source: Path, target: Path, seconds: float) -> None:
        raise TimeoutError(errno.ETIMEDOUT, "too long")

    parts.mount()
    monkeypatch.setattr(files, "copy_sparse", slow)
    with pytest.raises(FailedPrecondition, match="not copied within 2 s"):
        parts.copies(shares=False).of_disk(parts.disk.id, parts.target)


def test_a_snapshot_is_copied_though_nobody_waits(parts: Parts) -> None:
    both = parts.copies(shares=False)
    snapshot = parts.store.create_snapshot(lambda image: both.of_disk(parts.disk.id, image), "s", "x")
    assert both.of_snapshot(snapshot.id, parts.target) == snapshot
    assert parts.target.read_bytes() == WORK
    parts.store.snapshots.image(snapshot.id).unlink()
    with pytest.raises(NotFound, match="deleted meanwhile"):
        both.of_snapshot(snapshot.id, parts.target.with_name("other"))


@pytest.mark.parametrize("shares", [True, False])
def test_a_plan_says_what_is_shared(parts: Parts, *, shares: bool) -> None:
    taken = parts.image.stat().st_blocks * 512
    copies = parts.copies(shares=shares)
    snapshot, disk = copies.plan_snapshot("new", parts.disk), copies.plan_disk("new", parts.disk)
    for plan in (snapshot, disk):
        assert (plan.member.id, plan.member.taken) == ("new", taken)
        assert plan.member.family == (parts.disk.id if shares else "new")
        assert plan.fresh == (0 if shares else taken)
    assert (snapshot.member.of, disk.member.of) == (parts.disk.id, "")
