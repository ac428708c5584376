"""What a fault is, and how one is done to a site that is in use."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import replace

from ansible_collections.campus.jupyterhub.tests.cluster.support import wait_until
from ansible_collections.campus.jupyterhub.tests.faults.records import NOTHING, Limit, Measure, Window
from ansible_collections.campus.jupyterhub.tests.faults.world import World

QUIET_SECONDS = 3.0


class Fault:
    """Something that breaks. Subclasses say what.

    Attributes:
        name: shown in the report.
        done: what is done, in words.
        keep: how long it is left so, in seconds.
        limits: what it may cost students who are at work.
        logins: whether they may be asked to log in once more.
        stays: whether it is still there when the next fault comes, which then ends both.
        lingers: for how many seconds it is felt after everything is set right.
    """

    name = ""
    done = ""
    limits: tuple[Limit, ...] = NOTHING
    logins = False
    stays = False
    lingers = QUIET_SECONDS

    def __init__(self, keep: float) -> None:
        self.keep = keep
        self.excused: frozenset[str] = frozenset()
        self.measured: dict[Measure, float] = {}
        self.wrong: list[str] = []

    def note_wrong(self, answers: Iterable[str]) -> None:
        """Count what was answered for a server by somebody else, and keep it for the report."""
        self.wrong += answers
        self.measured[Measure.WRONG] = len(self.wrong)

    def inject(self, world: World) -> None:
        """Break it."""

    def during(self, world: World) -> None:
        """Do, while it is broken, what has to work all the same."""

    def heal(self, world: World) -> None:
        """Set it right, in whatever state the rest was left; may be called again."""

    def after(self, world: World) -> None:
        """Do at once, when it is set right, what has to work then."""


class Runner:
    """Does one fault after the other, and never leaves one behind.

    As a context it sets right what the last fault left.
    """

    def __init__(self, world: World) -> None:
        self.world = world
        self.windows: list[Window] = []
        self._left = ExitStack()

    def __enter__(self) -> Runner:
        return self

    def __exit__(self, *_error: object) -> None:
        self._left.close()

    def run(self, fault: Fault) -> Window:
        """Break it, wait, set it right, wait until the site is whole.

        What a step raises is noted in the window and raised again.
        """
        begin = time.time()
        window = Window(fault.name, fault.done, begin, begin, begin, fault.limits, logins=fault.logins)
        self.windows.append(window)
        self._left.callback(fault.heal, self.world)
        try:
            try:
                fault.inject(self.world)
                fault.during(self.world)
                rest(begin + fault.keep)
            finally:
                if not fault.stays:
                    self._left.close()
                window = replace(window, healed=time.time())
            if not fault.stays:
                fault.after(self.world)
                self.world.settle()
                rest(time.time() + fault.lingers)
        except BaseException as error:
            window = replace(window, error=str(error).partition("\n")[0] or type(error).__name__)
            raise
        finally:
            window = replace(window, measured=fault.measured, wrong=tuple(fault.wrong), excused=fault.excused)
            self.prolong(window)
        return self.windows[-1]

    def prolong(self, window: Window) -> Window:
        """Let the last fault last until now, since the site was still looked at."""
        self.windows[-1] = replace(window, end=self._answered())
        return self.windows[-1]

    def _answered(self) -> float:
        """Wait until every request that was sent so far is answered or given up; returns when."""
        sent = time.time()
        wait_until("every request is answered", lambda: self.world.clients.answered(sent), 60)
        return time.time()


def rest(until: float) -> None:
    """Let time pass until a moment; a fault has to last for a while."""
    threading.Event().wait(max(0.0, until - time.time()))
