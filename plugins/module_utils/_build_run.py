# Copyright: campus.jupyterhub contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Runs the steps of a plan, some at a time, and says how far it is.

Private to the collection: it may change in any release.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path

from ansible_collections.campus.jupyterhub.plugins.module_utils._build_process import Stopped
from ansible_collections.campus.jupyterhub.plugins.module_utils._images_plan import Step, choose, remaining_path

HEARTBEAT_SECONDS = 60


def clock(seconds: float) -> str:
    """Return a time span as minutes and seconds, such as 2:31."""
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes}:{rest:02d}"


class Progress:
    """Appends one line an event to a file, which the controller shows while the module runs."""

    def __init__(self, path: str, total: int, now: Callable[[], float] = time.monotonic) -> None:
        """``path`` may be empty: then nothing is written."""
        self._path, self._total, self._now = path, total, now
        self._begin = now()
        self._numbers: dict[str, int] = {}
        self._started: dict[str, float] = {}

    def start(self, step: Step) -> None:
        """Say that a step begins."""
        self._numbers[step.id] = len(self._numbers) + 1
        self._started[step.id] = self._now()
        self._write(self._numbers[step.id], f"{step.name}: {step.doing}")

    def done(self, step: Step) -> None:
        """Say that a step ended well."""
        took = self._now() - self._started.pop(step.id)
        self._write(self._numbers[step.id], f"{step.name}: done after {clock(took)}")

    def heartbeat(self) -> None:
        """Say what still runs, when nothing else was said for a while."""
        running = [f"{name.split(' ', 1)[1]} ({clock(self._now() - begin)})" for name, begin in self._started.items()]
        self._write(len(self._numbers), f"still at {', '.join(running)}")

    def waits(self, text: str) -> None:
        """Say why nothing begins yet."""
        self._write(0, text)

    def _write(self, number: int, text: str) -> None:
        if self._path:
            width = len(str(self._total))
            with Path(self._path).open("a", encoding="utf-8") as file:
                file.write(f"[{number:>{width}}/{self._total} {clock(self._now() - self._begin):>6}] {text}\n")


def run_steps(
    steps: Sequence[Step], do: Callable[[Step], None], stop: Callable[[], None], jobs: int, progress: Progress
) -> None:
    """Do all steps, ``jobs`` at a time; raises what the first failed step raised, once the others have ended."""
    urgency = remaining_path(steps)
    waiting = {step.id: step for step in steps}
    finished: set[str] = set()
    running: dict[Future[None], Step] = {}
    failure: BaseException | None = None
    with ThreadPoolExecutor(max_workers=jobs) as pool:
        while running or (waiting and not failure):
            while not failure and len(running) < jobs:
                ready = [step for step in waiting.values() if not (step.needs & urgency.keys()) - finished]
                step = choose(ready, list(running.values()), urgency)
                if not step:
                    break
                del waiting[step.id]
                progress.start(step)
                running[pool.submit(do, step)] = step
            ended, _running = wait(running, timeout=HEARTBEAT_SECONDS, return_when=FIRST_COMPLETED)
            if not ended:
                progress.heartbeat()
            for future in ended:
                step = running.pop(future)
                error = future.exception()
                if error is None:
                    finished.add(step.id)
                    progress.done(step)
                elif failure is None or isinstance(failure, Stopped):
                    failure = error
                    stop()
    if failure:
        raise failure
