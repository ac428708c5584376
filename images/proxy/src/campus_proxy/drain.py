"""The preStop hook of HAProxy: no new connections are sent here any more, then HAProxy ends when its open ones have."""

from __future__ import annotations

import json
import logging
import os
import signal
import ssl
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from campus_proxy.settings import SERVICE_ACCOUNT, Settings, from_env_or_exit

log = logging.getLogger(__name__)

SERVICE = "proxy-public"
LONGEST_WAIT = 15.0
"""How long to wait for the endpoint to go, in seconds; an API server that is away must not hold the pod."""

SETTLE_SECONDS = 3.0
"""Time that the nodes get to stop sending once the endpoint is gone."""


def sends_here(slices: Iterable[Mapping[str, Any]], pod_ip: str) -> bool:
    """Whether a Service still sends new connections to this address."""
    for item in slices:
        for endpoint in item.get("endpoints") or []:
            # Left out means ready, says the API.
            ready = (endpoint.get("conditions") or {}).get("ready") is not False
            if ready and pod_ip in (endpoint.get("addresses") or []):
                return True
    return False


def read_slices(namespace: str) -> list[Mapping[str, Any]]:
    """The EndpointSlices of the public Service. Raises OSError or ValueError."""
    host, port = os.environ["KUBERNETES_SERVICE_HOST"], os.environ.get("KUBERNETES_SERVICE_PORT", "443")
    address = f"[{host}]" if ":" in host else host
    query = urllib.parse.urlencode({"labelSelector": f"kubernetes.io/service-name={SERVICE}"})
    url = f"https://{address}:{port}/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices?{query}"
    token = (SERVICE_ACCOUNT / "token").read_text().strip()
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"})
    context = ssl.create_default_context(cafile=str(SERVICE_ACCOUNT / "ca.crt"))
    with urllib.request.urlopen(request, timeout=3, context=context) as answer:
        items = json.load(answer).get("items") or []
    return [item for item in items if isinstance(item, dict)]


def wait_until_gone(
    pod_ip: str,
    read: Callable[[], Iterable[Mapping[str, Any]]],
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> bool:
    """Wait until no new connections are sent to `pod_ip`; False when that could not be seen in time."""
    end = clock() + LONGEST_WAIT
    while clock() < end:
        try:
            if not sends_here(read(), pod_ip):
                return True
        except (OSError, ValueError) as error:
            log.warning("the endpoints cannot be read: %s", error)
        sleep(0.5)
    return False


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def run(settings: Settings) -> None:
    """Drain this replica; returns when HAProxy has ended. Raises OSError or ValueError without a running HAProxy."""
    pid = int(settings.pid_file.read_text())
    gone = wait_until_gone(settings.pod_ip, lambda: read_slices(settings.namespace))
    log.info("the endpoint is %s", "gone" if gone else "perhaps still there")
    time.sleep(SETTLE_SECONDS)
    os.kill(pid, signal.SIGUSR1)
    while _alive(pid):
        time.sleep(0.2)


def main() -> None:
    """The command campus-proxy-drain."""
    run(from_env_or_exit())
