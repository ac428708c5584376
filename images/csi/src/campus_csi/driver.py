"""The driver of one node, put together from its parts."""

from __future__ import annotations

import hashlib
import logging
import threading
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
from campus_csi_proto import csi_pb2 as csi
from campus_csi_proto import csi_pb2_grpc, pluginregistration_pb2_grpc

from . import ext4, health, loop, pool, pool_id
from .accounting import Copying, Ledger, Room, promisable, spare
from .calls import Calls
from .config import Settings
from .controller import Controller
from .copies import Copies
from .disks import Disks
from .freezing import Freezer
from .identity import Identity
from .locks import Locks
from .metrics import render
from .node import Node
from .registration import Registration
from .store import Store

_WORKERS = 4
"""Threads for calls about the driver itself; those about disks have others."""
_GRACE = 20.0
_log = logging.getLogger(__name__)


def topology(node: str) -> str:
    """Return the node's name as a label value, which may have 63 characters."""
    return node if len(node) <= 63 else hashlib.sha256(node.encode()).hexdigest()[:63]


class Driver:
    """All services of a node's driver."""

    def __init__(self, settings: Settings) -> None:
        """Make the pool ready, let go on what an earlier driver left frozen, and read what is in the pool.

        Raises:
            CallError: there can be no pool; the message says why.
            OSError: the kernel refuses.
        """
        self._settings = settings
        self._stop = threading.Event()
        loop.require_plain()
        self._freezer = Freezer(settings.watchdog)
        id_copy = settings.endpoint.parent / pool_id.NAME
        self._pool = pool.prepare(settings.pool_path, settings.pool_size, id_copy, self._freezer.thaw_all)
        self._store = Store(self._pool.root, ext4.make)
        for identity, reason in self._store.damaged.items():
            _log.error("the record of %s cannot be read and its image is left alone: %s", identity, reason)
        room = Room(self._limit, self._spare)
        self._ledger = Ledger(room, self._store.promises(), settings.overcommit)
        self._calls = Calls()
        self._registration = Registration(str(settings.endpoint), self.stop)

    def _limit(self) -> int:
        usage = self._pool.usage(sum(member.taken for member in self._store.members()))
        return promisable(usage, self._settings.overcommit, self._settings.snapshot_reserve)

    def _spare(self, promises: Mapping[str, int], copies: Iterable[Copying]) -> int:
        members = self._store.members()
        usage = self._pool.usage(sum(member.taken for member in members))
        return spare(usage, members, promises, copies, self._settings.overcommit)

    def run(self) -> None:
        """Serve until told to stop, then end the calls under way."""
        main = self._serve(self._settings.endpoint, self._add_csi)
        servers = [main]
        if self._settings.health_port:
            answers = {"/healthz": self._alive, "/readyz": self._is_ready, "/metrics": self._metrics}
            health.serve(self._settings.health_port, answers)
        if self._settings.registration is not None:
            servers.append(self._serve(self._settings.registration, self._add_registration))
        counts = (len(self._store.disks.list()), len(self._store.snapshots.list()))
        figures = (self._pool.root, self._limit(), self._ledger.promised, *counts)
        _log.info("serving pool=%s promisable=%d promised=%d disks=%d snapshots=%d", *figures)
        # Python may see a signal that comes just as a wait begins only when that wait ends.
        while not self._stop.wait(1.0):
            pass
        _log.info("ending")
        for server in reversed(servers):
            server.stop(_GRACE).wait()
        for socket in filter(None, (self._settings.registration, self._settings.endpoint)):
            socket.unlink(missing_ok=True)

    def stop(self) -> None:
        """Let `run` end; may be called from a signal handler."""
        self._stop.set()

    def _serve(self, socket: Path, add: Callable[[Any], None]) -> Any:
        socket.parent.mkdir(parents=True, exist_ok=True)
        socket.unlink(missing_ok=True)
        server = grpc.server(ThreadPoolExecutor(_WORKERS), interceptors=[self._calls])
        add(server)
        server.add_insecure_port(f"unix:{socket}")
        server.start()
        return server

    def _add_csi(self, server: Any) -> None:
        locks = Locks()
        disks = Disks(self._store, self._ledger, shares=self._pool.shares)
        copies = Copies(self._store, locks, self._freezer, shares=self._pool.shares)
        here = topology(self._settings.node_name)
        csi_pb2_grpc.add_IdentityServicer_to_server(Identity(self._pool_answers), server)
        controller = Controller(here, self._store, self._ledger, disks, copies=copies, locks=locks)
        csi_pb2_grpc.add_ControllerServicer_to_server(controller, server)
        csi_pb2_grpc.add_NodeServicer_to_server(Node(self._settings.node_name, here, self._store, disks, locks), server)

    def _add_registration(self, server: Any) -> None:
        pluginregistration_pb2_grpc.add_RegistrationServicer_to_server(self._registration, server)

    def _alive(self) -> tuple[bool, str]:
        """The CSI socket answers."""
        with grpc.insecure_channel(f"unix:{self._settings.endpoint}") as channel:
            csi_pb2_grpc.IdentityStub(channel).GetPluginInfo(csi.GetPluginInfoRequest(), timeout=5)
        return True, "ok\n"

    def _pool_answers(self) -> bool:
        return self._limit() >= 0

    def _is_ready(self) -> tuple[bool, str]:
        """The pool answers and kubelet knows the driver."""
        self._pool_answers()
        if self._settings.registration is not None and not self._registration.registered:
            return False, "kubelet has not registered the driver yet\n"
        return True, "ok\n"

    def _metrics(self) -> tuple[bool, str]:
        usage = self._pool.usage(self._store.taken())
        room = (self._limit(), self._ledger.promised, self._ledger.spare())
        return True, render(self._store, usage, room, self._freezer.figures(), self._calls.counts())
