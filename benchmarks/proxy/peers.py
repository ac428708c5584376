"""Both proxies, and what the measurements ask of each."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Protocol

from ansible_collections.campus.jupyterhub.benchmarks.proxy.backend import Backends, Target
from ansible_collections.campus.jupyterhub.benchmarks.proxy.chp import Chp
from ansible_collections.campus.jupyterhub.benchmarks.proxy.ours import Ours


class Peer(Protocol):
    """A proxy of one or several processes."""

    @property
    def key(self) -> str:
        """Its name in the figures: ours or chp."""

    @property
    def ports(self) -> list[int]:
        """Where students come in, one port a replica."""

    @property
    def data_plane(self) -> list[int]:
        """The processes that requests go through."""

    @property
    def pids(self) -> list[int]:
        """All processes of the replicas."""

    @property
    def api_url(self) -> str:
        """What the hub talks to."""

    def start(self) -> None:
        """Start all, without a route."""

    def students(self, targets: list[Target]) -> None:
        """Let students' servers run, without routes."""

    def route(self, targets: list[Target], first: int = 0) -> None:
        """Give students, from number `first` on, routes to these servers, and wait until they are served."""

    def route_one(self, target: Target, number: int) -> None:
        """Give one student a route, without waiting for more than the answer."""

    def stop(self) -> None:
        """End all."""


@contextlib.contextmanager
def both(backends: Backends, cores: frozenset[int], replicas: int = 1) -> Iterator[list[Peer]]:
    """Both proxies on these cores, without a route; ours first."""
    hub_port = backends.ports["echo"]
    with TemporaryDirectory() as run_dir, contextlib.ExitStack() as stack:
        peers: list[Peer] = [Ours(Path(run_dir), cores, hub_port, replicas), Chp(cores, hub_port, replicas)]
        for peer in peers:
            stack.callback(peer.stop)
            peer.start()
        yield peers


def in_turn(peers: list[Peer], number: int) -> list[Peer]:
    """The proxies in the order of a round: each comes first every other time."""
    return peers if number % 2 == 0 else peers[::-1]
