"""A certificate of Let's Encrypt or another ACME server: certbot gets it through any replica, a Secret keeps it."""

from __future__ import annotations

import base64
import http.server
import json
import logging
import os
import secrets
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from cryptography import x509

from campus_proxy.settings import SERVICE_ACCOUNT

log = logging.getLogger(__name__)

CHALLENGES = ".well-known/acme-challenge"
ACCOUNT = "account.json"
"""Key of the Secret under which the account at the ACME server is kept: they count new ones."""

REACHED = 10
"""How often in a row we must have been reached through the proxy: each time may be another replica."""

REACH_SECONDS = 300.0
"""The first order is placed while the replicas still start."""

CERTBOT_SECONDS = 600
POLL_SECONDS = 0.5


class OrderFailed(Exception):
    """There is no new certificate; the text says why."""


@dataclass(frozen=True)
class Order:
    """What to order, and how."""

    host: str
    email: str
    server: str
    public: str
    """Where the proxy takes http, as seen from here."""
    port: int
    ca: str
    """File with what the ACME server's own certificate is checked with; empty for what everybody trusts."""

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> Order:
        """Read the environment. Raises OrderFailed."""
        host, server = env.get("CAMPUS_ORDER_HOST", ""), env.get("CAMPUS_ORDER_SERVER", "")
        if not host or not server:
            raise OrderFailed("CAMPUS_ORDER_HOST and CAMPUS_ORDER_SERVER are needed")
        public = env.get("CAMPUS_ORDER_PUBLIC", "") or "http://proxy-public"
        port = int(env.get("CAMPUS_ORDER_PORT", "") or 8080)
        return cls(host, env.get("CAMPUS_ORDER_EMAIL", ""), server, public, port, env.get("CAMPUS_ORDER_CA", ""))


@dataclass(frozen=True)
class Store:
    """The Secret, by its URL at the API server. Both methods may raise OSError or ValueError."""

    url: str
    token: Path = SERVICE_ACCOUNT / "token"
    ca: Path = SERVICE_ACCOUNT / "ca.crt"

    @classmethod
    def in_cluster(cls, env: Mapping[str, str]) -> Store:
        """The Secret that the environment names."""
        host, port = env["KUBERNETES_SERVICE_HOST"], env.get("KUBERNETES_SERVICE_PORT", "443")
        address = f"[{host}]" if ":" in host else host
        namespace, name = env["CAMPUS_NAMESPACE"], env["CAMPUS_ORDER_SECRET"]
        return cls(f"https://{address}:{port}/api/v1/namespaces/{namespace}/secrets/{name}")

    def read(self) -> dict[str, bytes]:
        """Its values."""
        data = self._ask("GET", None).get("data") or {}
        return {key: base64.b64decode(value) for key, value in data.items()}

    def write(self, values: Mapping[str, bytes]) -> None:
        """Replace these values; others stay."""
        self._ask("PATCH", {"data": {key: base64.b64encode(value).decode() for key, value in values.items()}})

    def _ask(self, method: str, body: object) -> dict[str, dict[str, str]]:
        headers = {"Content-Type": "application/merge-patch+json"} if body else {}
        if self.token.exists():
            headers["Authorization"] = f"Bearer {self.token.read_text().strip()}"
        data = json.dumps(body).encode() if body else None
        request = urllib.request.Request(self.url, data=data, headers=headers, method=method)
        context = ssl.create_default_context(cafile=self.ca) if self.ca.exists() else None
        with urllib.request.urlopen(request, timeout=30, context=context) as answer:
            found: dict[str, dict[str, str]] = json.load(answer)
        return found


def due(pem: bytes, host: str, now: datetime) -> str:
    """Why a new certificate is needed; empty while none is. It is renewed when a third of its time is left."""
    try:
        found = x509.load_pem_x509_certificate(pem)
    except ValueError:
        return "there is none"
    if found.issuer == found.subject:
        return "the one there is signed itself"
    try:
        names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        hosts = names.get_values_for_type(x509.DNSName)
    except x509.ExtensionNotFound:
        hosts = []
    if host not in hosts:
        return "the one there is for another host"
    left, whole = found.not_valid_after_utc - now, found.not_valid_after_utc - found.not_valid_before_utc
    return f"the one there expires at {found.not_valid_after_utc:%Y-%m-%d %H:%M:%S} UTC" if left < whole / 3 else ""


class _Server(http.server.ThreadingHTTPServer):
    address_family = socket.AF_INET6 if Path("/proc/net/if_inet6").exists() else socket.AF_INET


@contextmanager
def answering(folder: Path, port: int) -> Iterator[None]:
    """Answer with the files of a folder for as long as the block runs."""
    handler = partial(http.server.SimpleHTTPRequestHandler, directory=str(folder))
    with _Server(("", port), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            thread.join()


def wait_until_reached(order: Order, folder: Path) -> None:
    """Wait until the proxy's replicas lead here. Raises OrderFailed."""
    word = secrets.token_urlsafe(16)
    path = folder / CHALLENGES / word
    path.parent.mkdir(parents=True)
    path.write_text(word)
    request = urllib.request.Request(f"{order.public}/{CHALLENGES}/{word}", headers={"Host": order.host})
    end = time.monotonic() + REACH_SECONDS
    reached, why = 0, "something else answers"
    while reached < REACHED:
        try:
            with urllib.request.urlopen(request, timeout=5) as answer:
                reached = reached + 1 if answer.read() == word.encode() else 0
        except OSError as error:
            reached, why = 0, str(error)
        if time.monotonic() > end:
            raise OrderFailed(f"the proxy does not lead to this pod: {why}")
        if not reached:
            time.sleep(POLL_SECONDS)


def certbot(order: Order, webroot: Path, folder: Path) -> None:
    """Let certbot leave a certificate below `folder`. Raises OrderFailed."""
    command = [str(Path(sys.executable).with_name("certbot")), "certonly", "--non-interactive", "--agree-tos"]
    command += ["--email", order.email] if order.email else ["--register-unsafely-without-email"]
    command += ["--webroot", "--webroot-path", str(webroot), "--domain", order.host, "--cert-name", "site"]
    command += ["--server", order.server, "--key-type", "ecdsa"]
    command += [f"--{kind}-dir={folder / kind}" for kind in ("config", "work", "logs")]
    env = os.environ | ({"REQUESTS_CA_BUNDLE": order.ca} if order.ca else {})
    try:
        done = subprocess.run(
            command, env=env, capture_output=True, text=True, timeout=CERTBOT_SECONDS, check=False, cwd=folder
        )
    except subprocess.TimeoutExpired:
        raise OrderFailed(f"certbot did not end within {CERTBOT_SECONDS} s") from None
    if done.returncode:
        raise OrderFailed(f"certbot: {' '.join((done.stdout + done.stderr).split())[-1500:]}")


def pack(folder: Path) -> bytes:
    """The files of a folder as one value of a Secret."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return json.dumps({str(path.relative_to(folder)): path.read_text() for path in files}).encode()


def unpack(value: bytes, folder: Path) -> None:
    """The files that `pack` was given. Raises OSError or ValueError."""
    for name, text in json.loads(value).items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def run(order: Order, store: Store, now: datetime) -> bool:
    """Get a new certificate where one is due; says whether. Raises OrderFailed, OSError or ValueError."""
    kept = store.read()
    why = due(kept.get("tls.crt", b""), order.host, now)
    if not why:
        log.info("the certificate is good for long enough")
        return False
    log.info("a certificate for %s is ordered: %s", order.host, why)
    with tempfile.TemporaryDirectory() as name:
        folder, webroot = Path(name), Path(name) / "webroot"
        accounts = folder / "config" / "accounts"
        if kept.get(ACCOUNT):
            unpack(kept[ACCOUNT], accounts)
        webroot.mkdir()
        with answering(webroot, order.port):
            wait_until_reached(order, webroot)
            certbot(order, webroot, folder)
        live = folder / "config" / "live" / "site"
        found = {"tls.crt": (live / "fullchain.pem").read_bytes(), "tls.key": (live / "privkey.pem").read_bytes()}
        store.write({**found, ACCOUNT: pack(accounts)})
    log.info("the Secret has the new certificate")
    return True


def main() -> None:
    """The command campus-proxy-letsencrypt; ends with 1 and one sentence where there is no certificate."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    try:
        run(Order.from_env(os.environ), Store.in_cluster(os.environ), datetime.now(UTC))
    except (OrderFailed, OSError, ValueError) as error:
        print(f"campus-proxy: no new certificate: {error}", file=sys.stderr)
        sys.exit(1)
