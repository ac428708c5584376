# Copyright: campus.jupyterhub contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What may be asked of a cluster, a verb each: a file names those that it needs, and a test gives it no more.

Cluster has them all. Private to the collection: it may change in any release.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

Json = dict[str, Any]


class Gets(Protocol):
    """Reads one object."""

    def get(self, kind: str, name: str, namespace: str | None = None, api_version: str = "v1") -> Json | None:
        """Return one object, or None when it is not there."""


class Lists(Protocol):
    """Reads many objects."""

    def list(
        self,
        kind: str,
        api_version: str = "v1",
        namespace: str | None = None,
        label_selector: str | None = None,
        field_selector: str | None = None,
    ) -> list[Json]:
        """Return the objects that match."""


class Yields(Protocol):
    """Reads a great many objects."""

    def each(
        self,
        kind: str,
        api_version: str = "v1",
        namespace: str | None = None,
        label_selector: str | None = None,
    ) -> Iterator[Json]:
        """Yield the objects that match; no more than a page of them is held at a time."""


class Identifies(Protocol):
    """Knows which cluster it is."""

    def uid(self) -> str:
        """Return the uid of the cluster."""

    def expect_uid(self, wanted: str) -> None:
        """Raise ClusterError when this is another cluster."""


class Logs(Protocol):
    """Reads what a container wrote."""

    def logs(self, pod: str, namespace: str, container: str, lines: int, previous: bool = False) -> str:
        """Return the last lines of a container's log."""


class Creates(Protocol):
    """Makes objects."""

    def create(self, item: Json) -> Json:
        """Make an object and return it."""


class Patches(Protocol):
    """Changes objects."""

    def patch(self, kind: str, name: str, namespace: str | None, body: Json, api_version: str = "v1") -> Json:
        """Merge ``body`` into an object and return it as it is then."""


class Deletes(Protocol):
    """Removes objects."""

    def delete(self, kind: str, name: str, namespace: str | None, uid: str, api_version: str = "v1") -> bool:
        """Ask for the end of the very object that has this uid, and say whether it was there."""
