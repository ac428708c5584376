"""What is mounted where, and changing it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from .tools import run

_OCTAL = re.compile(r"\\([0-7]{3})")


@dataclass(frozen=True)
class Mount:
    """One line of mountinfo."""

    path: Path
    device: tuple[int, int]
    """(major, minor)"""
    readonly: bool = False
    """Whether nothing can be written by this mount, whatever others of the same device allow."""


def parse(text: str) -> list[Mount]:
    """Read the text of a mountinfo file."""
    found = []
    for line in text.splitlines():
        fields = line.split(" ")
        major, minor = fields[2].split(":")
        path = _OCTAL.sub(lambda match: chr(int(match[1], 8)), fields[4])
        found.append(Mount(Path(path), (int(major), int(minor)), "ro" in fields[5].split(",")))
    return found


def mounts() -> list[Mount]:
    """Return all mounts this process sees, oldest first."""
    return parse(Path("/proc/self/mountinfo").read_text(encoding="utf-8"))


def at(path: Path) -> Mount | None:
    """Return what is mounted on `path`, or None."""
    for mount in reversed(mounts()):
        if mount.path == path:
            return mount
    return None


def beside(path: Path) -> list[Path]:
    """Return the other places where the device mounted on `path` is mounted."""
    table = mounts()
    devices = {mount.device for mount in table if mount.path == path}
    return [mount.path for mount in table if mount.device in devices and mount.path != path]


def mount(device: str, path: Path, kind: str, options: Iterable[str]) -> None:
    """Mount a device.

    Raises:
        Damaged: mount(8) failed.
    """
    run("mount", "-t", kind, "-o", ",".join(options), device, str(path))


def bind(source: Path, target: Path, readonly: bool) -> None:
    """Make a mounted folder appear at `target` as well.

    Raises:
        Damaged: mount(8) failed.
    """
    run("mount", "-o", "bind", str(source), str(target))
    if readonly:
        make_readonly(target)


def make_readonly(path: Path) -> None:
    """Let nothing be written any more by the mount on `path`; others of the same device stay as they are.

    In one step with binding, mount(8) would forget what else the mount forbids.

    Raises:
        Damaged: mount(8) failed.
    """
    run("mount", "-o", "remount,bind,ro", str(path))


def unmount(path: Path) -> None:
    """Unmount everything mounted on `path`, if anything is.

    Raises:
        Damaged: it is busy.
    """
    while at(path) is not None:
        run("umount", str(path))
