"""An API server that answers in fits and starts."""

from __future__ import annotations

import threading

from ansible_collections.campus.jupyterhub.tests.faults.nodes import ControlPlane


class Pulses(threading.Thread):
    """Stops the API server's process and lets it go on, in turns, until told to end."""

    def __init__(self, control_plane: ControlPlane, pause: float, run: float) -> None:
        super().__init__(daemon=True, name="pulses")
        self._control_plane = control_plane
        self._pause = pause
        self._run = run
        self._end = threading.Event()

    def run(self) -> None:
        """Work until told to end; the API server runs then."""
        try:
            while not self._end.is_set():
                self._control_plane.signal_api_server("SIGSTOP")
                self._end.wait(self._pause)
                self._control_plane.signal_api_server("SIGCONT")
                self._end.wait(self._run)
        finally:
            self._control_plane.signal_api_server("SIGCONT")

    def stop(self) -> None:
        """End, with an API server that runs."""
        self._end.set()
        self.join()
