# Copyright: campus.jupyterhub contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Steps run in order, some at a time; a failure ends what still runs and is the one that is shown."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from ansible_collections.campus.jupyterhub.plugins.module_utils import _build_process as process
from ansible_collections.campus.jupyterhub.plugins.module_utils import _build_run as run
from ansible_collections.campus.jupyterhub.plugins.module_utils._images import ImagesError
from ansible_collections.campus.jupyterhub.plugins.module_utils._images_plan import Step

TOOL = Step("tool", "kubernetes", seconds=100)
BASE = Step("image", "base", seconds=10, network=True)
NODE = Step("image", "node", frozenset({"tool kubernetes", "image base"}))
PUSH = Step("push", "node", frozenset({"image node"}))
STEPS = [TOOL, BASE, NODE, PUSH]


def test_each_step_runs_after_those_that_it_needs(tmp_path: Path) -> None:
    done: list[str] = []
    progress = run.Progress(str(tmp_path / "progress"), len(STEPS))
    run.run_steps(STEPS, lambda step: done.append(step.id), lambda: None, 2, progress)
    assert set(done[:2]) == {"tool kubernetes", "image base"}
    assert done[2:] == ["image node", "push node"]


@pytest.mark.parametrize("jobs", [1, 2, 3])
def test_no_more_steps_run_at_a_time_than_allowed(jobs: int) -> None:
    lock, now, most = threading.Lock(), 0, 0
    # Nobody passes it before as many steps run as are allowed.
    together = threading.Barrier(jobs)

    def do(_step: Step) -> None:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        together.wait(timeout=60)
        with lock:
            now -= 1

    steps = [Step("image", str(number)) for number in range(6)]
    run.run_steps(steps, do, lambda: None, jobs, run.Progress("", len(steps)))
    assert most == jobs


def test_a_failure_stops_the_others_and_is_the_one_that_is_shown(tmp_path: Path) -> None:
    processes, log = process.Processes(), tmp_path / "log"
    stopped: list[Step] = []

    def do(step: Step) -> None:
        command = ["sleep", "120"] if step == TOOL else ["sh", "-c", "echo the reason; exit 3"]
        try:
            processes.run(step.name, command, log, os.environ)
        except process.Stopped:
            stopped.append(step)
            raise

    with pytest.raises(ImagesError, match=r"base: sh ended with 3\. The log is .*; its end:\n(.*\n)*the reason"):
        run.run_steps(STEPS, do, processes.stop, 2, run.Progress("", len(STEPS)))
    assert stopped == [TOOL]


def test_the_progress_says_what_and_how_far(tmp_path: Path) -> None:
    times = iter([0, 0, 1, 1, 61, 151, 151, 151, 151])
    progress = run.Progress(str(tmp_path / "progress"), 12, lambda: next(times))
    progress.start(TOOL)
    progress.start(BASE)
    progress.done(BASE)
    progress.heartbeat()
    assert (tmp_path / "progress").read_text().splitlines() == [
        "[ 1/12   0:01] kubernetes: compiling",
        "[ 2/12   1:01] base: building",
        "[ 2/12   2:31] base: done after 2:30",
        "[ 2/12   2:31] still at kubernetes (2:31)",
    ]


def test_no_progress_is_written_where_nobody_looks() -> None:
    progress = run.Progress("", 1)
    progress.start(TOOL)
    progress.done(TOOL)


@pytest.mark.parametrize(("seconds", "text"), [(0, "0:00"), (59.9, "0:59"), (151, "2:31"), (3600, "60:00")])
def test_time_is_minutes_and_seconds(seconds: float, text: str) -> None:
    assert run.clock(seconds) == text


def test_a_missing_program_is_named(tmp_path: Path) -> None:
    with pytest.raises(
        ImagesError, match=r"hub: could not run no-such-program: No such file or directory\. Install it\."
    ):
        process.Processes().run("hub", ["no-such-program"], tmp_path / "log", os.environ)


def test_a_failure_shows_twenty_lines(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("".join(f"line {number}\n" for number in range(50)))
    assert process.last_lines(log).splitlines() == [f"line {number}" for number in range(30, 50)]
    assert process.last_lines(tmp_path / "gone") == ""


def test_nothing_starts_after_the_stop(tmp_path: Path) -> None:
    processes = process.Processes()
    processes.stop()
    with pytest.raises(process.Stopped):
        processes.run("hub", ["true"], tmp_path / "log", os.environ)


def test_commands_end_with_the_process_that_began_them(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import os, pathlib, sys\n"
        f"sys.path[:0] = {sys.path!r}\n"
        f"from {process.__name__} import Processes\n"
        "processes = Processes()\n"
        "with processes.ending_with_this_one():\n"
        "    command = ['sh', '-c', 'echo $$ >pid; exec sleep 300']\n"
        "    processes.run('hub', command, pathlib.Path('log'), os.environ)\n"
    )
    module = subprocess.Popen([sys.executable, str(script)], cwd=tmp_path)
    pid = tmp_path / "pid"
    wait_until(lambda: pid.exists() and bool(pid.read_text().strip()))
    module.send_signal(signal.SIGINT)
    assert module.wait(timeout=60) == 128 + signal.SIGINT
    wait_until(lambda: ended(pid.read_text().strip()))


def ended(pid: str) -> bool:
    """Say whether a process has ended, even if nobody has asked yet how."""
    try:
        return "State:\tZ" in Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return True


def wait_until(condition: Callable[[], bool]) -> None:
    """Wait until something holds; fails after a minute."""
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)
