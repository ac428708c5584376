"""Pebble, Let's Encrypt's own small ACME server for tests, built from its module."""

from __future__ import annotations

import json
import os
import shutil
import ssl
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from ansible_collections.campus.jupyterhub.tests.unit.certificates import make_pair
from ansible_collections.campus.jupyterhub.tests.unit.images.proxy.conftest import make_haproxy, secret, servers
from ansible_collections.campus.jupyterhub.tests.unit.ports import free_port

__all__ = ["make_haproxy", "secret", "servers"]

HERE = Path(__file__).resolve().parent
BIN = HERE.parent.parent / "build" / "bin"
PROGRAMS = ("pebble", "pebble-challtestsrv")


@pytest.fixture(scope="session")
def pebble_built() -> None:
    """Build Pebble and its name server, unless they are there."""
    if not shutil.which("go"):
        pytest.skip("needs Go")
    pins = HERE / "go.sum"
    if all((BIN / name).exists() and (BIN / name).stat().st_mtime > pins.stat().st_mtime for name in PROGRAMS):
        return
    packages = [f"github.com/letsencrypt/pebble/v2/cmd/{name}" for name in PROGRAMS]
    command = ["go", "build", "-trimpath", "-ldflags", "-s -w", "-o", f"{BIN}/", *packages]
    BIN.mkdir(parents=True, exist_ok=True)
    subprocess.run(command, cwd=HERE, env={**os.environ, "CGO_ENABLED": "0"}, check=True)


@dataclass(frozen=True)
class Pebble:
    """A running ACME server."""

    url: str
    ca: Path
    """What its own certificate is checked with."""
    log: Path


StartPebble = Callable[[int, int], Pebble]


@pytest.fixture
def start_pebble(pebble_built: None, tmp_path: Path) -> Iterator[StartPebble]:
    """start_pebble(http_port, seconds): one that asks at that port, and whose certificates are good for so long.

    Every name is this machine.
    """
    running: list[subprocess.Popen[bytes]] = []

    def start(http_port: int, seconds: int) -> Pebble:
        folder = tmp_path / "pebble"
        pair = make_pair("127.0.0.1").mount(folder)
        listen, management, names = (f"127.0.0.1:{free_port()}" for _unused in range(3))
        config = {
            "listenAddress": listen,
            "managementListenAddress": management,
            "certificate": str(pair / "tls.crt"),
            "privateKey": str(pair / "tls.key"),
            "httpPort": http_port,
            "tlsPort": free_port(),
            "keyAlgorithm": "ecdsa",
            "retryAfter": {"authz": 1, "order": 1},
            "profiles": {"default": {"description": "short", "validityPeriod": seconds}},
        }
        (folder / "config.json").write_text(json.dumps({"pebble": config}))
        quiet = {"PEBBLE_VA_NOSLEEP": "1", "PEBBLE_WFE_NONCEREJECT": "0", "PEBBLE_AUTHZREUSE": "0"}
        off = [f"-{name}=" for name in ("http01", "https01", "tlsalpn01", "doh", "defaultIPv6")]
        resolver = [BIN / PROGRAMS[1], "-dnsserver", names, "-management", f"127.0.0.1:{free_port()}", *off]
        server = [BIN / PROGRAMS[0], "-config", folder / "config.json", "-dnsserver", names]
        log = folder / "log"
        with log.open("wb") as output:
            for command in (resolver, server):
                words = [str(word) for word in command]
                env = {**os.environ, **quiet}
                running.append(subprocess.Popen(words, env=env, stdout=output, stderr=subprocess.STDOUT))
        pebble = Pebble(f"https://{listen}/dir", pair / "tls.crt", log)
        _wait(pebble, running)
        return pebble

    yield start
    for process in running:
        process.kill()
        process.wait()


def _wait(pebble: Pebble, running: list[subprocess.Popen[bytes]]) -> None:
    context = ssl.create_default_context(cafile=pebble.ca)
    end = time.monotonic() + 30
    while True:
        try:
            urllib.request.urlopen(pebble.url, timeout=5, context=context).close()
            return
        except OSError:
            alive = all(process.poll() is None for process in running)
            assert alive, pebble.log.read_text()
            assert time.monotonic() < end, pebble.log.read_text()
            time.sleep(0.1)
