# Copyright: campus.jupyterhub contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Where an image comes from: references, what a registry answered, and the choice between both. Pure.

Private to the collection: it may change in any release.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from ansible_collections.campus.jupyterhub.plugins.module_utils._images import ImagesError

SOURCES = ("auto", "registry", "build")
# What a registry says about a reference.
THERE, MISSING, REFUSED, SILENT = "there", "missing", "refused", "silent"

REFERENCE = re.compile(
    r"^(?:(?P<host>[a-zA-Z0-9.-]+(?::\d+)?|\[[0-9a-fA-F:]+\](?::\d+)?)/)?"
    r"(?P<repository>[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*)*)"
    r"(?::(?P<tag>[\w][\w.-]{0,127}))?(?:@(?P<digest>sha256:[0-9a-f]{64}))?$"
)


@dataclass(frozen=True)
class Reference:
    """An image's name taken apart."""

    host: str
    repository: str
    tag: str
    digest: str

    @property
    def manifest(self) -> str:
        """Return how the registry's API names this version."""
        return self.digest or self.tag

    @property
    def api_host(self) -> str:
        """Return the host that answers for the registry."""
        return "registry-1.docker.io" if self.host == "docker.io" else self.host

    @property
    def plain_http(self) -> bool:
        """Say whether the registry is on this machine, where no TLS is spoken."""
        name = self.host.rsplit(":", 1)[0]
        return name in {"localhost", "127.0.0.1", "[::1]"}


def parse_reference(text: str) -> Reference:
    """Return the parts of an image's name, with Docker's own defaults; raises ImagesError."""
    found = REFERENCE.match(text)
    if not found:
        raise ImagesError(f"'{text}' is not the name of an image; write it as registry.example.edu/folder/name:tag.")
    host, repository = found["host"] or "", found["repository"]
    if host and not (set(host) & set(".:") or host == "localhost"):
        host, repository = "", f"{host}/{repository}"
    if not host:
        host, repository = "docker.io", repository if "/" in repository else f"library/{repository}"
    return Reference(host, repository, found["tag"] or ("" if found["digest"] else "latest"), found["digest"] or "")


def own_reference(prefix: str, name: str, tag: str) -> str:
    """Return where an image of the collection lies in a registry of the user's."""
    return f"{prefix.rstrip('/')}/campus-{name.replace('_', '-')}:{tag}"


def local_reference(registry: str, name: str, tag: str) -> str:
    """Return where an image lies in the local registry, such as localhost:5001."""
    return f"{registry}/campus/{name}:{tag}"


def choose_source(
    source: str, name: str, candidates: Sequence[str], answers: Mapping[str, str], named: Collection[str]
) -> str:
    """Return the first reference that a registry has, or nothing where the image is to be built.

    ``named`` are the hosts of registries that the user named, whose refusal is an error and no reason to build. Raises
    ImagesError when the user's wish cannot be met.
    """
    if source == "build":
        return ""
    if source == "registry" and not candidates:
        raise ImagesError(f"images_source is registry, but no registry has the image {name}; set images_registry.")
    for reference in candidates:
        if answers.get(reference) == THERE:
            return reference
    for reference in candidates:
        host = parse_reference(reference).host
        if answers.get(reference) == REFUSED and (source == "registry" or host in named):
            raise ImagesError(
                f"The registry {host} answers 401 for {reference}: it wants a login that the cluster's nodes do not "
                "have; allow it to be read without one, or set images_source to build."
            )
    if source == "auto":
        return ""
    reference = candidates[0]
    reason = f"does not have {reference}" if answers.get(reference) == MISSING else "does not answer"
    host = parse_reference(reference).host
    raise ImagesError(f"The registry {host} {reason}; put the image there, or set images_source to auto or build.")


def newer_or_same(version: str, wanted: str) -> bool:
    """Say whether a version such as v0.33.0 is at least the wanted one; what is no version is not."""
    numbers = [re.match(r"v?(\d+)\.(\d+)(?:\.(\d+))?", text) for text in (version, wanted)]
    if not all(numbers):
        return False
    have, want = ([int(part or 0) for part in found.groups()] for found in numbers if found)
    return have >= want
