"""Judges a log against what was promised. Pure.

The invariants:

- I1 no student is answered by another student's server;
- I2 failed requests and dropped websockets stay within the budget of the fault, and there are none between faults;
- I3 after each fault, running pods, the hub's running servers and the routes of every replica are the same;
- I4 no disk is deleted;
- I5 every student's file is as it was written.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from ansible_collections.campus.jupyterhub.tests.faults.records import (
    ASKED_TO_LOG_IN,
    Kind,
    Limit,
    Measure,
    Record,
    Window,
)

LONGEST_LIST = 5
LATE_SECONDS = 5.0
"""What is answered later than this is no failure, but trouble all the same."""


class Invariant(StrEnum):
    """What must hold."""

    OWN_SERVER = "I1"
    BUDGET = "I2"
    SAME_STATE = "I3"
    DISKS = "I4"
    FILES = "I5"


@dataclass(frozen=True)
class Violation:
    """Something that must not be, and where it was seen."""

    invariant: Invariant
    text: str

    def __str__(self) -> str:
        return f"{self.invariant}: {self.text}"


@dataclass(frozen=True)
class State:
    """What runs, as each part of the site has it; a server is "student/name", a route its routespec.

    Attributes:
        pods: running servers by their pods.
        servers: running servers as the hub has them.
        routes: routes of servers in the Kubernetes API, as servers.
        replicas: the same as each proxy replica serves them.
    """

    pods: frozenset[str]
    servers: frozenset[str]
    routes: frozenset[str]
    replicas: Mapping[str, frozenset[str]]

    def differences(self) -> list[str]:
        """In which parts a server is missing or too much, compared with the running pods."""
        found = []
        views = {"the routes": self.routes, "the hub": self.servers}
        views |= {f"replica {name}": routes for name, routes in self.replicas.items()}
        for name, view in views.items():
            if missing := sorted(self.pods - view):
                found.append(f"missing in {name}: {', '.join(missing)}")
            if extra := sorted(view - self.pods):
                found.append(f"left over in {name}: {', '.join(extra)}")
        return found


@dataclass(frozen=True)
class Row:
    """One measure of a fault: value, budget and aim."""

    measure: Measure
    value: float
    limit: Limit

    @property
    def held(self) -> bool:
        """Whether the budget was kept."""
        return self.limit.bound is None or self.value <= self.limit.bound

    @property
    def met(self) -> bool:
        """Whether the aim was met; without one there is nothing to miss."""
        return self.limit.wish is None or self.value <= self.limit.wish


@dataclass(frozen=True)
class Verdict:
    """What a fault cost."""

    window: Window
    rows: tuple[Row, ...]
    requests: int
    slowest: float
    reasons: Mapping[str, int]
    violations: tuple[Violation, ...] = ()

    @property
    def held(self) -> bool:
        return not self.violations

    @property
    def met(self) -> bool:
        return all(row.met for row in self.rows)


@dataclass(frozen=True)
class Judgement:
    """What a whole run showed."""

    verdicts: tuple[Verdict, ...]
    violations: tuple[Violation, ...] = field(default=())

    @property
    def held(self) -> bool:
        return not self.violations and all(verdict.held for verdict in self.verdicts)


def failures(records: Iterable[Record], window: Window) -> list[Record]:
    """The requests of a fault that failed and are not excused."""
    return [
        record
        for record in records
        if record.is_request
        and record.reason
        and record.student not in window.excused
        and not (window.logins and record.reason == ASKED_TO_LOG_IN)
    ]


def measure(records: Sequence[Record], window: Window) -> dict[Measure, float]:
    """What a fault cost, of the records of its time; what the fault itself measured comes along."""
    failed = failures(records, window)
    counted = [record for record in records if record.student not in window.excused]

    troubled = [
        record
        for record in counted
        if record.is_request and (record in failed or (not record.reason and record.latency > LATE_SECONDS))
    ]

    def most(kind: Kind) -> float:
        return max((record.latency for record in counted if record.kind is kind), default=0.0)

    first, last = (troubled[0].at, troubled[-1].at) if troubled else (0.0, 0.0)
    fresh = [record for record in counted if record.kind is Kind.NEW and first <= record.at <= last]
    refused = [record for record in troubled if record.kind is Kind.NEW]
    return {
        Measure.FAILED: len(failed),
        Measure.OUTAGE: last - first,
        Measure.SHARE: len(refused) / len(fresh) if fresh else 0.0,
        Measure.DROPPED: sum(record.kind is Kind.DROPPED for record in counted),
        Measure.RECONNECT: most(Kind.OPENED),
        Measure.SILENCE: most(Kind.HEARD),
        Measure.LOST: sum(record.lost for record in counted),
        **window.measured,
    }


def judge_fault(log: Sequence[Record], window: Window) -> Verdict:
    """Compare a fault with its budget. A limit on what was never measured is a violation."""
    records = [record for record in log if window.holds(record)]
    values = measure(records, window)
    rows = tuple(Row(limit.measure, values[limit.measure], limit) for limit in window.limits if limit.measure in values)
    violations = [
        Violation(Invariant.BUDGET, f"{window.name}: {shown(row.value)} {row.measure}, budget {shown(row.limit.bound)}")
        for row in rows
        if not row.held
    ]
    violations += [
        Violation(Invariant.BUDGET, f"{window.name}: {limit.measure}: not measured, it did not come to that")
        for limit in window.limits
        if limit.measure not in values
    ]
    if window.error:
        violations.append(Violation(Invariant.BUDGET, f"{window.name}: {window.error}"))
    requests = [record for record in records if record.is_request]
    if not requests:
        violations.append(Violation(Invariant.BUDGET, f"{window.name}: no request was sent, so nothing is proved"))
    dropped = [record for record in records if record.kind is Kind.DROPPED]
    reasons = Counter(record.reason for record in [*failures(records, window), *dropped])
    reasons.update(f"a new server's address answered: {answer}" for answer in window.wrong)
    answered = [record.latency for record in requests if not record.reason]
    return Verdict(window, rows, len(requests), max(answered, default=0.0), reasons, tuple(violations))


def judge(log: Sequence[Record], windows: Sequence[Window], digests: Mapping[str, str]) -> Judgement:
    """Judge a whole log; `digests` has the SHA-256 of each student's file."""
    verdicts = tuple(judge_fault(log, window) for window in windows)
    return Judgement(verdicts, (*own_server(log), *between(log, windows), *files(log, digests)))


def own_server(log: Iterable[Record]) -> list[Violation]:
    """I1."""
    wrong = [record for record in log if record.owner not in ("", record.student)]
    texts = [f"{record.student} got the file of {record.owner} at {record.at:.1f}" for record in wrong]
    return listed(Invariant.OWN_SERVER, texts)


def between(log: Iterable[Record], windows: Sequence[Window]) -> list[Violation]:
    """I2 while there is no fault."""
    outside = [record for record in log if not any(window.holds(record) for window in windows)]
    bad = [record for record in outside if record.reason or record.lost or record.kind is Kind.DROPPED]
    return listed(
        Invariant.BUDGET, [f"{each.student}, {each.kind}, at {each.at:.1f}: {each.reason or 'lost'}" for each in bad]
    )


def files(log: Iterable[Record], digests: Mapping[str, str]) -> list[Violation]:
    """I5, as far as the answers show."""
    own = [record for record in log if record.owner == record.student and record.digest]
    changed = [record for record in own if record.digest != digests.get(record.student)]
    return listed(Invariant.FILES, [f"the file of {each.student} differs at {each.at:.1f}" for each in changed])


def lost_disks(before: Mapping[str, str], after: Mapping[str, str]) -> list[Violation]:
    """I4; both map the names of disks to their uids."""
    gone = [name for name, uid in sorted(before.items()) if after.get(name) != uid]
    return listed(Invariant.DISKS, [f"the disk {name} was deleted" for name in gone])


def listed(invariant: Invariant, texts: Sequence[str]) -> list[Violation]:
    """The first violations of a kind, and how many more there are."""
    shown_texts = list(texts[:LONGEST_LIST])
    if rest := len(texts) - len(shown_texts):
        shown_texts.append(f"and {rest} more like this")
    return [Violation(invariant, text) for text in shown_texts]


def shown(value: float | None) -> str:
    """A number as people write it; a minus for none."""
    if value is None:
        return "-"
    if value >= 1:
        return f"{value:.0f}" if value == round(value) else f"{value:.1f}"
    return f"{value:.2f}" if value >= 0.005 else "0"
