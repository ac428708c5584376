# Copyright: campus.jupyterhub contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The site's certificate: what is wrong with one, and one that is signed by itself. Needs no cluster.

Private to the collection: it may change in any release.
"""

from __future__ import annotations

import binascii
import contextlib
import ipaddress
from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

with contextlib.suppress(ImportError):  # ansible-core itself needs it, so every controller has it
    from cryptography import x509
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import (
        Encoding,
        NoEncryption,
        PrivateFormat,
        PublicFormat,
        load_pem_private_key,
    )
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

SELF_SIGNED_DAYS: Final = 825
"""Apple's systems take no longer one, even from somebody they were told to trust."""

RENEW_DAYS: Final = 90
"""A self-signed certificate that is good for less is made anew by the next run."""


def problems(data: Mapping[str, str], where: str, hosts: Sequence[str], now: datetime) -> list[str]:
    """What is wrong with a certificate, as sentences that say what to do.

    Args:
        data: `tls.crt` and `tls.key` of the Secret, in base64.
        where: what the sentences call it.
        hosts: the names or addresses that people are to see; `*.` and a name stands for all names one label below it.
        now: the time, with its zone.
    """
    try:
        first = x509.load_pem_x509_certificates(_decode(data.get("tls.crt", "")))[0]
    except ValueError:
        return [f"{where} has no certificate in its tls.crt that can be read; put the chain there as PEM."]
    try:
        key = load_pem_private_key(_decode(data.get("tls.key", "")), None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return [f"{where} has no key in its tls.key that can be read; put it there as PEM, without a password."]
    found = []
    spki = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    if key.public_key().public_bytes(*spki) != first.public_key().public_bytes(*spki):
        found.append(f"The key in {where} does not belong to its first certificate; put the pair there that does.")
    if first.not_valid_after_utc <= now:
        found.append(f"The certificate in {where} expired at {_moment(first.not_valid_after_utc)}; renew it.")
    if first.not_valid_before_utc > now:
        since = _moment(first.not_valid_before_utc)
        found.append(f"The certificate in {where} is not good before {since}; use one that is, or set the clock.")
    names = names_of(first)
    for host in (host for host in hosts if not any(fits(name, host) for name in names)):
        found.append(
            f"The certificate in {where} is for {', '.join(names) or 'no name at all'}, not for {host};"
            f" get one for the {'hosts of students' if host.startswith('*') else 'host of jupyterhub_url'}, or correct"
            f" {'hub_subdomain_host' if host.startswith('*') else 'that'}."
        )
    return found


def self_signed(data: Mapping[str, str], hosts: Sequence[str], now: datetime) -> dict[str, str]:
    """The data, in base64, of a certificate for `hosts` that is signed by its own key: what is there if it will do."""
    if not problems(data, "", hosts, now + timedelta(days=RENEW_DAYS)):
        return dict(data)
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "JupyterHub, self-signed")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        # A client's clock may be behind.
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=SELF_SIGNED_DAYS - 1))
        .add_extension(x509.SubjectAlternativeName([_general_name(host) for host in hosts]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return {
        "tls.crt": b64encode(certificate.public_bytes(Encoding.PEM)).decode(),
        "tls.key": b64encode(private).decode(),
    }


def names_of(certificate: x509.Certificate) -> list[str]:
    """The names and addresses that a certificate is for. The common name counts for nothing, as with every browser."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, ValueError):
        return []
    return [str(name.value) for name in names if isinstance(name, (x509.DNSName, x509.IPAddress))]


def fits(name: str, host: str) -> bool:
    """Whether a certificate's name covers a host; a `*` stands for one label, the first."""
    address = _address(host)
    if address or _address(name):
        return _address(name) == address
    name, host = name.lower().rstrip("."), host.lower().rstrip(".")
    label, _dot, rest = host.partition(".")
    return name == host or (name == f"*.{rest}" and bool(label and rest))


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text.strip("[]"))
    except ValueError:
        return None


def _general_name(host: str) -> x509.GeneralName:
    address = _address(host)
    return x509.IPAddress(address) if address else x509.DNSName(host)


def _decode(text: str) -> bytes:
    try:
        return b64decode(text, validate=True)
    except binascii.Error:
        return b""


def _moment(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"
