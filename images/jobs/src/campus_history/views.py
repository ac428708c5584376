"""What the pages show, in words. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import quote
from zoneinfo import ZoneInfo

from ansible_collections.campus.jupyterhub.plugins.module_utils._disk_snapshots import Snapshot
from campus_jobs.trees import parts_of, shown

from campus_history.reading import quoted

Json = dict[str, Any]

UNITS: Final = ("bytes", "KiB", "MiB", "GiB", "TiB")
FIRST: Final = datetime(1, 1, 2, tzinfo=UTC).timestamp()
LAST: Final = datetime(9999, 12, 30, tzinfo=UTC).timestamp()
"""Of the calendar, wherever it is; a file system may have other times."""
KINDS: Final = {"file": "File", "folder": "Folder", "link": "Link"}


@dataclass(frozen=True)
class Entry:
    """A line of a folder."""

    title: str
    kind: str
    href: str
    """Where its name leads; empty for what can only be put back."""
    size: str
    changed: str
    path: str
    """From the home on, as it is in an address."""
    text: bool
    """Whether the name is text, without which it cannot be put back by itself."""


@dataclass(frozen=True)
class Step:
    """A part of the way to a folder."""

    title: str
    href: str


def amount(size: float) -> str:
    """Return a number of bytes for people."""
    unit = 0
    while size >= 1024 and unit < len(UNITS) - 1:
        size, unit = size / 1024, unit + 1
    return f"{size:.0f} {UNITS[unit]}" if unit == 0 else f"{size:.1f} {UNITS[unit]}"


def moment(taken: datetime, zone: ZoneInfo) -> str:
    """Return a time for people."""
    local = taken.astimezone(zone)
    return f"{local:%A}, {local.day} {local:%B %Y}, {local:%H:%M}"


def day(taken: datetime, zone: ZoneInfo) -> str:
    """Return the day of a time for an address."""
    return taken.astimezone(zone).date().isoformat()


def normal(path: str) -> str:
    """Return a path without empty names, empty for the home; raises campus_jobs.trees.RefusedError if it leads out."""
    return "/".join(part.decode("utf-8", "surrogateescape") for part in parts_of(path)) if path.strip("/") else ""


def is_text(path: str) -> bool:
    """Say whether a path is text: the pod that copies it is told of it in JSON."""
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True


def place(prefix: str, snapshot: Snapshot, what: str, path: str) -> str:
    """Return the address of ``what`` (``files``, ``file``, ``folder`` or ``put-back``) of a path of a snapshot."""
    return f"{prefix}snapshot/{quote(snapshot.name)}/{what}/{quoted(path)}"


def steps(prefix: str, snapshot: Snapshot, path: str) -> list[Step]:
    """Return the way from the home to a folder."""
    names = path.split("/") if path else []
    ways = ["/".join(names[: count + 1]) for count in range(len(names))]
    titles = [title(name) for name in names]
    return [
        Step("Home", place(prefix, snapshot, "files", "")),
        *(Step(name, place(prefix, snapshot, "files", way)) for name, way in zip(titles, ways, strict=True)),
    ]


def title(name: str) -> str:
    """Return a name for people; what cannot be printed is replaced."""
    text = shown(name.encode("utf-8", "surrogateescape"))
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)


def entries(
    prefix: str, snapshot: Snapshot, path: str, found: Sequence[Mapping[str, Any]], zone: ZoneInfo
) -> list[Entry]:
    """Return the lines of a folder: folders first, then by name; without sockets and devices, which hold nothing."""
    kept = [each for each in found if each["kind"] in KINDS]
    kept.sort(key=lambda each: (each["kind"] != "folder", each["name"].casefold(), each["name"]))
    return [_entry(prefix, snapshot, path, each, zone) for each in kept]


def _entry(prefix: str, snapshot: Snapshot, path: str, found: Mapping[str, Any], zone: ZoneInfo) -> Entry:
    name, kind = found["name"], found["kind"]
    own = f"{path}/{name}" if path else name
    what = {"folder": "files", "file": "file"}.get(kind)
    changed = datetime.fromtimestamp(min(max(found["changed"], FIRST), LAST), UTC).astimezone(zone)
    return Entry(
        title=title(name),
        kind=KINDS[kind],
        href=place(prefix, snapshot, what, own) if what else "",
        size=amount(found["size"]) if kind == "file" else "",
        changed=f"{changed:%Y-%m-%d %H:%M}",
        path=quoted(own),
        text=is_text(own),
    )
