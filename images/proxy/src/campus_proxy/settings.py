"""The environment variables that both containers of a replica are told by, read and checked in one place."""

from __future__ import annotations

import ipaddress
import logging
import os
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")


class BadSettings(ValueError):
    """A variable that cannot be used; the text names it and says what it must be."""


def _number(env: Mapping[str, str], name: str, default: int, lowest: int, highest: int) -> int:
    text = env.get(name, "") or str(default)
    if not (text.isascii() and text.isdigit() and lowest <= int(text) <= highest):
        raise BadSettings(f"{name} is {text!r}; it must be a whole number from {lowest} to {highest}")
    return int(text)


def _choice(env: Mapping[str, str], name: str, choices: tuple[str, ...]) -> str:
    text = env.get(name, "") or choices[0]
    if text not in choices:
        raise BadSettings(f"{name} is {text!r}; it must be one of {', '.join(choices)}")
    return text


def _origin(env: Mapping[str, str], name: str) -> str:
    text = env.get(name, "").rstrip("/")
    if text and not re.fullmatch(r"https?://[A-Za-z0-9_.-]+(:[0-9]+)?", text):
        raise BadSettings(f"{name} is {text!r}; it must be scheme and host, such as https://hub.example.org")
    return text


def _networks(env: Mapping[str, str], name: str) -> tuple[str, ...]:
    try:
        return tuple(str(ipaddress.ip_network(text)) for text in env.get(name, "").split())
    except ValueError as error:
        raise BadSettings(f"{name}: {error}") from None


@dataclass(frozen=True)
class Settings:
    """What a replica is told. Times are in seconds."""

    name: str
    namespace: str
    """The replica's own."""
    hub_namespace: str
    """That of the hub, its routes and its students, which is another where the proxy has one of its own."""
    pod_ip: str
    run_dir: Path
    hub_host: str
    hub_port: int
    https: str
    tls_dir: Path
    acme_host: str
    acme_port: int
    public_port: int
    subdomain_host: str
    """Scheme and host of the hub where each student has a host below it; empty where all are at one."""
    drain_seconds: int
    max_connections: int
    threads: int
    access_log: bool
    trusted_networks: tuple[str, ...]
    http_port: int
    https_port: int
    monitor_port: int
    agent_port: int
    agent_service: str

    @property
    def socket(self) -> Path:
        """HAProxy's runtime socket."""
        return self.run_dir / "haproxy.sock"

    @property
    def route_map(self) -> Path:
        """The map that HAProxy starts with; the agent keeps it as HAProxy has it."""
        return self.run_dir / "routes.map"

    @property
    def tls_file(self) -> Path:
        """The certificate and its key that HAProxy starts with: the last good ones of `tls_dir`, the mounted Secret."""
        return self.run_dir / "site.pem"

    @property
    def pid_file(self) -> Path:
        """Where the launcher leaves HAProxy's process id for the drain hook."""
        return self.run_dir / "haproxy.pid"

    @classmethod
    def from_env(cls, env: Mapping[str, str] | None = None) -> Settings:
        """Read the environment. Raises BadSettings."""
        env = os.environ if env is None else env
        namespace = env.get("CAMPUS_NAMESPACE", "") or "jupyterhub"
        return cls(
            name=env.get("CAMPUS_NAME", "") or "jupyterhub",
            namespace=namespace,
            hub_namespace=env.get("CAMPUS_HUB_NAMESPACE", "") or namespace,
            pod_ip=env.get("CAMPUS_POD_IP", ""),
            run_dir=Path(env.get("CAMPUS_RUN_DIR", "") or "/run/campus"),
            hub_host=env.get("CAMPUS_HUB_HOST", "") or "hub",
            hub_port=_number(env, "CAMPUS_HUB_PORT", 8081, 1, 65535),
            https=_choice(env, "CAMPUS_HTTPS", ("disabled", "secret", "self_signed", "letsencrypt")),
            tls_dir=Path(env.get("CAMPUS_TLS_DIR", "") or "/run/secrets/campus-tls"),
            acme_host=env.get("CAMPUS_ACME_HOST", "") or "proxy-acme",
            acme_port=_number(env, "CAMPUS_ACME_PORT", 80, 1, 65535),
            subdomain_host=_origin(env, "CAMPUS_SUBDOMAIN_HOST"),
            public_port=_number(env, "CAMPUS_PUBLIC_PORT", 443, 1, 65535),
            drain_seconds=_number(env, "CAMPUS_DRAIN_SECONDS", 300, 0, 86400),
            max_connections=_number(env, "CAMPUS_MAX_CONNECTIONS", 20000, 100, 1_000_000),
            threads=_number(env, "CAMPUS_THREADS", 1, 1, 64),
            access_log=_choice(env, "CAMPUS_ACCESS_LOG", ("false", "true")) == "true",
            trusted_networks=_networks(env, "CAMPUS_TRUSTED_NETWORKS"),
            http_port=_number(env, "CAMPUS_HTTP_PORT", 8080, 1, 65535),
            https_port=_number(env, "CAMPUS_HTTPS_PORT", 8443, 1, 65535),
            monitor_port=_number(env, "CAMPUS_MONITOR_PORT", 8404, 1, 65535),
            agent_port=_number(env, "CAMPUS_AGENT_PORT", 8002, 1, 65535),
            agent_service=env.get("CAMPUS_AGENT_SERVICE", "") or "proxy-agent",
        )


def from_env_or_exit() -> Settings:
    """Begin to log and read the environment; ends the process with 2 and one sentence where it cannot be used."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    try:
        return Settings.from_env()
    except BadSettings as error:
        print(f"campus-proxy: {error}", file=sys.stderr)
        sys.exit(2)
