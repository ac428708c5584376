"""Threads for each kind of call, so that calls that take long keep no other kind waiting.

A snapshot or a copy may take minutes, as may the check of a disk: the probe, and a student whose server starts, must
find a thread all the same.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

_EACH = 16


class Threads:
    """Threads for starting and stopping servers, for snapshots, and for all else that changes disks."""

    def __init__(self) -> None:
        self._node = ThreadPoolExecutor(_EACH, "node")
        self._snapshots = ThreadPoolExecutor(_EACH, "snapshots")
        self._controller = ThreadPoolExecutor(_EACH, "controller")

    def of(self, method: str) -> ThreadPoolExecutor | None:
        """Return the threads for a call named as in `/csi.v1.Node/NodeStageVolume`; None: the server's own."""
        service, call = method.rsplit("/", 2)[-2:]
        if call == "CreateSnapshot":
            return self._snapshots
        return {"csi.v1.Node": self._node, "csi.v1.Controller": self._controller}.get(service)
