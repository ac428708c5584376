"""Real disks on this machine's kernel: full, grown, killed, restarted."""

from __future__ import annotations

import errno
import shutil
import signal
import time
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest
from ansible_collections.campus.jupyterhub.scripts.csi_sanity import HostDriver, may_grow_mounted
from ansible_collections.campus.jupyterhub.tests.sanity_csi.client import MIB, Client, devices_gone, exhaust, fill


def code_of(caught: pytest.ExceptionInfo[grpc.RpcError]) -> str:
    return str(caught.value.code().name)


def answered(call: Future[Any]) -> bool:
    """Say whether a call ended well; any other end is that of the connection."""
    error = call.exception(timeout=0)
    assert error is None or isinstance(error, grpc.RpcError)
    return error is None


def test_a_full_disk_ends_at_its_size_and_nobody_else_notices(driver: HostDriver) -> None:
    client = Client(driver)
    mine, other = client.create("mine", 64 * MIB), client.create("other", 64 * MIB)
    full, quiet = client.mount(mine), client.mount(other)
    with pytest.raises(OSError, match="No space left") as caught:
        fill(full / "fill")
    assert caught.value.errno == errno.ENOSPC
    assert 0.8 * 64 * MIB < (full / "fill").stat().st_size <= 64 * MIB
    assert client.used(mine) > 0.8 * 64 * MIB
    (quiet / "note").write_text("undisturbed")
    client.unmount(mine)
    again = client.mount(mine)
    (again / "fill").unlink()
    (again / "note").write_text("room again")


def test_killed_while_disks_are_in_use(driver: HostDriver) -> None:
    client = Client(driver)
    disk = client.create("mine", 64 * MIB)
    home = client.mount(disk)
    (home / "note").write_text("before")
    with (home / "open").open("w") as handle:
        driver.end(signal.SIGKILL)
        handle.write("written while there was no driver")
    driver.start()
    client = Client(driver)
    assert (client.publish(disk, "second") / "note").read_text() == "before"
    assert (home / "open").read_text() == "written while there was no driver"
    with pytest.raises(grpc.RpcError) as caught:
        client.delete(disk)
    assert code_of(caught) == "FAILED_PRECONDITION"
    client.unmount(disk, "pod", "second")
    assert devices_gone(driver)
    client.delete_unmounted(disk)
    assert client.sizes() == {}


def test_a_restarted_node_gets_its_disks_back(driver: HostDriver) -> None:
    client = Client(driver)
    disk = client.create("mine", 64 * MIB)
    (client.mount(disk) / "note").write_text("before")
    driver.end(signal.SIGKILL)
    driver.unmount()
    assert devices_gone(driver)
    driver.start()
    # kubelet may publish without staging again.
    assert (Client(driver).publish(disk) / "note").read_text() == "before"


def test_a_full_pool_refuses_new_disks_and_the_others_go_on(driver: HostDriver) -> None:
    client = Client(driver)
    home = client.mount(client.create("mine", 64 * MIB))
    room = client.available()
    with pytest.raises(grpc.RpcError, match="cannot promise") as caught:
        client.create("large", room + MIB)
    assert code_of(caught) == "RESOURCE_EXHAUSTED"
    rest = client.create("rest", room)
    assert client.available() == 0
    (home / "note").write_text("undisturbed")
    client.delete(rest)
    # The pool's own bookkeeping may have taken a little more meanwhile.
    assert room - 4 * MIB <= client.available() <= room


def test_a_disk_grows_and_keeps_what_is_on_it(driver: HostDriver) -> None:
    client = Client(driver)
    disk = client.create("mine", 64 * MIB)
    home = client.mount(disk)
    (home / "note").write_text("before")
    if may_grow_mounted():
        assert client.expand(disk, 256 * MIB) == 256 * MIB
    else:
        with pytest.raises(grpc.RpcError, match="started next") as caught:
            client.expand(disk, 256 * MIB)
        assert code_of(caught) == "FAILED_PRECONDITION"
        client.unmount(disk)
        home = client.mount(disk)
        assert client.expand(disk, 256 * MIB) == 256 * MIB
    assert (home / "note").read_text() == "before"
    with pytest.raises(OSError, match="No space left"):
        fill(home / "fill")
    assert 0.8 * 256 * MIB < (home / "fill").stat().st_size <= 256 * MIB


def test_a_disk_too_large_for_the_pool_stays_as_it_is(driver: HostDriver) -> None:
    client = Client(driver)
    disk = client.create("mine", 64 * MIB)
    home = client.mount(disk)
    with pytest.raises(grpc.RpcError, match="stays as it is") as caught:
        client.expand(disk, 4096 * MIB)
    assert code_of(caught) == "FAILED_PRECONDITION"
    assert client.sizes() == {disk: 64 * MIB}
    (home / "note").write_text("undisturbed")


@pytest.mark.parametrize("moment", [0.0, 0.02, 0.05, 0.1, 0.2])
def test_killed_while_disks_are_made_and_removed(driver: HostDriver, moment: float) -> None:
    names = [f"pvc-{number}" for number in range(12)]
    client = Client(driver)
    doomed = [client.create(f"old-{number}", 16 * MIB) for number in range(4)]
    with ThreadPoolExecutor(16) as pool:
        creating = [pool.submit(client.create, name, 16 * MIB) for name in names]
        deleting = {identity: pool.submit(client.delete, identity) for identity in doomed}
        time.sleep(moment)
        driver.end(signal.SIGKILL)
    # What the driver said it had done stays done.
    created = {call.result() for call in creating if answered(call)}
    deleted = {identity for identity, call in deleting.items() if answered(call)}
    driver.start()
    client = Client(driver)
    assert created <= client.sizes().keys()
    assert not deleted & client.sizes().keys()
    for identity in client.sizes():
        home = client.mount(identity)
        (home / "note").write_text("whole")
        client.unmount(identity)
    made = {client.create(name, 16 * MIB) for name in names}
    for identity in doomed:
        client.delete_unmounted(identity)
    assert client.sizes() == dict.fromkeys(made, 16 * MIB)
    assert {path.name for path in (driver.pool / "volumes").iterdir()} == made
    assert list((driver.pool / "partial").iterdir()) == list((driver.pool / "trash").iterdir()) == []
    assert devices_gone(driver)


def test_many_at_once_leave_no_device_behind(driver: HostDriver) -> None:
    client = Client(driver)

    def live(number: int) -> None:
        identity = client.create(f"pvc-{number}", 16 * MIB)
        (client.mount(identity) / "note").write_text(str(number))
        client.unmount(identity)
        assert (client.mount(identity) / "note").read_text() == str(number)
        client.unmount(identity)
        client.delete_unmounted(identity)

    with ThreadPoolExecutor(12) as pool:
        list(pool.map(live, range(36)))
    assert devices_gone(driver)
    assert client.sizes() == {}


def test_a_larger_pool_holds_more_after_a_restart(driver: HostDriver) -> None:
    before = Client(driver).available()
    assert driver.end() == 0
    driver.start("--pool-size=3Gi")
    assert Client(driver).available() > before + 900 * MIB


def test_a_driver_starts_on_a_pool_without_any_room(driver: HostDriver) -> None:
    client = Client(driver)
    disk = client.create("mine", 64 * MIB)
    (client.mount(disk) / "note").write_text("before")
    snapshot = client.snapshot("s", disk)
    client.unmount(disk)
    foreign = driver.pool / "foreign"
    exhaust(foreign)
    assert driver.end() == 0
    driver.start()
    client = Client(driver)
    client.delete_snapshot(snapshot)
    foreign.unlink()
    assert (client.mount(disk) / "note").read_text() == "before"


def test_what_lies_in_the_pools_place_while_it_is_not_mounted_is_not_taken_for_it(driver: HostDriver) -> None:
    disk = Client(driver).create("mine", 64 * MIB)
    place, elsewhere = driver.folder / "pool", driver.folder / "elsewhere"
    remembered, kept = driver.folder / "pool-id", driver.folder / "kept"

    def end() -> None:
        driver.end(signal.SIGKILL)
        driver.unmount()

    end()
    place.rename(elsewhere)
    with pytest.raises(RuntimeError, match="has not the id in"):
        driver.start()
    end()
    assert not place.exists()
    # A pool that was made there when no id was remembered yet.
    remembered.rename(kept)
    driver.start()
    end()
    kept.rename(remembered)
    with pytest.raises(RuntimeError, match="its id is another than the one in"):
        driver.start()
    assert str(driver.folder) not in Path("/proc/self/mountinfo").read_text(encoding="utf-8")
    end()
    shutil.rmtree(place)
    elsewhere.rename(place)
    driver.start()
    assert Client(driver).sizes() == {disk: 64 * MIB}


def test_two_drivers_never_share_a_pool(driver: HostDriver) -> None:
    second = HostDriver(driver.folder, "2Gi")
    second.socket = driver.folder / "second.sock"
    with pytest.raises(RuntimeError, match="does not serve"):
        second.start()
    second.end(signal.SIGKILL)


def test_ended_politely_it_leaves_no_socket(driver: HostDriver) -> None:
    assert driver.end() == 0
    assert not Path(driver.socket).exists()
