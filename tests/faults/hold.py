"""A replica that hangs for longer than its liveness probe lets it."""

from __future__ import annotations

import contextlib
import threading
from subprocess import CalledProcessError
from typing import Any

from ansible_collections.campus.jupyterhub.tests.faults.nodes import Task
from ansible_collections.campus.jupyterhub.tests.faults.world import World

EVERY_SECONDS = 0.5


class Hold(threading.Thread):
    """Stops a replica's HAProxy, and each one that the kubelet starts in its place, until told to end."""

    def __init__(self, world: World, replica: Any) -> None:
        super().__init__(daemon=True, name="hold")
        self._node = world.node(replica.spec.node_name)
        self._uid = replica.metadata.uid
        self._end = threading.Event()

    def run(self) -> None:
        """Work until told to end; what was stopped goes on then."""
        stopped: Task | None = None
        while not self._end.is_set():
            # Between two looks it may have ended.
            with contextlib.suppress(CalledProcessError):
                task = self._node.task(self._uid, "haproxy")
                if task and task != stopped:
                    task.signal("SIGSTOP")
                    stopped = task
            self._end.wait(EVERY_SECONDS)
        if stopped:
            stopped.resume()

    def end(self) -> None:
        """End, with a replica that runs."""
        self._end.set()
        self.join()
