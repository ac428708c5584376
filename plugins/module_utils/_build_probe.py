# Copyright: campus.jupyterhub contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Asks registries whether they have an image, as container runtimes do, without a login.

Private to the collection: it may change in any release.
"""

from __future__ import annotations

import json
import re
import ssl
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Collection, Mapping
from concurrent.futures import ThreadPoolExecutor

from ansible_collections.campus.jupyterhub.plugins.module_utils._images import ImagesError
from ansible_collections.campus.jupyterhub.plugins.module_utils._images_source import (
    MISSING,
    REFUSED,
    SILENT,
    THERE,
    Reference,
    parse_reference,
)

SECONDS = 4
ACCEPT = ", ".join(
    [
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.v2+json",
    ]
)
CHALLENGE = re.compile(r'(\w+)="([^"]*)"')


def answer_of(status: int) -> str:
    """Return what a registry's HTTP status means for a reference."""
    if status < 300:
        return THERE
    if status in (401, 403):
        return REFUSED
    return MISSING if status == 404 else SILENT


def token_url(challenge: str) -> str | None:
    """Return where a registry hands out a token to anybody, or None when it wants a password."""
    kind, _space, rest = challenge.partition(" ")
    fields = dict(CHALLENGE.findall(rest))
    if kind.lower() != "bearer" or "realm" not in fields:
        return None
    query = {key: fields[key] for key in ("service", "scope") if key in fields}
    return f"{fields['realm']}?{urllib.parse.urlencode(query)}"


class Probe:
    """Asks registries; ``ca_bundle`` is a file of trusted certificates besides the system's. Raises ImagesError."""

    def __init__(self, ca_bundle: str = "") -> None:
        context = ssl.create_default_context()
        try:
            if ca_bundle:
                context.load_verify_locations(ca_bundle)
        except OSError as error:
            raise ImagesError(
                f"images_ca_bundle is {ca_bundle}, which is no file of certificates in PEM form."
            ) from error
        self._opener = urllib.request.build_opener(urllib.request.HTTPSHandler(context=context))

    def ask(self, reference: str) -> str:
        """Return there, missing, refused or silent."""
        parsed = parse_reference(reference)
        status, challenge = self._head(parsed, {})
        if status == 401:
            token = self._token(challenge)
            if token:
                status, _challenge = self._head(parsed, {"Authorization": f"Bearer {token}"})
        return answer_of(status)

    def ask_all(self, references: Collection[str]) -> dict[str, str]:
        """Return the answer for each reference; all are asked at once, so that silence costs its seconds only once."""
        wanted = sorted(set(references))
        if not wanted:
            return {}
        with ThreadPoolExecutor(max_workers=len(wanted)) as pool:
            return dict(zip(wanted, pool.map(self.ask, wanted), strict=True))

    def _head(self, reference: Reference, headers: Mapping[str, str]) -> tuple[int, str]:
        """Return status and WWW-Authenticate of a manifest, the status 599 when nobody answers."""
        scheme = "http" if reference.plain_http else "https"
        url = f"{scheme}://{reference.api_host}/v2/{reference.repository}/manifests/{reference.manifest}"
        request = urllib.request.Request(url, headers={"Accept": ACCEPT, **headers}, method="HEAD")
        try:
            with self._opener.open(request, timeout=SECONDS) as answer:
                return answer.status, ""
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.headers.get("WWW-Authenticate", "")
        except (OSError, ValueError):
            return 599, ""

    def _token(self, challenge: str) -> str:
        url = token_url(challenge)
        if not url or not url.startswith(("https://", "http://")):
            return ""
        try:
            with self._opener.open(url, timeout=SECONDS) as answer:
                body = json.load(answer)
        except (OSError, ValueError):
            return ""
        return str(body.get("token") or body.get("access_token") or "")
