"""Hands what the API sends to the routing table."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from campus_proxy.kube import Object
from campus_proxy.routes import metadata_of
from campus_proxy.table import Table


@dataclass
class SliceSink:
    """Hands slices to the table."""

    table: Table

    def replace(self, items: Iterable[Object]) -> None:
        """Take a whole list."""
        self.table.replace_slices(items)

    def put(self, obj: Object) -> None:
        """Take a new or changed slice."""
        self.table.put_slice(obj)

    def drop(self, obj: Object) -> None:
        """Take note that a slice is gone."""
        self.table.drop_slice(obj)


@dataclass
class PodSink:
    """Hands pods to the table."""

    table: Table

    def replace(self, items: Iterable[Object]) -> None:
        """Take a whole list."""
        self.table.replace_pods(items)

    def put(self, obj: Object) -> None:
        """Take a new or changed pod."""
        self.table.put_pod(obj)

    def drop(self, obj: Object) -> None:
        """Take note that a pod is gone."""
        self.table.drop_pod(obj)


def trim_pod(obj: Object) -> Object:
    """The few fields of a pod that count, so that a list of thousands does not have to be kept whole."""
    metadata, status = metadata_of(obj), obj.get("status")
    return {
        "metadata": {key: metadata.get(key) for key in ("name", "uid", "resourceVersion")},
        "status": {key: status.get(key) for key in ("phase", "podIP", "podIPs")} if isinstance(status, dict) else {},
    }
