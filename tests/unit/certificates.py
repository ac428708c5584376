"""Real certificates for tests, made anew each time."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


@dataclass(frozen=True)
class Pair:
    """A certificate and its key, as PEM."""

    certificate: str
    key: str

    def mount(self, folder: Path) -> Path:
        """Put them where a mounted Secret has them, the way the kubelet does; returns the folder."""
        version = folder / f"..{len(list(folder.glob('..*')))}" if folder.exists() else folder / "..0"
        version.mkdir(parents=True)
        for name, text in (("tls.crt", self.certificate), ("tls.key", self.key)):
            (version / name).write_text(text)
            if not (folder / name).is_symlink():
                (folder / name).symlink_to(Path("..data") / name)
        (folder / "..new").symlink_to(version.name)
        (folder / "..new").replace(folder / "..data")
        return folder


def make_pair(*hosts: str, days: float = 30, begins: float = 0, name: str = "", issuer: str = "") -> Pair:
    """A certificate signed by its own key for names or addresses.

    It is good from `begins` days after yesterday, for `days` days from now on; `name` is its common name, and `issuer`
    that of whoever it says that it is from.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.now(UTC)
    subject, signer = (
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)] if text else []) for text in (name, issuer or name)
    )
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(signer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(min(now + timedelta(days=begins - 1), now + timedelta(days=days - 1)))
        .not_valid_after(now + timedelta(days=days))
    )
    if hosts:
        builder = builder.add_extension(x509.SubjectAlternativeName([_name(host) for host in hosts]), critical=False)
    certificate = builder.sign(key, hashes.SHA256())
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return Pair(certificate.public_bytes(serialization.Encoding.PEM).decode(), private.decode())


def _name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)
