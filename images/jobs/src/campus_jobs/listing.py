"""Lists disks and snapshots again and again, and keeps what it saw last while the API server does not answer."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

from ansible_collections.campus.jupyterhub.plugins.module_utils._cluster import ClusterError
from ansible_collections.campus.jupyterhub.plugins.module_utils._cluster_verbs import Yields
from ansible_collections.campus.jupyterhub.plugins.module_utils._disk_snapshots import API, MANAGER, OURS
from ansible_collections.campus.jupyterhub.plugins.module_utils._student_disks import DISKS

from campus_jobs.figures import Figures, figures

RUNS: Final = f"app=jupyterhub,app.kubernetes.io/managed-by={MANAGER}"
EVERY: Final = 60.0
# Of a cluster with a hundred thousand snapshots no more than a tenth of the time is spent on listing.
REST: Final = 9.0


class Lister:
    """Keeps the figures of the last listing; all times are in seconds."""

    def __init__(
        self, connect: Callable[[], Yields], namespace: str, now: Callable[[], float] = time.monotonic
    ) -> None:
        """``now`` is a clock that never jumps."""
        self._connect, self._namespace, self._now = connect, namespace, now
        self._cluster: Yields | None = None
        self._listed_at = now()
        self._trouble = ""
        self.figures: Figures | None = None
        self.pause = EVERY

    @property
    def age(self) -> float:
        """How long ago the last listing ended; before the first one, how long this has been running."""
        return self._now() - self._listed_at

    @property
    def ready(self) -> bool:
        """Whether there is a listing that is not too old to be believed."""
        return self.figures is not None and self.age <= 3 * self.pause

    def look(self) -> None:
        """List once; whatever goes wrong is said, once, and the old figures stay."""
        begin = self._now()
        try:
            self._cluster = self._cluster or self._connect()
            self.figures = self._list(self._cluster)
        except ClusterError as error:
            # The next one begins with a connection of its own: it may be the account's token that is too old.
            self._cluster = None
            self._say(str(error))
            return
        self._listed_at = self._now()
        self.pause = max(EVERY, REST * (self._listed_at - begin))
        self._say("")

    def _list(self, cluster: Yields) -> Figures:
        return figures(
            cluster.each("PersistentVolumeClaim", "v1", self._namespace, DISKS),
            cluster.each("VolumeSnapshot", API, self._namespace, OURS),
            cluster.each("CronJob", "batch/v1", self._namespace, RUNS),
            cluster.each("Job", "batch/v1", self._namespace, RUNS),
            datetime.now(UTC),
        )

    def _say(self, trouble: str) -> None:
        if trouble != self._trouble:
            print(trouble or "The cluster can be listed again.", flush=True)
        self._trouble = trouble

    def run(self, ended: threading.Event) -> None:
        """List until told to end."""
        while not ended.is_set():
            self.look()
            ended.wait(self.pause)
