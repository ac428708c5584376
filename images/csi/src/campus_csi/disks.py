"""Disks on this node: mounted, handed to pods, grown. Nothing is remembered; the kernel is asked each time."""

from __future__ import annotations

import errno
import logging
import os
from collections.abc import Sequence
from pathlib import Path

from . import ext4, files, loop, mounts
from .accounting import Ledger
from .errors import CallError, Damaged, FailedPrecondition, NotFound, ResourceExhausted
from .quantity import show
from .records import Volume
from .store import Store

_OPTIONS = ("noatime", "nodev", "nosuid", "discard")
_log = logging.getLogger(__name__)


class Disks:
    """What the node service does with the disks of a store."""

    def __init__(self, store: Store, ledger: Ledger, *, shares: bool) -> None:
        self._store = store
        self._ledger = ledger
        self._shares = shares

    def stage(self, volume_id: str, staging: Path, flags: Sequence[str] = ()) -> None:
        """Mount a disk at `staging`, checked before, and grown where needed and possible.

        Raises:
            NotFound: no such disk.
            FailedPrecondition: something else is mounted there.
            Damaged: the file system needs a person.
        """
        volume = self._store.disks.get(volume_id)
        image = self._store.disks.image(volume_id)
        present = mounts.at(staging)
        if present is not None:
            if not self._is(present, volume_id):
                raise FailedPrecondition(f"something else than {volume_id} is mounted on {staging}")
            return
        if loop.find(image) is None:
            self._make_ready(volume)
        staging.mkdir(mode=0o750, parents=True, exist_ok=True)
        with loop.attached(image) as device:
            mounts.mount(device, staging, "ext4", (*_OPTIONS, *flags))

    def unstage(self, volume_id: str, staging: Path) -> None:
        """Unmount a disk.

        Raises:
            Damaged: it is busy.
        """
        mounts.unmount(staging)

    def publish(
        self,
        volume_id: str,
        staging: Path,
        target: Path,
        flags: Sequence[str] = (),
        *,
        readonly: bool = False,
        alone: bool = False,
    ) -> None:
        """Make a disk appear at `target`; staged again first if the node was restarted meanwhile.

        Raises:
            NotFound: no such disk.
            FailedPrecondition: something else is mounted there, or the disk is for one pod `alone` and another has it.
            Damaged: mounting failed.
        """
        self.stage(volume_id, staging, flags)
        present = mounts.at(target)
        if present is not None:
            if not self._is(present, volume_id):
                raise FailedPrecondition(f"something else than {volume_id} is mounted on {target}")
            if readonly and not present.readonly:
                # An earlier driver was ended between the two steps of binding it.
                mounts.make_readonly(target)
            return
        others = [path for path in mounts.beside(staging) if path != target]
        if alone and others:
            raise FailedPrecondition(f"{volume_id} is for one pod alone and another has it at {others[0]}")
        target.mkdir(mode=0o750, parents=True, exist_ok=True)
        mounts.bind(staging, target, readonly)

    def unpublish(self, volume_id: str, target: Path) -> None:
        """Take a disk away from `target` and remove that folder.

        Raises:
            Damaged: it is busy.
            OSError: the folder under the mount is not empty.
        """
        mounts.unmount(target)
        if target.is_dir():
            target.rmdir()

    def delete(self, volume_id: str) -> None:
        """Remove a disk and what is on it.

        Raises:
            FailedPrecondition: it is still mounted.
        """
        image = self._store.disks.image(volume_id)
        if image.exists() and not loop.released(image):
            raise FailedPrecondition(f"{volume_id} is still mounted on this node")
        self._store.disks.delete(volume_id)
        self._ledger.restore(volume_id, None)

    def expand(self, volume_id: str, path: Path, size: int) -> int:
        """Grow a disk to `size` bytes, or end an unfinished growth, and return the size reached.

        kubelet starts the pod in spite of a FailedPrecondition, so a student whose disk cannot grow still gets to work.

        Raises:
            NotFound: no such disk, or it is not mounted at `path`.
            FailedPrecondition: the pool is full, or this kernel does not grow a disk in use.
            Damaged: the file system could not be grown.
        """
        volume = self._store.disks.get(volume_id)
        self.require_mounted(volume_id, path)
        try:
            self._ledger.promise(volume_id, size)
        except ResourceExhausted as error:
            raise FailedPrecondition(f"{volume_id} stays as it is: {error}") from error
        try:
            volume = self._store.enlarge(volume_id, size)
        except Exception:
            self._ledger.restore(volume_id, self._store.disks.get(volume_id).capacity)
            raise
        if volume.grown < volume.capacity:
            self._grow(volume, path)
        return volume.capacity

    def require_mounted(self, volume_id: str, path: Path) -> None:
        """Check that a disk is mounted at `path`.

        Raises:
            NotFound: it is not.
        """
        present = mounts.at(path)
        if present is None or not self._is(present, volume_id):
            raise NotFound(f"{volume_id} is not mounted at {path}")

    def _is(self, mount: mounts.Mount, volume_id: str) -> bool:
        """Say whether it is this disk that is mounted there."""
        major, minor = mount.device
        return major == loop.MAJOR and loop.has(minor, self._store.disks.image(volume_id))

    def _make_ready(self, volume: Volume) -> None:
        unfinished = volume.grown < volume.capacity
        ext4.check(self._store.disks.image(volume.id), thorough=unfinished)
        if unfinished:
            try:
                self._grow_at_rest(volume)
            except (CallError, OSError) as error:
                # Its student had better work with the room there is than not at all.
                _log.warning(
                    "%s could not be grown to %s and is used as it is: %s", volume.id, show(volume.capacity), error
                )

    def _grow_at_rest(self, volume: Volume) -> None:
        """Grow a copy of a disk and put it into the disk's place: a kill at any point leaves the disk whole."""
        image = self._store.disks.image(volume.id)

        def make(draft: Path) -> None:
            if self._shares:
                files.clone(image, draft)
            else:
                taken = image.stat().st_blocks * 512
                if taken > self._ledger.spare():
                    raise ResourceExhausted(f"the pool of this node has no room for a copy of its {show(taken)}")
                files.copy_sparse(image, draft)
            ext4.grow_unmounted(draft)

        self._store.enlarge(volume.id, volume.capacity)
        self._store.disks.renew(volume.id, make)
        self._store.grown(volume.id)

    def _grow(self, volume: Volume, path: Path) -> None:
        image = self._store.disks.image(volume.id)
        loop.refresh(image)
        try:
            ext4.grow_mounted(path, volume.capacity)
        except PermissionError as error:
            raise FailedPrecondition(
                f"{volume.id} is in use and this node does not grant CAP_SYS_RESOURCE, without which the kernel grows"
                " no mounted disk; it grows when its pod is started next"
            ) from error
        except OSError as error:
            raise Damaged(f"{volume.id} could not be grown: {os.strerror(error.errno or errno.EIO)}") from error
        else:
            self._store.grown(volume.id)
