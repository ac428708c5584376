"""A visitor by https who keeps one connection and looks closely at it."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from ansible_collections.campus.jupyterhub.tests.unit.images.proxy.fakes import Haproxy
from campus_proxy import certificate

HOST = "hub.example.org"


class Visitor:
    """One TLS connection that stays open."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    @classmethod
    @asynccontextmanager
    async def at(cls, haproxy: Haproxy, context: ssl.SSLContext | None = None) -> AsyncIterator[Visitor]:
        """Connect, believing any certificate."""
        if context is None:
            context = any_certificate()
        port = haproxy.settings.https_port
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname=HOST)
        try:
            yield cls(reader, writer)
        finally:
            writer.transport.abort()

    @property
    def tls(self) -> ssl.SSLObject:
        """What was agreed on."""
        found: ssl.SSLObject = self.writer.get_extra_info("ssl_object")
        return found

    @property
    def sees(self) -> str:
        """The fingerprint of the certificate that came."""
        der = self.tls.getpeercert(binary_form=True)
        assert der
        return certificate.fingerprint(ssl.DER_cert_to_PEM_cert(der))

    async def get(self, path: str = "/hub/home") -> int:
        """Ask over this very connection; returns the status."""
        self.writer.write(f"GET {path} HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
        head = await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), 10)
        length = next(int(line.split(b":")[1]) for line in head.lower().splitlines() if b"content-length" in line)
        await self.reader.readexactly(length)
        return int(head.split()[1])


def any_certificate() -> ssl.SSLContext:
    """A client that believes everything."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
