"""Routes in the Kubernetes API: the few calls that the proxy class makes, in plain dictionaries."""

from __future__ import annotations

import json
from collections.abc import Awaitable
from typing import Any, ClassVar

import aiohttp
from kubernetes_asyncio.client import ApiException
from kubespawner.clients import load_config, shared_client

from campus_hub.fence import FENCE
from campus_hub.routes import Manifest

# The API server is slow, restarting or throttling: the same call may succeed later.
PASSING = frozenset({0, 408, 429, 500, 502, 503, 504})


class StoreError(Exception):
    """An API call that failed.

    status is the HTTP status, 0 without an answer; passing says whether trying again may help.
    """

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(f"{status} {reason}" if status else reason)
        self.status = status
        self.passing = status in PASSING


def held() -> None:
    """Pass if this hub may change things now; to be called before each change. Raises StoreError, which may pass."""
    if not FENCE.is_open():
        raise StoreError(0, "this hub does not hold the Lease, so it changes nothing")


class RouteStore:
    """EndpointSlices and pods of one namespace. request_timeout: seconds for one call."""

    GROUP: ClassVar[dict[str, str]] = {"group": "discovery.k8s.io", "version": "v1", "plural": "endpointslices"}

    def __init__(self, namespace: str, request_timeout: float = 10) -> None:
        self.namespace = namespace
        self.request_timeout = request_timeout
        load_config()

    @property
    def _slices(self) -> dict[str, Any]:
        return {**self.GROUP, "namespace": self.namespace, "_request_timeout": self.request_timeout}

    async def list(self, selector: str) -> list[Manifest]:
        """Return the slices that carry the labels. Raises StoreError."""
        api = shared_client("CustomObjectsApi")
        answer = await ask(api.list_namespaced_custom_object(**self._slices, label_selector=selector))
        return list(answer.get("items") or [])

    async def read(self, name: str) -> Manifest:
        """Return one slice. Raises StoreError, with status 404 when there is none."""
        return await ask(shared_client("CustomObjectsApi").get_namespaced_custom_object(**self._slices, name=name))

    async def create(self, manifest: Manifest) -> Manifest:
        """Create a slice and return it as stored. Raises StoreError, with status 409 when the name is taken."""
        held()
        return await ask(
            shared_client("CustomObjectsApi").create_namespaced_custom_object(**self._slices, body=manifest)
        )

    async def replace(self, manifest: Manifest) -> Manifest:
        """Replace a slice of the same uid and resourceVersion.

        Raises StoreError, with status 409 when it changed meanwhile.
        """
        held()
        name = manifest["metadata"]["name"]
        api = shared_client("CustomObjectsApi")
        return await ask(api.replace_namespaced_custom_object(**self._slices, name=name, body=manifest))

    async def delete(self, name: str, uid: str = "") -> None:
        """Delete a slice, of this uid only if one is given; none there is fine. Raises StoreError."""
        held()
        body: dict[str, Any] = {"apiVersion": "v1", "kind": "DeleteOptions"}
        if uid:
            body["preconditions"] = {"uid": uid}
        api = shared_client("CustomObjectsApi")
        try:
            await ask(api.delete_namespaced_custom_object(**self._slices, name=name, body=body))
        except StoreError as error:
            if error.status != 404:
                raise

    async def delete_pod(self, name: str, namespace: str) -> None:
        """Delete a pod, with the time that it wants to end in; none there is fine. Raises StoreError."""
        held()
        call = shared_client("CoreV1Api").delete_namespaced_pod
        try:
            await ask(call(name=name, namespace=namespace, _request_timeout=self.request_timeout))
        except StoreError as error:
            if error.status != 404:
                raise

    async def read_pod(self, name: str, namespace: str = "") -> Manifest | None:
        """Return a pod as it is now, None if there is none. Raises StoreError."""
        return await read_pod(name, namespace or self.namespace, self.request_timeout)


async def read_pod(name: str, namespace: str, request_timeout: float) -> Manifest | None:
    """Return a pod as it is now (not from a cache), None if there is none. Raises StoreError."""
    return await _read("read_namespaced_pod", name, namespace, request_timeout)


async def read_claim(name: str, namespace: str, request_timeout: float) -> Manifest | None:
    """Return a PersistentVolumeClaim, None if there is none. Raises StoreError."""
    return await _read("read_namespaced_persistent_volume_claim", name, namespace, request_timeout)


async def grow_claim(claim: Manifest, size: str, request_timeout: float) -> None:
    """Ask for a larger PersistentVolumeClaim. Raises StoreError, with status 409 when it changed since it was read."""
    held()
    metadata = claim["metadata"]
    patch = {
        "metadata": {"resourceVersion": metadata["resourceVersion"]},
        "spec": {"resources": {"requests": {"storage": size}}},
    }
    await ask(
        shared_client("CoreV1Api").patch_namespaced_persistent_volume_claim(
            metadata["name"],
            metadata["namespace"],
            patch,
            _content_type="application/merge-patch+json",
            _request_timeout=request_timeout,
        )
    )


async def _read(method: str, name: str, namespace: str, request_timeout: float) -> Manifest | None:
    """Read an object as plain JSON: the client's own models refuse what they do not expect."""
    call = getattr(shared_client("CoreV1Api"), method)

    async def read() -> Manifest:
        response = await call(name=name, namespace=namespace, _request_timeout=request_timeout, _preload_content=False)
        async with response:
            if response.status != 200:
                raise StoreError(response.status, response.reason or "")
            found: Manifest = await response.json()
            return found

    try:
        return await ask(read())
    except StoreError as error:
        if error.status == 404:
            return None
        raise


async def ask(call: Awaitable[Any]) -> Manifest:
    """Await an API call and turn every way in which it can fail into a StoreError."""
    try:
        answer: Manifest = await call
        return answer
    except ApiException as error:
        raise StoreError(error.status or 0, _message(error)) from error
    except TimeoutError as error:
        raise StoreError(0, "the API server did not answer in time") from error
    except (aiohttp.ClientError, OSError) as error:
        raise StoreError(0, f"the API server could not be reached: {error}") from error


def _message(error: ApiException) -> str:
    """Return what the API server says about a failure; it names the quota or the policy that refused."""
    try:
        return str(json.loads(error.body)["message"])
    except (ValueError, KeyError, TypeError):
        return str(error.reason)
