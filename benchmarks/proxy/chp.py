"""The peer: configurable-http-proxy from npm, started as Zero to JupyterHub starts it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from http.client import HTTPConnection
from pathlib import Path

from ansible_collections.campus.jupyterhub.benchmarks.proxy.apiserver import student
from ansible_collections.campus.jupyterhub.benchmarks.proxy.backend import Target
from ansible_collections.campus.jupyterhub.benchmarks.proxy.machine import begin, end, wait_for_port
from ansible_collections.campus.jupyterhub.tests.unit.ports import free_port

HERE = Path(__file__).parent
TOKEN = "only-for-this-benchmark"
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "campus.jupyterhub" / "chp"


def install() -> Path:
    """The command, installed as package-lock.json has it into a folder of the user's cache."""
    files = [HERE / "package.json", HERE / "package-lock.json"]
    folder = CACHE / sha256(b"".join(path.read_bytes() for path in files)).hexdigest()[:12]
    command = folder / "node_modules" / ".bin" / "configurable-http-proxy"
    if not command.exists():
        if not shutil.which("npm"):
            sys.exit("configurable-http-proxy needs Node.js 20 or newer and npm: install them, then run this again.")
        folder.mkdir(parents=True, exist_ok=True)
        for path in files:
            shutil.copy(path, folder)
        subprocess.run(["npm", "ci", "--no-audit", "--no-fund", "--silent"], cwd=folder, check=True)
    return command


class Chp:
    """Processes that know nothing of each other: each is told every route."""

    key = "chp"

    def __init__(self, cores: frozenset[int], hub_port: int, replicas: int = 1) -> None:
        self.cores, self.hub_port = cores, hub_port
        self.ports = [free_port() for _unused in range(replicas)]
        self.api_ports = [free_port() for _unused in range(replicas)]
        self.processes: list[subprocess.Popen[bytes]] = []

    def start(self) -> None:
        """Start all and wait until they answer."""
        command = install().resolve()
        hub = f"http://127.0.0.1:{self.hub_port}"
        for port, api_port in zip(self.ports, self.api_ports, strict=True):
            places = ["--ip=127.0.0.1", f"--port={port}", "--api-ip=127.0.0.1", f"--api-port={api_port}"]
            targets = [f"--default-target={hub}", f"--error-target={hub}/hub/error", "--log-level=warn"]
            env = {**os.environ, "CONFIGPROXY_AUTH_TOKEN": TOKEN}
            self.processes.append(begin(["node", str(command), *places, *targets], self.cores, env))
        for port, process in zip(self.api_ports, self.processes, strict=True):
            wait_for_port(port, process)

    def route(self, targets: list[Target], first: int = 0) -> None:
        """Give students, from number `first` on, routes to these addresses and ports."""
        with ThreadPoolExecutor(len(self.api_ports)) as pool:
            list(pool.map(lambda api_port: _post(api_port, targets, first), self.api_ports))

    def students(self, targets: list[Target]) -> None:
        """Nothing: this proxy knows routes only."""

    def route_one(self, target: Target, number: int) -> None:
        """Give one student a route."""
        self.route([target], number)

    @property
    def api_url(self) -> str:
        """What the hub talks to: the first process, for JupyterHub's class knows no more."""
        return f"http://127.0.0.1:{self.api_ports[0]}"

    @property
    def data_plane(self) -> list[int]:
        """The processes that requests go through."""
        return [process.pid for process in self.processes]

    @property
    def pids(self) -> list[int]:
        """All processes."""
        return self.data_plane

    def stop(self) -> None:
        """End all."""
        for process in self.processes:
            end(process)


def _post(api_port: int, targets: list[Target], first: int) -> None:
    connection = HTTPConnection("127.0.0.1", api_port, timeout=30)
    for number, (address, port) in enumerate(targets, first):
        body = {"target": f"http://{address}:{port}", "user": student(number), "server_name": ""}
        headers = {"Authorization": f"token {TOKEN}", "Content-Type": "application/json"}
        connection.request("POST", f"/api/routes/user/{student(number)}", json.dumps(body), headers)
        answer = connection.getresponse()
        answer.read()
        if answer.status != 201:
            raise RuntimeError(f"configurable-http-proxy refuses a route: {answer.status}")
    connection.close()


def version() -> str:
    """Which version was installed."""
    package = install().resolve().parent.parent / "package.json"
    return str(json.loads(package.read_text())["version"])
