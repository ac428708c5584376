# Copyright: campus.jupyterhub contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What is wrong with a schedule of snapshots, so far as it can be known without a cluster. Pure.

Private to the collection: it may change in any release.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from ansible_collections.campus.jupyterhub.plugins.module_utils._snapshot_run import ARGUMENTS, wish_of

SHORT: Final = ("@hourly", "@daily", "@midnight", "@weekly", "@monthly", "@yearly", "@annually")
_PART: Final = re.compile(r"(\*|\?|\w+)(?:-(\w+))?(?:/(\d{1,4}))?")
_MONTHS: Final = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS: Final = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")


@dataclass(frozen=True)
class _Field:
    """One of the five words of a schedule: what it is called, its numbers, and names for them, the least first."""

    meaning: str
    least: int
    most: int
    names: tuple[str, ...] = ()

    def number(self, word: str) -> int | None:
        """Return the number that a word is, or None when it is none of this field."""
        if word.lower() in self.names:
            return self.least + self.names.index(word.lower())
        return int(word) if word.isdecimal() and self.least <= int(word) <= self.most else None

    def takes(self, text: str) -> bool:
        """Say whether Kubernetes takes the text for this field."""
        return all(self._takes(part) for part in text.split(","))

    def _takes(self, part: str) -> bool:
        found = _PART.fullmatch(part)
        if not found:
            return False
        first, last, step = found.groups()
        if step is not None and int(step) == 0:
            return False
        if first in ("*", "?"):
            return last is None
        begin, end = self.number(first), self.number(last or first)
        return begin is not None and end is not None and begin <= end


_FIELDS: Final = (
    _Field("minute", 0, 59),
    _Field("hour", 0, 23),
    _Field("day of the month", 1, 31),
    _Field("month", 1, 12, _MONTHS),
    # Sunday is 0 to Kubernetes, never 7.
    _Field("day of the week", 0, 6, _DAYS),
)


def schedule_problem(schedule: str) -> str:
    """Return what is wrong with a CronJob's schedule in one sentence, or nothing."""
    words = schedule.split()
    if len(words) == 1 and schedule in SHORT:
        return ""
    names = ", ".join(field.meaning for field in _FIELDS)
    if len(words) != len(_FIELDS):
        return f"'{schedule}' is no schedule; write {names}, such as '7 * * * *', or one of {', '.join(SHORT)}."
    for word, field in zip(words, _FIELDS, strict=True):
        if not field.takes(word):
            return f"'{word}' in '{schedule}' is no {field.meaning} ({field.least} to {field.most}); write {names}."
    return ""


def problems(arguments: Mapping[str, Any], schedule: str, deadline: int) -> list[str]:
    """Return what is wrong with the options of the role snapshots, a sentence each.

    ``arguments`` are those of the module student_disk_snapshot, numbers as text where Ansible made it of them;
    ``deadline`` is in seconds, for a whole run.
    """
    found = []
    if problem := schedule_problem(schedule):
        found.append(f"snapshots_schedule: {problem}")
    options = {name: _typed(name, value) for name, value in arguments.items()}
    try:
        wish_of({**{name: option.get("default") for name, option in ARGUMENTS.items()}, **options})
    except ValueError as error:
        found.append(as_options_of("snapshots_", arguments, str(error)))
    needed = int(options["spread"]) + int(options["timeout"])
    if deadline <= needed:
        found.append(
            f"snapshots_deadline is {deadline}, but snapshots_spread and snapshots_timeout may take {needed} seconds "
            "already; raise it, or lower those."
        )
    return found


def as_options_of(prefix: str, names: Iterable[str], text: str) -> str:
    """Return what is said of a module's options with the role's name before each of them."""
    return re.sub(rf"\b({'|'.join(names)})\b", rf"{prefix}\1", text)


def drill_problems(drill: Mapping[str, Any]) -> list[str]:
    """Return what is wrong with when the role's restore drills run, a sentence each.

    ``drill`` has ``schedules`` by the option's name, and ``timeout`` and ``deadline`` in seconds; empty for no drills.
    """
    schedules = drill.get("schedules") or {}
    found = [f"{name}: {problem}" for name, text in schedules.items() if (problem := schedule_problem(text))]
    timeout, deadline = int(drill.get("timeout", 0)), int(drill.get("deadline", 1))
    if deadline <= timeout:
        found.append(
            f"snapshots_drill_deadline is {deadline}, but snapshots_drill_timeout allows {timeout} seconds for one "
            "step already; raise it, or lower that."
        )
    return found


def _typed(name: str, value: Any) -> Any:
    kinds = {"int": int, "float": float}
    kind = kinds.get(ARGUMENTS[name]["type"])
    return kind(value) if kind and value is not None else value
