"""The pool: one driver at a time, made ready though it is full, and never an empty folder in its place."""

from __future__ import annotations

import errno
import fcntl
import os
import resource
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from campus_csi import files, pool
from campus_csi.errors import CallError, FailedPrecondition
from campus_csi.pool import Pool


def prepare(folder: Path, held: Callable[[Path], None] = lambda root: None, size: int | None = None) -> Pool:
    """Make the pool of a node ready, and let go of it."""
    ready = pool.prepare(folder / "pool", size, folder / "plugin" / "pool-id", held)
    ready.lock.close()
    return ready


def ids(folder: Path) -> list[str]:
    """Return the id in the pool and its copy, as far as they are there."""
    paths = (folder / "pool" / "pool-id", folder / "plugin" / "pool-id")
    return [path.read_text() for path in paths if path.exists()]


def test_a_second_driver_is_kept_off_the_pool(tmp_path: Path) -> None:
    first = pool._lock(tmp_path)
    with pytest.raises(CallError, match="another driver"):
        pool._lock(tmp_path, seconds=0)
    first.close()
    pool._lock(tmp_path, seconds=0).close()


@pytest.mark.parametrize(("number", "shares"), [(None, True), (errno.EOPNOTSUPP, False), (errno.EIO, None)])
def test_a_pool_knows_whether_its_files_can_share_blocks(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    number: int | None,
    *,
    shares: bool | None,
) -> None:
    def ioctl(*_: Any) -> int:
        if number is not None:
            raise OSError(number, os.strerror(number))
        return 0

    monkeypatch.setattr(fcntl, "ioctl", ioctl)
    held: list[Path] = []
    if shares is None:
        with pytest.raises(OSError, match="Input/output"):
            prepare(tmp_path, held.append)
        assert held == [tmp_path / "pool"], "nobody stays frozen because the pool is broken"
        return
    ready = prepare(tmp_path)
    assert ready.shares is shares
    assert ("cannot share blocks" in caplog.text) is not shares


@contextmanager
def no_room() -> Iterator[None]:
    """Let no file become longer, as on a full file system."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_a_full_pool_is_made_ready_like_any_other(tmp_path: Path) -> None:
    first = prepare(tmp_path)
    with no_room():
        again = prepare(tmp_path)
    assert again.shares is first.shares


def test_a_pool_has_one_id_for_ever(tmp_path: Path) -> None:
    prepare(tmp_path)
    found = ids(tmp_path)
    assert len(found) == 2
    assert len(set(found)) == 1
    prepare(tmp_path)
    assert ids(tmp_path) == found
    prepare(tmp_path / "other")
    assert ids(tmp_path / "other") != found


def test_a_pool_from_before_there_were_ids_gets_one(tmp_path: Path) -> None:
    (tmp_path / "pool" / "volumes").mkdir(parents=True)
    prepare(tmp_path)
    assert len(ids(tmp_path)) == 2


def test_a_node_installed_anew_takes_the_pool_it_finds(tmp_path: Path) -> None:
    prepare(tmp_path)
    found = ids(tmp_path)
    shutil.rmtree(tmp_path / "plugin")
    prepare(tmp_path)
    assert ids(tmp_path) == found


@pytest.mark.parametrize("folder", [True, False])
@pytest.mark.parametrize("size", [None, pool.SMALLEST])
def test_an_empty_folder_in_the_pools_place_is_left_empty(tmp_path: Path, size: int | None, *, folder: bool) -> None:
    prepare(tmp_path)
    (tmp_path / "pool").rename(tmp_path / "not mounted")
    if folder:
        (tmp_path / "pool").mkdir()
    with pytest.raises(FailedPrecondition, match=r"it has not the id in .*plugin/pool-id; mount the file system"):
        prepare(tmp_path, size=size)
    assert (tmp_path / "pool").exists() is folder
    assert list((tmp_path / "pool").rglob("*")) == []
    shutil.rmtree(tmp_path / "pool", ignore_errors=True)
    (tmp_path / "not mounted").rename(tmp_path / "pool")
    prepare(tmp_path)


def test_another_pool_is_taken_only_when_it_is_meant(tmp_path: Path) -> None:
    prepare(tmp_path)
    prepare(tmp_path / "other")
    shutil.rmtree(tmp_path / "pool")
    (tmp_path / "other" / "pool").rename(tmp_path / "pool")
    with pytest.raises(FailedPrecondition, match="its id is another than the one in"):
        prepare(tmp_path)
    (tmp_path / "plugin" / "pool-id").unlink()
    prepare(tmp_path)
    assert ids(tmp_path)[0] in ids(tmp_path / "other")


def test_a_pool_without_room_for_an_id_is_used_and_gets_it_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(path: Path, text: str) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    with monkeypatch.context() as patch:
        patch.setattr(files, "write", full)
        prepare(tmp_path)
    assert ids(tmp_path) == []
    assert "no room to write down the id" in caplog.text
    prepare(tmp_path)
    assert len(ids(tmp_path)) == 2


@pytest.mark.parametrize("written", [0, 1])
def test_killed_while_ids_are_written_the_next_start_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, written: int
) -> None:
    real = files.write

    def dying(path: Path, text: str) -> None:
        if len(ids(tmp_path)) == written:
            raise KeyboardInterrupt
        real(path, text)

    with monkeypatch.context() as patch:
        patch.setattr(files, "write", dying)
        with pytest.raises(KeyboardInterrupt):
            prepare(tmp_path)
    before = ids(tmp_path)
    prepare(tmp_path)
    assert len(before) == written
    assert ids(tmp_path)[:written] == before
    assert len(set(ids(tmp_path))) == 1
