from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest import mock

import pytest
from campus_csi.errors import Damaged, NotFound
from campus_csi.store import Store, volume_id
from hypothesis import given, settings
from hypothesis import strategies as st

MIB = 1024 * 1024
CHANGES = ("open", "fsync", "mkdir", "replace", "rename", "rmdir", "truncate", "unlink")


class Killed(BaseException):
    """Stands for the end of the process at that very point."""


def make_image(path: Path, size: int) -> None:
    with path.open("xb") as handle:
        handle.truncate(size)


@contextmanager
def killed_after(count: int) -> Iterator[None]:
    """Let `count` calls that change files pass, then end the process, before or after the next one."""
    left = count

    def counting(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            nonlocal left
            left -= 1
            if left < 0:
                raise Killed
            return real(*args, **kwargs)

        return call

    with ExitStack() as stack:
        for name in CHANGES:
            stack.enter_context(mock.patch.object(os, name, counting(getattr(os, name))))
        yield


def test_a_disk_survives_a_restart(tmp_path: Path) -> None:
    made = Store(tmp_path, make_image).create("pvc-1", 16 * MIB, "hub/claim-ann")
    found = Store(tmp_path, make_image)
    assert found.list() == [made]
    assert found.image(made.id).stat().st_size == 16 * MIB
    assert made.claim == "hub/claim-ann"


def test_the_same_name_is_the_same_disk() -> None:
    assert volume_id("pvc-1") == volume_id("pvc-1") != volume_id("pvc-2")


def test_deleting_is_for_good_and_may_be_repeated(tmp_path: Path) -> None:
    store = Store(tmp_path, make_image)
    made = store.create("pvc-1", MIB)
    store.delete(made.id)
    store.delete(made.id)
    assert Store(tmp_path, make_image).list() == []
    assert not list(tmp_path.rglob("*.img"))


@pytest.mark.parametrize("name", ["..", "../../etc", "disk-x", "", "volumes", "disk-" + "0" * 39 + "/"])
def test_an_id_is_never_a_path(tmp_path: Path, name: str) -> None:
    store = Store(tmp_path, make_image)
    store.create("pvc-1", MIB)
    store.delete(name)
    with pytest.raises(NotFound):
        store.get(name)
    assert len(store.list()) == 1


def test_growing_is_written_down_before_it_is_done(tmp_path: Path) -> None:
    store = Store(tmp_path, make_image)
    made = store.create("pvc-1", MIB)
    grown = store.enlarge(made.id, 3 * MIB)
    assert (grown.capacity, grown.grown) == (3 * MIB, MIB)
    assert store.image(made.id).stat().st_size == 3 * MIB
    assert store.enlarge(made.id, 2 * MIB).capacity == 3 * MIB
    assert store.grown(made.id).grown == 3 * MIB
    assert Store(tmp_path, make_image).list() == [store.get(made.id)]


def test_an_unreadable_record_is_reported_counted_and_never_swept(tmp_path: Path) -> None:
    store = Store(tmp_path, make_image)
    made = store.create("pvc-1", MIB)
    record = store.image(made.id).with_name("volume.json")
    record.write_text("{")
    found = Store(tmp_path, make_image)
    assert found.list() == []
    assert made.id in found.damaged
    assert found.promises() == {made.id: MIB}
    assert found.image(made.id).exists()
    with pytest.raises(Damaged, match=r"volumes/disk-.* cannot be read"):
        found.get(made.id)


@pytest.mark.parametrize("change", [{"id": "other"}, {"surplus": 1}, {"capacity": None}])
def test_a_record_that_does_not_fit_is_damaged(tmp_path: Path, change: dict[str, Any]) -> None:
    store = Store(tmp_path, make_image)
    made = store.create("pvc-1", MIB)
    record = store.image(made.id).with_name("volume.json")
    record.write_text(json.dumps({**json.loads(record.read_text()), **change}))
    assert made.id in Store(tmp_path, make_image).damaged


def test_a_failed_creation_leaves_nothing(tmp_path: Path) -> None:
    def fail(path: Path, size: int) -> None:
        make_image(path, size)
        raise Damaged("mke2fs failed")

    store = Store(tmp_path, fail)
    with pytest.raises(Damaged):
        store.create("pvc-1", MIB)
    assert not list(tmp_path.rglob("*.img"))


steps = st.lists(
    st.tuples(st.sampled_from(["create", "delete", "enlarge"]), st.sampled_from(["a", "b"]), st.integers(0, 25)),
    min_size=1,
    max_size=8,
)


@settings(deadline=None)
@given(steps)
def test_a_kill_at_any_point_leaves_whole_disks_and_the_retry_converges(plan: list[tuple[str, str, int]]) -> None:
    """Every step is killed after some file operations, the driver restarted, the step tried again to its end."""
    with TemporaryDirectory() as folder:
        root = Path(folder)
        expected: dict[str, int] = {}
        store = Store(root, make_image)
        for action, name, count in plan:
            try:
                with killed_after(count):
                    act(store, action, name)
            except Killed:
                store = Store(root, make_image)
                check(store, root)
                act(store, action, name)
            if action == "create":
                expected.setdefault(name, MIB)
            elif action == "delete":
                expected.pop(name, None)
            elif name in expected:
                expected[name] = max(expected[name], 2 * MIB)
            check(store, root)
            assert {volume.name: volume.capacity for volume in store.list()} == expected


def act(store: Store, action: str, name: str) -> None:
    """Do one step as the services do it."""
    identity = volume_id(name)
    if action == "create" and store.find(identity) is None:
        store.create(name, MIB)
    elif action == "delete":
        store.delete(identity)
    elif action == "enlarge" and store.find(identity) is not None:
        store.enlarge(identity, 2 * MIB)


def check(store: Store, root: Path) -> None:
    """What must hold whenever no step is under way."""
    assert store.damaged == {}
    assert list((root / "partial").iterdir()) == []
    assert list((root / "trash").iterdir()) == []
    assert {path.name for path in (root / "volumes").iterdir()} == {volume.id for volume in store.list()}
    for volume in store.list():
        assert store.image(volume.id).stat().st_size >= volume.grown
