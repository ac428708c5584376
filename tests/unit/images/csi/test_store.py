from __future__ import annotations

import itertools
import json
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest import mock

import pytest
from campus_csi.errors import Aborted, Damaged, NotFound
from campus_csi.records import Snapshot, Volume, snapshot_id, volume_id
from campus_csi.store import Store
from hypothesis import given, settings
from hypothesis import strategies as st

MIB = 1024 * 1024
CHANGES = ("open", "fsync", "mkdir", "replace", "rename", "rmdir", "truncate", "unlink")


class Killed(BaseException):
    """Stands for the end of the process at that very point."""


def make_image(path: Path, size: int) -> None:
    with path.open("xb") as handle:
        handle.truncate(size)


def make_old(path: Path, size: int) -> None:
    path.write_bytes(b"old")


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
    assert found.disks.list() == [made]
    assert found.disks.image(made.id).stat().st_size == 16 * MIB
    assert made.claim == "hub/claim-ann"


def test_the_same_name_is_the_same_disk() -> None:
    assert volume_id("pvc-1") == volume_id("pvc-1") != volume_id("pvc-2")


def test_deleting_is_for_good_and_may_be_repeated(tmp_path: Path) -> None:
    store = Store(tmp_path, make_image)
    made = store.create("pvc-1", MIB)
    store.disks.delete(made.id)
    store.disks.delete(made.id)
    assert Store(tmp_path, make_image).disks.list() == []
    assert not list(tmp_path.rglob("*.img"))


@pytest.mark.parametrize("name", ["..", "../../etc", "disk-x", "", "volumes", "disk-" + "0" * 39 + "/"])
def test_an_id_is_never_a_path(tmp_path: Path, name: str) -> None:
    store = Store(tmp_path, make_image)
    store.create("pvc-1", MIB)
    store.disks.delete(name)
    with pytest.raises(NotFound):
        store.disks.get(name)
    assert len(store.disks.list()) == 1


def test_growing_is_written_down_before_it_is_done(tmp_path: Path) -> None:
    store = Store(tmp_path, make_image)
    made = store.create("pvc-1", MIB)
    grown = store.enlarge(made.id, 3 * MIB)
    assert (grown.capacity, grown.grown) == (3 * MIB, MIB)
    assert store.disks.image(made.id).stat().st_size == 3 * MIB
    assert store.enlarge(made.id, 2 * MIB).capacity == 3 * MIB
    assert store.grown(made.id).grown == 3 * MIB
    assert Store(tmp_path, make_image).disks.list() == [store.disks.get(made.id)]


def test_an_unreadable_record_is_reported_counted_and_never_swept(tmp_path: Path) -> None:
    store = Store(tmp_path, make_image)
    made = store.create("pvc-1", MIB)
    record = store.disks.image(made.id).with_name("volume.json")
    record.write_text("{")
    found = Store(tmp_path, make_image)
    assert found.disks.list() == []
    assert made.id in found.damaged
    assert found.promises() == {made.id: MIB}
    assert found.disks.image(made.id).exists()
    with pytest.raises(Damaged, match=r"volumes/disk-.* cannot be read"):
        found.disks.get(made.id)


@pytest.mark.parametrize("change", [{"id": "other"}, {"surplus": 1}, {"capacity": None}])
def test_a_record_that_does_not_fit_is_damaged(tmp_path: Path, change: dict[str, Any]) -> None:
    store = Store(tmp_path, make_image)
    made = store.create("pvc-1", MIB)
    record = store.disks.image(made.id).with_name("volume.json")
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


def test_an_image_is_replaced_at_once_or_not_at_all(tmp_path: Path) -> None:
    def make(draft: Path) -> None:
        with draft.open("xb") as handle:
            handle.write(b"n")
            handle.flush()
            os.fsync(handle.fileno())
            handle.write(b"ew")

    seen = set()
    for count in itertools.count():
        root = tmp_path / str(count)
        root.mkdir()
        store = Store(root, make_old)
        made = store.create("pvc-1", 3)
        try:
            with killed_after(count):
                store.disks.renew(made.id, make)
        except Killed:
            seen.add(store.disks.image(made.id).read_bytes())
            check(Store(root, make_image), root)
        else:
            break
    assert seen == {b"old", b"new"}
    assert store.disks.image(made.id).read_bytes() == b"new"


def test_an_image_that_cannot_be_replaced_stays(tmp_path: Path) -> None:
    def fail(draft: Path) -> None:
        draft.write_bytes(b"half")
        raise Damaged("resize2fs failed")

    store = Store(tmp_path, make_old)
    made = store.create("pvc-1", 3)
    with pytest.raises(Damaged):
        store.disks.renew(made.id, fail)
    assert store.disks.image(made.id).read_bytes() == b"old"
    check(store, tmp_path)


def copy_of(store: Store, name: str) -> Callable[[Path], Volume]:
    """Return what copies a disk."""

    def copy(target: Path) -> Volume:
        volume = store.disks.get(volume_id(name))
        with store.disks.image(volume.id).open("rb") as source, target.open("xb") as image:
            image.truncate(os.fstat(source.fileno()).st_size)
        return volume

    return copy


def test_a_disk_from_before_there_were_snapshots_is_its_own_family(tmp_path: Path) -> None:
    made = Store(tmp_path, make_image).create("pvc-1", MIB)
    record = tmp_path / "volumes" / made.id / "volume.json"
    fields = json.loads(record.read_text())
    del fields["family"], fields["source"]
    record.write_text(json.dumps(fields))
    assert Store(tmp_path, make_image).disks.list() == [made]


def test_what_is_copied_stays_in_the_family(tmp_path: Path) -> None:
    store = Store(tmp_path, make_image)
    first = store.create("first", MIB, "hub/claim-ann")
    store.enlarge(first.id, 2 * MIB)
    snapshot = store.create_snapshot(copy_of(store, "first"), "s", volume_id("first"))
    assert (snapshot.source, snapshot.claim) == (first.id, "hub/claim-ann")
    assert (snapshot.capacity, snapshot.grown) == (2 * MIB, MIB)

    def from_snapshot(target: Path) -> Snapshot:
        make_image(target, snapshot.capacity)
        return snapshot

    second = store.create_from(from_snapshot, "second", 4 * MIB, "hub/claim-ann", first.id)
    assert (second.capacity, second.grown, second.source) == (4 * MIB, MIB, snapshot.id)
    assert store.disks.image(second.id).stat().st_size == 4 * MIB
    found = Store(tmp_path, make_image)
    assert found.snapshots.list() == [snapshot]
    assert {member.family for member in found.members()} == {first.id}
    assert {member.id for member in found.members()} == {first.id, second.id, snapshot.id}
    assert {member.taken for member in found.members()} == {member.taken for member in store.members()}


def test_a_source_that_grew_meanwhile_makes_no_disk(tmp_path: Path) -> None:
    store = Store(tmp_path, make_image)
    store.create("first", 2 * MIB)
    with pytest.raises(Aborted, match="grew meanwhile"):
        store.create_from(copy_of(store, "first"), "second", MIB, "", "x")
    assert [volume.name for volume in store.disks.list()] == ["first"]


def test_an_unreadable_snapshot_is_reported_and_never_swept(tmp_path: Path) -> None:
    store = Store(tmp_path, make_image)
    store.create("first", MIB)
    made = store.create_snapshot(copy_of(store, "first"), "s", volume_id("first"))
    store.snapshots.image(made.id).with_name("snapshot.json").write_text("{}")
    found = Store(tmp_path, make_image)
    assert list(found.damaged) == [made.id]
    assert found.snapshots.list() == []
    assert found.snapshots.image(made.id).exists()
    assert len(found.promises()) == 1
    with pytest.raises(Damaged, match=r"snapshots/snap-.* cannot be read"):
        found.snapshots.get(made.id)
    found.delete_snapshot(made.id)
    assert found.damaged == {}


actions = st.sampled_from(["create", "delete", "enlarge", "snapshot", "delete snapshot", "clone"])
steps = st.lists(st.tuples(actions, st.sampled_from(["a", "b"]), st.integers(0, 25)), min_size=1, max_size=10)


@settings(deadline=None)
@given(steps)
def test_a_kill_at_any_point_leaves_whole_disks_and_the_retry_converges(plan: list[tuple[str, str, int]]) -> None:
    """Every step is killed after some file operations, the driver restarted, the step tried again to its end."""
    with TemporaryDirectory() as folder:
        root = Path(folder)
        expected: dict[str, int] = {}
        snapshots: dict[str, int] = {}
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
            elif action == "enlarge" and name in expected:
                expected[name] = max(expected[name], 2 * MIB)
            elif action == "snapshot" and name in expected:
                snapshots.setdefault(f"of {name}", expected[name])
            elif action == "delete snapshot":
                snapshots.pop(f"of {name}", None)
            elif action == "clone" and name in expected:
                expected.setdefault(f"from {name}", 2 * MIB)
            check(store, root)
            assert {snapshot.name: snapshot.capacity for snapshot in store.snapshots.list()} == snapshots
            assert {volume.name: volume.capacity for volume in store.disks.list()} == expected


def act(store: Store, action: str, name: str) -> None:
    """Do one step as the services do it."""
    identity = volume_id(name)
    if action == "create" and store.disks.find(identity) is None:
        store.create(name, MIB)
    elif action == "delete":
        store.disks.delete(identity)
    elif action == "enlarge" and store.disks.find(identity) is not None:
        store.enlarge(identity, 2 * MIB)
    elif action == "snapshot" and store.disks.find(identity) is not None:
        known = store.snapshots.find(snapshot_id(f"of {name}"))
        known or store.create_snapshot(copy_of(store, name), f"of {name}", identity)
    elif action == "delete snapshot":
        store.delete_snapshot(snapshot_id(f"of {name}"))
    elif action == "clone" and store.disks.find(identity) is not None:
        clone = store.disks.find(volume_id(f"from {name}"))
        clone or store.create_from(copy_of(store, name), f"from {name}", 2 * MIB, "", identity)


def check(store: Store, root: Path) -> None:
    """What must hold whenever no step is under way."""
    assert store.damaged == {}
    assert list((root / "partial").iterdir()) == []
    assert list((root / "trash").iterdir()) == []
    assert {path.name for path in (root / "volumes").iterdir()} == {volume.id for volume in store.disks.list()}
    assert {path.name for path in (root / "snapshots").iterdir()} == {one.id for one in store.snapshots.list()}
    for snapshot in store.snapshots.list():
        assert store.snapshots.image(snapshot.id).stat().st_size >= snapshot.grown
    for volume in store.disks.list():
        assert store.disks.image(volume.id).stat().st_size >= volume.grown
