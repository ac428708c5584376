"""What the always-on clients write down, and what is said about a fault. Pure but for the two functions on files.

Times are seconds since the epoch, durations are seconds.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path


class Kind(StrEnum):
    """What a record is about."""

    NEW = "new connection"
    KEPT = "kept connection"
    HEARD = "heard"
    DROPPED = "dropped"
    OPENED = "opened"


REQUESTS = (Kind.NEW, Kind.KEPT)
ASKED_TO_LOG_IN = "asked to log in"


@dataclass(frozen=True)
class Record:
    """One line of the log.

    Attributes:
        at: when the request was sent, or when the websocket was heard, dropped or opened.
        student: who sent it.
        kind: a request over a new or a kept connection, or what became of the student's one websocket.
        status: HTTP status; 0 without an answer.
        latency: until the answer; of an opened websocket, since it was dropped; of a heard one, the longest silence
            since the record before.
        reason: why this is a failure; empty when all is well.
        owner: whose file was answered, if any was.
        digest: SHA-256 of the answered file, in hex.
        number: the newest number that the kernel's websocket brought.
        lost: how many numbers before it never came.
    """

    at: float
    student: str
    kind: Kind
    status: int = 0
    latency: float = 0.0
    reason: str = ""
    owner: str = ""
    digest: str = ""
    number: int = -1
    lost: int = 0

    @property
    def is_request(self) -> bool:
        return self.kind in REQUESTS

    @property
    def over(self) -> float:
        """When a request was answered or failed, and when anything else was seen."""
        return self.at + self.latency if self.is_request else self.at

    def line(self) -> str:
        """The record as a line of JSON, without what is not set."""
        return json.dumps({key: value for key, value in asdict(self).items() if value not in ("", -1)}) + "\n"

    @classmethod
    def parse(cls, line: str) -> Record:
        """The record of a line. Raises ValueError, KeyError or TypeError for a line that is none."""
        found = json.loads(line)
        return cls(**{**found, "kind": Kind(found["kind"])})


class Measure(StrEnum):
    """What is measured while a fault lasts and until the site is whole again."""

    FAILED = "failed requests"
    OUTAGE = "s of trouble"
    SHARE = "of new connections meanwhile"
    DROPPED = "dropped websockets"
    RECONNECT = "s to reconnect"
    SILENCE = "s of silence"
    LOST = "lost kernel messages"
    SPAWN = "s to start a server"
    UNSTARTED = "servers that did not start"
    WRONG = "wrong answers about it"
    BACK = "s until the hub is back"


@dataclass(frozen=True)
class Limit:
    """How much of something a fault may cost.

    Attributes:
        measure: what is limited.
        bound: the budget; more fails the run. None: it is only measured.
        aim: what is hoped for; missing it is said, and fails nothing. None: as the bound.
    """

    measure: Measure
    bound: float | None
    aim: float | None = None

    @property
    def wish(self) -> float | None:
        return self.bound if self.aim is None else self.aim


NOTHING = (Limit(Measure.FAILED, 0), Limit(Measure.DROPPED, 0), Limit(Measure.LOST, 0))
"""A working student notices nothing."""


@dataclass(frozen=True)
class Window:
    """A fault as it was done.

    Attributes:
        name: the fault.
        done: what was done, in words.
        begin: when it began.
        healed: when everything was set right again.
        end: when the site was whole again and every request of the time was answered.
        limits: the budget.
        measured: what the fault itself measured.
        wrong: what was answered for a new server by somebody else.
        excused: students whose own server the fault took away.
        logins: whether students may be asked to log in once more.
        error: why the fault could not be done to its end; empty when it was.
    """

    name: str
    done: str
    begin: float
    healed: float
    end: float
    limits: tuple[Limit, ...] = NOTHING
    measured: Mapping[Measure, float] = field(default_factory=dict)
    wrong: tuple[str, ...] = ()
    excused: frozenset[str] = frozenset()
    logins: bool = False
    error: str = ""

    def holds(self, record: Record) -> bool:
        """Whether a record belongs to this fault: a request that was under way when it began does."""
        return self.begin <= record.over < self.end


def write(records: Iterable[Record], path: Path) -> None:
    """Append records to a log."""
    with path.open("a", encoding="utf-8") as log:
        log.writelines(record.line() for record in records)


def read(path: Path) -> list[Record]:
    """The records of a log, by time; a last line that is still being written is left out."""
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    whole = [line for line in lines if line.endswith("\n")]
    return sorted((Record.parse(line) for line in whole), key=lambda record: record.at)
