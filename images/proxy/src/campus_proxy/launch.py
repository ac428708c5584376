"""Starts HAProxy in the place of this process, with what only the running pod can know."""

from __future__ import annotations

import ipaddress
import logging
import os
import resource
import socket
import sys
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from urllib.parse import urlsplit

from campus_proxy import certificate, state
from campus_proxy.settings import Settings, from_env_or_exit

log = logging.getLogger(__name__)

DATA = Path(str(files("campus_proxy") / "data"))
HAPROXY = "/usr/sbin/haproxy"
SPARE_FILES = 200
"""Open files that are no connection: listeners, the log, the runtime socket, the pollers."""


def search_domains(resolv_conf: str) -> list[str]:
    """The domains that a name is looked for in, as resolv.conf has them."""
    found: list[str] = []
    for line in resolv_conf.splitlines():
        words = line.split()
        if words[:1] in (["search"], ["domain"]):
            found = [word.rstrip(".") for word in words[1:]]
    return found


def full_name(host: str, namespace: str, domains: list[str]) -> str:
    """A Service's name as HAProxy's resolver needs it, which does not try the search domains."""
    if "." in host or ":" in host:
        return host
    domain = next((domain for domain in domains if domain.startswith("svc.")), "")
    return f"{host}.{namespace}.{domain}" if domain else host


def first_address(host: str, env: Mapping[str, str]) -> str:
    """How HAProxy finds the hub when it starts: by the address that the kubelet gave, so without any name server."""
    try:
        address = str(ipaddress.ip_address(env.get(f"{host.upper().replace('-', '_')}_SERVICE_HOST", "")))
    except ValueError:
        return "libc,none"
    return f"{address},libc,none"


def connection_limit(wanted: int, hard_files: int) -> int:
    """How many connections fit: each needs two open files, its own and the server's. `hard_files` -1 is no limit."""
    if hard_files == resource.RLIM_INFINITY:
        return wanted
    return max(10, min(wanted, (hard_files - SPARE_FILES) // 2))


def environment(settings: Settings, env: Mapping[str, str], resolv_conf: str, hard_files: int) -> dict[str, str]:
    """The variables that data/haproxy.cfg is written with."""
    domains = search_domains(resolv_conf)
    hub = full_name(settings.hub_host, settings.hub_namespace, domains)
    acme = full_name(settings.acme_host, settings.namespace, domains)
    hub = f"[{hub}]" if ":" in hub else hub
    told: dict[str, object] = {
        "CAMPUS_DATA": DATA,
        "CAMPUS_SOCKET": settings.socket,
        "CAMPUS_ROUTE_MAP": settings.route_map,
        "CAMPUS_TLS_FILE": settings.tls_file,
        "CAMPUS_HTTPS": settings.https,
        "CAMPUS_PUBLIC_PORT": "" if settings.public_port == 443 else f":{settings.public_port}",
        "CAMPUS_HUB_ORIGIN": settings.subdomain_host,
        "CAMPUS_BELOW_HUB": f".{urlsplit(settings.subdomain_host).hostname}" if settings.subdomain_host else "",
        "CAMPUS_HTTP_PORT": settings.http_port,
        "CAMPUS_HTTPS_PORT": settings.https_port,
        "CAMPUS_MONITOR_PORT": settings.monitor_port,
        "CAMPUS_IPV6": "true" if socket.has_ipv6 and Path("/proc/net/if_inet6").exists() else "false",
        "CAMPUS_HUB": f"{hub}:{settings.hub_port}",
        "CAMPUS_HUB_FIRST": first_address(settings.hub_host, env),
        "CAMPUS_ACME": f"{acme}:{settings.acme_port}" if settings.https == "letsencrypt" else "",
        "CAMPUS_ACME_FIRST": first_address(settings.acme_host, env),
        "CAMPUS_ACCESS_LOG": "true" if settings.access_log else "false",
        "CAMPUS_TRUSTED_NETWORKS": " ".join(settings.trusted_networks),
        "CAMPUS_THREADS": settings.threads,
        "CAMPUS_MAX_CONNECTIONS": connection_limit(settings.max_connections, hard_files),
        "CAMPUS_DRAIN_SECONDS": f"{max(1, settings.drain_seconds)}s",
    }
    return {**env, **{key: str(value) for key, value in told.items()}}


def prepare(settings: Settings) -> dict[str, str]:
    """Lay map and certificate ready and say what HAProxy's environment must be. Raises BadCertificate or OSError."""
    kept = state.make_usable(settings.route_map)
    log.info("the map of an earlier run is %s", "kept" if kept else "not there: the agent must list first")
    if settings.https != "disabled":
        kept = certificate.make_usable(settings.tls_dir, settings.tls_file)
        log.info("the certificate is %s", "the last one that was good" if kept else "the Secret's")
    hard_files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resolv_conf = Path("/etc/resolv.conf")
    text = resolv_conf.read_text() if resolv_conf.exists() else ""
    env = environment(settings, os.environ, text, hard_files)
    if int(env["CAMPUS_MAX_CONNECTIONS"]) < settings.max_connections:
        log.warning("only %s connections fit into %d open files", env["CAMPUS_MAX_CONNECTIONS"], hard_files)
    settings.pid_file.write_text(str(os.getpid()))
    return env


def run(settings: Settings) -> None:
    """Become HAProxy. Raises BadCertificate or OSError."""
    os.execve(HAPROXY, ["haproxy", "-db", "-f", str(DATA / "haproxy.cfg")], prepare(settings))


def main() -> None:
    """The command campus-proxy-haproxy; without any certificate to serve it ends with 2 and one sentence."""
    try:
        run(from_env_or_exit())
    except certificate.BadCertificate as error:
        print(f"campus-proxy: the Secret's certificate cannot be served: {error}", file=sys.stderr)
        sys.exit(2)
