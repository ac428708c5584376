"""The collection's own proxy: replicas of HAProxy with the image's configuration, and an agent beside each."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ansible_collections.campus.jupyterhub.benchmarks.proxy.backend import Target
from ansible_collections.campus.jupyterhub.benchmarks.proxy.machine import (
    LOAD_CORES,
    begin,
    end,
    module,
    wait_for_port,
    wait_until,
)
from ansible_collections.campus.jupyterhub.tests.unit.images.hub.conftest import NAMESPACE
from ansible_collections.campus.jupyterhub.tests.unit.images.proxy.fakes import Haproxy, make_settings
from ansible_collections.campus.jupyterhub.tests.unit.ports import free_port
from campus_proxy import launch
from campus_proxy.settings import Settings


def ask(url: str, told: Any = None) -> Any:
    """What a URL answers to a GET, or to a POST of what it is told. Raises OSError."""
    request = urllib.request.Request(url, None if told is None else json.dumps(told).encode())
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)


@dataclass
class ApiServer:
    """The fake Kubernetes API server."""

    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it and wait until it answers."""
        self.process = begin(module("apiserver", str(self.port)), LOAD_CORES)
        wait_for_port(self.port, self.process)

    def students(self, targets: list[Target], routes: bool, first: int = 0) -> None:
        """Make pods of students, from number `first` on, with their routes if so wanted."""
        ask(f"{self.url}/bench/students", {"first": first, "targets": targets, "routes": routes})

    def stop(self) -> None:
        """End it."""
        if self.process:
            end(self.process)


@dataclass
class Replica:
    """One HAProxy and its agent."""

    api: ApiServer
    run_dir: Path
    name: str
    cores: frozenset[int]
    hub_port: int
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)
    settings: Settings = field(init=False)

    def start(self) -> None:
        """Start both; the agent lists and fills the map."""
        self.run_dir.mkdir()
        limits = {"max_connections": 20000, "hub_port": self.hub_port, "namespace": NAMESPACE}
        self.settings = make_settings(self.run_dir, **limits)
        hard_files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        environment = launch.environment(self.settings, {"PATH": os.environ["PATH"]}, "", hard_files)
        haproxy = Haproxy(self.settings, environment | {"CAMPUS_IPV6": "false"})
        self.settings.route_map.write_text("")
        haproxy.start()
        assert haproxy.process
        os.sched_setaffinity(haproxy.process.pid, self.cores)
        told = {
            "CAMPUS_NAME": self.settings.name,
            "CAMPUS_NAMESPACE": self.settings.namespace,
            "CAMPUS_RUN_DIR": str(self.run_dir),
            "CAMPUS_AGENT_PORT": str(self.settings.agent_port),
        }
        agent = begin(module("agent", self.api.url), self.cores, {**os.environ, **told})
        self.processes = [haproxy.process, agent]
        wait_for_port(self.settings.agent_port, agent)
        ask(f"{self.api.url}/bench/replica", {"name": self.name, "port": self.settings.agent_port})

    def wait_for_routes(self, count: int) -> None:
        """Wait until HAProxy has this many routes."""
        wait_until(f"{count} routes", lambda: self.routes() == count, self.processes[1])

    def routes(self) -> int:
        """How many routes HAProxy has; -1 while that is not known."""
        try:
            return int(ask(f"http://127.0.0.1:{self.settings.agent_port}/ready")["routes"])
        except urllib.error.HTTPError:
            return -1

    def stop(self) -> None:
        """End both."""
        for process in self.processes:
            end(process)


class Ours:
    """Replicas that share an API server, with students who all have routes."""

    key = "ours"

    def __init__(self, run_dir: Path, cores: frozenset[int], hub_port: int, replicas: int = 1) -> None:
        self.api = ApiServer()
        self.replicas = [
            Replica(self.api, run_dir / f"proxy-{number}", f"proxy-{number}", cores, hub_port)
            for number in range(replicas)
        ]

    def start(self) -> None:
        """Start all, without a route."""
        self.api.start()
        for replica in self.replicas:
            replica.start()
        for replica in self.replicas:
            replica.wait_for_routes(0)

    def route(self, targets: list[Target], first: int = 0) -> None:
        """Give students, from number `first` on, routes to these addresses and ports."""
        self.api.students(targets, True, first)
        for replica in self.replicas:
            replica.wait_for_routes(first + len(targets))

    def students(self, targets: list[Target]) -> None:
        """Let students' servers run, without routes."""
        self.api.students(targets, False)

    def route_one(self, target: Target, number: int) -> None:
        """Give one student a route, without waiting for the replicas."""
        self.api.students([target], True, number)

    @property
    def api_url(self) -> str:
        """What the hub talks to."""
        return self.api.url

    @property
    def ports(self) -> list[int]:
        """Where students come in, one port a replica."""
        return [replica.settings.http_port for replica in self.replicas]

    @property
    def data_plane(self) -> list[int]:
        """The processes that requests go through."""
        return [replica.processes[0].pid for replica in self.replicas]

    @property
    def pids(self) -> list[int]:
        """All processes of the replicas."""
        return [process.pid for replica in self.replicas for process in replica.processes]

    def stop(self) -> None:
        """End all."""
        for replica in self.replicas:
            replica.stop()
        self.api.stop()
