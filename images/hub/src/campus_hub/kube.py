"""What the election asks of the Kubernetes API: the Lease, and the label of the hub that serves."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import aiohttp
from kubernetes_asyncio.client import ApiClient, ApiException

from campus_hub.lease import Record

LABELS = {"app": "jupyterhub", "component": "hub"}
ACTIVE = "hub-active"
# When there are to be fewer hubs, the one that serves is the last to go.
COST = "controller.kubernetes.io/pod-deletion-cost"

# Seconds for one call.
BOUND = 5


class KubeError(Exception):
    """An API call that failed; status is the HTTP status, 0 without an answer."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(f"{status} {reason}" if status else reason)
        self.status = status


async def call(
    client: ApiClient,
    method: str,
    path: str,
    body: Mapping[str, Any] | None = None,
    *,
    query: Mapping[str, str] | None = None,
    content: str = "application/json",
) -> dict[str, Any]:
    """Return the answer of the API server as plain JSON. Raises KubeError."""
    try:
        response = await client.call_api(
            path,
            method,
            query_params=list((query or {}).items()),
            header_params={"Accept": "application/json", "Content-Type": content},
            body=body,
            auth_settings=["BearerToken"],
            _preload_content=False,
            _request_timeout=BOUND,
        )
        async with response:
            if response.status >= 400:
                raise KubeError(response.status, response.reason or "")
            answer: dict[str, Any] = await response.json()
            return answer
    except ApiException as error:
        raise KubeError(error.status or 0, str(error.reason)) from error
    except TimeoutError as error:
        raise KubeError(0, "the API server did not answer in time") from error
    except (aiohttp.ClientError, OSError) as error:
        raise KubeError(0, f"the API server could not be reached: {error}") from error


class HubLease:
    """The Lease of one name in one namespace."""

    def __init__(self, client: ApiClient, namespace: str, name: str) -> None:
        self._client = client
        self._metadata = {"name": name, "namespace": namespace, "labels": LABELS}
        self._folder = f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases"
        self._path = f"{self._folder}/{name}"

    async def read(self) -> Record | None:
        """Return the Lease, None if there is none. Raises KubeError."""
        try:
            return record(await call(self._client, "GET", self._path))
        except KubeError as error:
            if error.status == 404:
                return None
            raise

    async def write(self, seen: Record | None, holder: str, duration: int) -> Record:
        """Write the Lease if it is still as seen. Raises KubeError, with status 404 or 409 when it is not."""
        body = manifest(self._metadata, seen, holder, duration, datetime.now(UTC))
        if seen is None:
            return record(await call(self._client, "POST", self._folder, body))
        return record(await call(self._client, "PUT", self._path, body))


def record(lease: Mapping[str, Any]) -> Record:
    """Return what counts of a Lease; one that does not say for how long it holds, holds for no time."""
    spec = lease.get("spec") or {}
    version = lease["metadata"]["resourceVersion"]
    return Record(version, spec.get("holderIdentity") or "", float(spec.get("leaseDurationSeconds") or 0))


def manifest(
    metadata: Mapping[str, Any], seen: Record | None, holder: str, duration: int, moment: datetime
) -> dict[str, Any]:
    """Return the Lease to write; the moment is for people, nobody compares it."""
    version = {"resourceVersion": seen.version} if seen else {}
    stamp = moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    return {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {**metadata, **version},
        "spec": {"holderIdentity": holder, "leaseDurationSeconds": duration, "renewTime": stamp},
    }


class HubPods:
    """The label by which the Service finds the hub that serves."""

    def __init__(self, client: ApiClient, namespace: str) -> None:
        self._client = client
        self._folder = f"/api/v1/namespaces/{namespace}/pods"

    async def marked(self) -> set[str]:
        """Return the names of the hub's pods that carry the label. Raises KubeError."""
        selector = ",".join(f"{key}={value}" for key, value in {**LABELS, ACTIVE: "true"}.items())
        found = await call(self._client, "GET", self._folder, query={"labelSelector": selector})
        return {pod["metadata"]["name"] for pod in found["items"]}

    async def mark(self, pod: str, active: bool) -> None:
        """Set the label on a pod or take it away; a pod that is gone is fine. Raises KubeError."""
        labels = {ACTIVE: "true" if active else None}
        body = {"metadata": {"labels": labels, "annotations": {COST: "100" if active else None}}}
        try:
            await call(self._client, "PATCH", f"{self._folder}/{pod}", body, content="application/merge-patch+json")
        except KubeError as error:
            if error.status != 404:
                raise
