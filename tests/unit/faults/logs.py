"""Logs and faults made up for the tests of the checker and the report."""

from __future__ import annotations

from typing import Any

from ansible_collections.campus.jupyterhub.tests.faults.clients import digest_of, sentinel_of
from ansible_collections.campus.jupyterhub.tests.faults.records import Kind, Record, Window

START = 1_000.0
STUDENTS = ("ann", "anna")
FILES = {name: sentinel_of(name, "once") for name in STUDENTS}
DIGESTS = {name: digest_of(text) for name, text in FILES.items()}


def answered(at: float, student: str = "ann", kind: Kind = Kind.NEW, latency: float = 0.01, **more: Any) -> Record:
    """A request that was answered with the student's own file."""
    found = {"status": 200, "owner": student, "digest": DIGESTS[student], **more}
    return Record(START + at, student, kind, latency=latency, **found)


def refused(at: float, student: str = "ann", kind: Kind = Kind.NEW, latency: float = 0.0, **more: Any) -> Record:
    """A request that failed."""
    return Record(START + at, student, kind, latency=latency, **{"reason": "no connection: refused", **more})


def dropped(at: float, student: str = "ann") -> Record:
    """The end of a websocket."""
    return Record(START + at, student, Kind.DROPPED, reason="closed with 1006")


def opened(at: float, student: str = "ann", after: float = 0.0) -> Record:
    """A websocket that is open, so many seconds after it was dropped."""
    return Record(START + at, student, Kind.OPENED, latency=after)


def window(begin: float = 0.0, end: float = 10.0, **more: Any) -> Window:
    """A fault that took that time."""
    found = {"name": "a fault", "done": "something broken", "healed": START + end - 1, **more}
    return Window(begin=START + begin, end=START + end, **found)
