"""The servers behind the proxies, the same for both: a HAProxy that answers by itself, and an echo for websockets."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from ansible_collections.campus.jupyterhub.benchmarks.proxy.machine import LOAD_CORES, begin, end, module, wait_for_port
from ansible_collections.campus.jupyterhub.tests.unit.ports import free_port

Target = tuple[str, int]
"""Address and port of a server."""

SMALL = "A short answer, as a notebook server gives it to a page that polls it."
LARGE = 1 << 20
OWN = 1000
"""How many servers of their own there are, at addresses 127.1.x.y."""

CONFIG = """
global
    nbthread 1
    maxconn 9000
    tune.bufsize {bufsize}
defaults
    mode http
    timeout client 60s
    timeout server 60s
    timeout connect 5s
    timeout http-keep-alive 300s
frontend answers
    bind {binds}
    http-request return status 200 content-type text/plain {answer}
"""


def own_address(number: int) -> str:
    """The loopback address of a student's own server; number from 0."""
    return f"127.1.{number // 250}.{number % 250 + 1}"


@dataclass
class Backends:
    """One port for each kind of answer."""

    run_dir: Path
    ports: dict[str, int] = field(default_factory=dict)
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start(self) -> None:
        """Start all and wait until they answer."""
        large = self.run_dir / "large.txt"
        large.write_bytes(b"x" * LARGE)
        self._haproxy("small", f'string "{SMALL}"', 16384, [])
        self._haproxy("large", f'file "{large}"', 2 * LARGE, [])
        self._haproxy("own", f'string "{SMALL}"', 16384, [own_address(number) for number in range(OWN)])
        self.ports["echo"] = free_port()
        self._began(begin(module("echo", str(self.ports["echo"])), LOAD_CORES), "echo")

    def _haproxy(self, name: str, answer: str, bufsize: int, more: list[str]) -> None:
        port = self.ports[name] = free_port()
        path = self.run_dir / f"{name}.cfg"
        # Addresses in one word each: HAProxy takes at most 64 words a line.
        binds = "\n    bind ".join(f"{address}:{port}" for address in ["127.0.0.1", *more])
        path.write_text(CONFIG.format(bufsize=bufsize, binds=binds, answer=answer))
        self._began(begin(["haproxy", "-db", "-q", "-f", str(path)], LOAD_CORES), name)

    def _began(self, process: subprocess.Popen[bytes], name: str) -> None:
        self.processes.append(process)
        wait_for_port(self.ports[name], process)

    def target(self, kind: str) -> Target:
        """Where a kind of answer comes from: small, large or echo."""
        return "127.0.0.1", self.ports[kind]

    def own_targets(self) -> list[Target]:
        """A server of its own for each student, all with the small answer."""
        return [(own_address(number), self.ports["own"]) for number in range(OWN)]

    def stop(self) -> None:
        """End all."""
        for process in self.processes:
            end(process)
