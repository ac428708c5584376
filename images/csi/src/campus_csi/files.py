"""File changes that a crash at any point leaves either undone or done."""

from __future__ import annotations

import os
import shutil
from pathlib import Path


def sync(path: Path) -> None:
    """Bring a file or folder to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write(path: Path, text: str) -> None:
    """Replace a file's content at once."""
    draft = path.with_name(f".{path.name}.new")
    draft.write_text(text, encoding="utf-8")
    sync(draft)
    os.replace(draft, path)
    sync(path.parent)


def move(source: Path, target: Path) -> None:
    """Rename a file or folder for good; `target` must not be there."""
    os.rename(source, target)
    sync(target.parent)
    if source.parent != target.parent:
        sync(source.parent)


def extend(path: Path, size: int) -> None:
    """Make a file at least `size` bytes long; the new part is a hole."""
    if path.stat().st_size < size:
        os.truncate(path, size)
        sync(path)


def remove(folder: Path) -> None:
    """Remove a folder with all that is in it, if it is there."""
    if folder.exists():
        shutil.rmtree(folder)
