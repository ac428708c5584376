"""What a run showed: as data, as a table for a terminal and as one for the documentation. Pure."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.campus.jupyterhub.tests.faults.checker import Judgement, Row, Verdict, shown
from ansible_collections.campus.jupyterhub.tests.faults.records import Record, Window

HEAD = ("measured", "budget", "aim")


@dataclass(frozen=True)
class Report:
    """A judged run.

    Attributes:
        form: short or full.
        judgement: what the checker says.
        log: what the clients wrote.
        machine: what it ran on, in words.
    """

    form: str
    judgement: Judgement
    log: Sequence[Record]
    machine: str

    @property
    def windows(self) -> list[Window]:
        return [verdict.window for verdict in self.judgement.verdicts]

    @property
    def origin(self) -> float:
        """When the run began."""
        return min([record.at for record in self.log] + [window.begin for window in self.windows], default=0.0)

    @property
    def end(self) -> float:
        """When it ended; a run lasts a second at least."""
        times = [record.over for record in self.log] + [window.end for window in self.windows]
        return max([self.origin + 1.0, *times])

    @property
    def requests(self) -> int:
        """How many requests were sent."""
        return sum(record.is_request for record in self.log)

    def as_json(self) -> dict[str, Any]:
        """The run for programs. Times are seconds since the run began."""
        return {
            "form": self.form,
            "began": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self.origin)),
            "machine": self.machine,
            "held": self.judgement.held,
            "requests": self.requests,
            "violations": [str(violation) for violation in self.judgement.violations],
            "faults": [self._fault(verdict) for verdict in self.judgement.verdicts],
        }

    def _fault(self, verdict: Verdict) -> dict[str, Any]:
        window = verdict.window
        return {
            "name": window.name,
            "done": window.done,
            "begin": round(window.begin - self.origin, 1),
            "healed": round(window.healed - self.origin, 1),
            "end": round(window.end - self.origin, 1),
            "requests": verdict.requests,
            "slowest_answer": round(verdict.slowest, 3),
            "excused": sorted(window.excused),
            "reasons": dict(verdict.reasons),
            "held": verdict.held,
            "met": verdict.met,
            "violations": [str(violation) for violation in verdict.violations],
            "measures": [
                {
                    "measure": str(row.measure),
                    "value": round(row.value, 3),
                    "budget": row.limit.bound,
                    "aim": row.limit.wish,
                    "held": row.held,
                    "met": row.met,
                }
                for row in verdict.rows
            ],
        }

    def table(self) -> list[str]:
        """The run as lines for a terminal."""
        width = max((len(row.measure) for verdict in self.judgement.verdicts for row in verdict.rows), default=10)
        lines = []
        for number, verdict in enumerate(self.judgement.verdicts, 1):
            words = "held" if verdict.held else "NOT HELD"
            lines += [f"{number}. {verdict.window.name}: {words}", f"   {verdict.window.done}"]
            answered = f"{verdict.requests} requests, slowest answer {verdict.slowest:.2f} s"
            lines.append(f"   {answered:<{width}}{''.join(f'{head:>10}' for head in HEAD)}")
            for row in verdict.rows:
                lines.append(f"   {row.measure:<{width}}{''.join(f'{cell:>10}' for cell in cells(row))}")
            lines += [f"   {count} x {reason}" for reason, count in verdict.reasons.items()]
        return lines + [f"VIOLATED {violation}" for violation in self.judgement.violations]

    def markdown(self) -> str:
        """The run as a table for the documentation."""
        lines = ["| Fault | Measure | Measured | Budget | Aim | |", "|---|---|---:|---:|---:|---|"]
        for verdict in self.judgement.verdicts:
            name = f"**{verdict.window.name}**: {verdict.window.done}"
            for row in verdict.rows:
                lines.append(f"| {name} | {row.measure} | {' | '.join(cells(row))} | {aim_words(row)} |")
                name = ""
        return "\n".join(lines) + "\n"


def cells(row: Row) -> tuple[str, str, str]:
    """Value, budget and aim of a measure."""
    return shown(row.value), shown(row.limit.bound), shown(row.limit.wish)


def aim_words(row: Row) -> str:
    """Whether the budget was held and the aim met, in a word."""
    if not row.held:
        return "over budget"
    return "met" if row.met else "missed"
