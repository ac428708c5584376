"""The site's certificate: HAProxy gets a new one while it runs, and keeps what it has where the new one is no good."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import re
import ssl
import time
from dataclasses import dataclass
from pathlib import Path

from campus_proxy.haproxy import HaproxyError, command
from campus_proxy.settings import Settings

log = logging.getLogger(__name__)

WATCH_SECONDS = 2.0
"""How often the mounted Secret is looked at; the kubelet itself brings a new one after a minute or so."""

LONGEST = 30_000
"""Longest certificate chain and key together, in bytes: HAProxy takes a payload into one buffer (tune.bufsize)."""

_PART = re.compile(r"-----BEGIN ([A-Z0-9 ]+)-----.+?-----END \1-----", re.DOTALL)


class BadCertificate(ValueError):
    """A certificate that must not be served; the text says why."""


@dataclass(frozen=True)
class Served:
    """What HAProxy says of a certificate it holds; times are seconds since 1970."""

    fingerprint: str
    not_before: float
    not_after: float


def read(folder: Path) -> str:
    """The chain and the key of a mounted Secret, as one text without anything between them.

    Raises BadCertificate or OSError.
    """
    # The kubelet changes both files at one stroke, by a link to their folder.
    link = folder / "..data"
    folder = link.resolve() if link.exists() else folder
    chain = _parts(folder / "tls.crt", "CERTIFICATE")
    keys = _parts(folder / "tls.key", "PRIVATE KEY")
    if not chain or len(keys) != 1:
        raise BadCertificate("tls.crt holds no certificate" if not chain else "tls.key does not hold one private key")
    text = "\n".join(line.strip() for line in "\n".join([*chain, *keys]).splitlines() if line.strip()) + "\n"
    if len(text) > LONGEST:
        raise BadCertificate(f"chain and key have {len(text)} bytes, more than the {LONGEST} that HAProxy takes")
    return text


def _parts(file: Path, kind: str) -> list[str]:
    try:
        text = file.read_text("latin-1")
    except FileNotFoundError:
        raise BadCertificate(f"the Secret has no {file.name}") from None
    return [part[0] for part in _PART.finditer(text) if part[1].endswith(kind)]


def write_checked(text: str, path: Path) -> None:
    """Write a chain with its key for this user alone. Raises BadCertificate where they do not belong together."""
    path.unlink(missing_ok=True)
    path.touch(mode=0o600)
    path.write_text(text, "ascii")
    try:
        # Without a password OpenSSL would ask for one.
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(path, password="")
    except (ssl.SSLError, ValueError) as error:
        path.unlink()
        mismatch = getattr(error, "reason", None) == "KEY_VALUES_MISMATCH"
        why = "the key does not belong to the certificate" if mismatch else f"it cannot be read ({error})"
        raise BadCertificate(why) from None


def make_usable(folder: Path, path: Path) -> bool:
    """Leave a certificate that HAProxy can start with; says whether it is the last good one of an earlier start.

    An expired one is better than none: nothing else could be served. Raises BadCertificate or OSError.
    """
    if path.exists():
        return True
    fresh = path.with_suffix(".first")
    write_checked(read(folder), fresh)
    fresh.replace(path)
    return False


def fingerprint(text: str) -> str:
    """How HAProxy names the first certificate of a chain."""
    first = next(part[0] for part in _PART.finditer(text))
    return hashlib.sha1(ssl.PEM_cert_to_DER_cert(first), usedforsecurity=False).hexdigest().upper()


def parse(answer: str) -> Served:
    """Read what HAProxy says to `show ssl cert`. Raises HaproxyError."""
    said = dict(line.split(": ", 1) for line in answer.splitlines() if ": " in line)
    try:
        times = [float(ssl.cert_time_to_seconds(said[key])) for key in ("notBefore", "notAfter")]
        return Served(said["SHA1 FingerPrint"], *times)
    except (KeyError, ValueError):
        raise HaproxyError(answer.strip()[:200] or "HAProxy says nothing of its certificate") from None


@dataclass
class Keeper:
    """Keeps HAProxy's certificate as the Secret has it. `run` never returns; the rest may be asked at any time."""

    socket: str
    folder: Path
    """Where the Secret is mounted."""
    path: Path
    """The file that HAProxy starts with, and by whose name it knows the certificate."""
    served: Served | None = None
    """What HAProxy serves; None while that is not known."""
    refused: str = ""
    """Why the Secret's certificate is not served; empty when it is."""
    loads: int = 0
    failures: int = 0
    loaded_at: float = 0.0
    """When HAProxy was last given a certificate, in seconds since 1970."""
    _applied: str = ""
    _complained: tuple[str, str] = ("", "")

    @classmethod
    def build(cls, settings: Settings) -> Keeper:
        """A keeper for this replica."""
        return cls(str(settings.socket), settings.tls_dir, settings.tls_file)

    async def run(self) -> None:
        """Look again and again until cancelled."""
        while True:
            try:
                await self.look()
            except HaproxyError as error:
                # The agent tells of a HAProxy that is away.
                log.debug("the certificate waits: %s", error)
            except Exception:
                # Whatever it is, the routes must not suffer from it.
                log.exception("the certificate cannot be looked after")
                self.failures += 1
            await asyncio.sleep(WATCH_SECONDS)

    async def look(self) -> None:
        """Bring the Secret's certificate to HAProxy, if it is good and not yet there. Raises HaproxyError."""
        text = ""
        try:
            self.served = parse(await command(self.socket, f"show ssl cert {self.path}"))
            text = read(self.folder)
            if text != self._applied or fingerprint(text) != self.served.fingerprint:
                await self._apply(text)
            self.refused = ""
            self._complained = ("", "")
        except (BadCertificate, OSError) as error:
            self.refused = str(error)
            if self._complained != (text, self.refused):
                self._complained = (text, self.refused)
                self.failures += 1
                log.error("the Secret's certificate is not served: %s; the one before stays", error)

    async def _apply(self, text: str) -> None:
        fresh = self.path.with_suffix(".new")
        write_checked(text, fresh)
        answer = await command(self.socket, f"set ssl cert {self.path} <<\n{text}")
        try:
            if "Transaction" not in answer:
                raise BadCertificate(f"HAProxy does not take it ({answer.strip()[:200]})")
            _check_dates(parse(await command(self.socket, f"show ssl cert *{self.path}")), time.time())
            answer = await command(self.socket, f"commit ssl cert {self.path}")
            if "Success" not in answer:
                raise BadCertificate(f"HAProxy does not take it ({answer.strip()[:200]})")
        except BadCertificate:
            await command(self.socket, f"abort ssl cert {self.path}")
            fresh.unlink()
            raise
        fresh.replace(self.path)
        self._applied = text
        self.served = parse(await command(self.socket, f"show ssl cert {self.path}"))
        self.loads += 1
        self.loaded_at = time.time()
        until = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(self.served.not_after))
        log.info("HAProxy has the Secret's certificate, good until %s UTC", until)


def _check_dates(found: Served, now: float) -> None:
    for moment, wrong, words in (
        (found.not_after, found.not_after <= now, "it expired at"),
        (found.not_before, found.not_before > now, "it is not good before"),
    ):
        if wrong:
            raise BadCertificate(f"{words} {time.strftime('%Y-%m-%d %H:%M:%S', time.gmtime(moment))} UTC")
