# Copyright: campus.jupyterhub contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The one place where the modules talk to Kubernetes; it hands out plain dictionaries and readable errors.

Connections are made by kubernetes.core, so that its options, its K8S_AUTH_* environment and AWX's credentials all work.
Private to the collection: it may change in any release.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

from ansible_collections.kubernetes.core.plugins.module_utils.args_common import AUTH_ARG_SPEC
from ansible_collections.kubernetes.core.plugins.module_utils.k8s.client import get_api_client
from ansible_collections.kubernetes.core.plugins.module_utils.k8s.core import AnsibleK8SModule
from ansible_collections.kubernetes.core.plugins.module_utils.k8s.exceptions import CoreException

try:
    from kubernetes.client.exceptions import ApiException
    from kubernetes.config.config_exception import ConfigException
    from kubernetes.dynamic.exceptions import DynamicApiError, ResourceNotFoundError, ResourceNotUniqueError
    from urllib3.exceptions import HTTPError
except ImportError:  # AnsibleK8SModule reports the missing library by name
    pass

Json = dict[str, Any]

AUTH_SPEC: Json = dict(AUTH_ARG_SPEC)
REQUEST_SECONDS = 30
PAGE = 500

UNREACHABLE = "Check that the API server is up and that kubeconfig, context or K8S_AUTH_* name the right cluster."
HINTS = {
    401: "Check the credentials: kubeconfig, context or K8S_AUTH_*.",
    403: "Grant it to the account that runs the play.",
    404: "Check the name and the namespace.",
    409: "Someone else changed it meanwhile; run again.",
    422: "An option gave it a value that the cluster does not take.",
    429: "The API server is busy; run again later.",
}


# No answer, or one of a server that is busy or restarts.
PASSING = frozenset({0, 408, 429, 500, 502, 503, 504})


class ClusterError(Exception):
    """A failed request as ``Could not <verb> <what>: <reason>. <hint>``; ``status`` is the HTTP code or 0."""

    def __init__(self, verb: str, what: str, reason: str, hint: str, status: int = 0) -> None:
        super().__init__(f"Could not {verb} {what}: {' '.join(reason.split()).rstrip('.')}. {hint}".rstrip())
        self.status = status
        self.unknown_kind = False


def new_module(argument_spec: Json, **kwargs: Any) -> Any:
    """Return an AnsibleK8SModule whose arguments include those of kubernetes.core for the connection."""
    return AnsibleK8SModule(argument_spec={**AUTH_SPEC, **argument_spec}, **kwargs)


def title(kind: str, name: str | None, namespace: str | None) -> str:
    """Return what an error calls an object or a list of them."""
    if name:
        return f"{kind} {namespace}/{name}" if namespace else f"{kind} {name}"
    return f"{kind} objects in {namespace}" if namespace else f"{kind} objects"


@contextmanager
def explained(verb: str, what: str) -> Iterator[None]:
    """Turn whatever the client raises into a ClusterError."""
    try:
        yield
    except (DynamicApiError, ApiException) as error:
        status = int(getattr(error, "status", 0) or 0)
        hint = HINTS.get(status, "Read the API server's log for more.")
        raise ClusterError(verb, what, reason_of(error), hint, status) from error
    except (ResourceNotFoundError, ResourceNotUniqueError) as error:
        hint = "Check the cluster's version and its custom resources."
        unknown = ClusterError(verb, what, "the cluster does not know this kind", hint, 404)
        unknown.unknown_kind = True
        raise unknown from error
    except (CoreException, ConfigException, HTTPError, OSError) as error:
        raise ClusterError(verb, what, connection_reason(error), UNREACHABLE) from error


def reason_of(error: Any) -> str:
    """Return the API server's own message out of an error answer."""
    body = getattr(error, "body", None)
    text = body.decode(errors="replace") if isinstance(body, bytes) else str(body or "")
    try:
        message = json.loads(text).get("message", "")
    except (ValueError, AttributeError):
        message = text
    return str(message or getattr(error, "reason", "") or error)


def connection_reason(error: BaseException) -> str:
    """Return the innermost words of a failed connection, without the client's object addresses."""
    inner = getattr(error, "reason", None)
    text = str(inner if inner else error)
    return text.split(">: ", 1)[-1]


class Cluster:
    """A Kubernetes cluster; every method raises ClusterError."""

    def __init__(self, client: Any) -> None:
        """``client`` is kubernetes.core's K8SClient."""
        self._client = client

    def get(self, kind: str, name: str, namespace: str | None = None, api_version: str = "v1") -> Json | None:
        """Return one object, or None when it is not there; nothing has an empty name."""
        if not name:
            # The API server would answer with a list of them all.
            return None
        with explained("read", title(kind, name, namespace)):
            resource = self._client.resource(kind, api_version)
            try:
                found = resource.get(name=name, namespace=namespace, _request_timeout=REQUEST_SECONDS)
            except DynamicApiError as error:
                if error.status == 404:
                    return None
                raise
            return dict(found.to_dict())

    def list(
        self,
        kind: str,
        api_version: str = "v1",
        namespace: str | None = None,
        label_selector: str | None = None,
        field_selector: str | None = None,
    ) -> list[Json]:
        """Return the objects that match, fetched a page at a time."""
        return [*self.each(kind, api_version, namespace, label_selector, field_selector)]

    def each(
        self,
        kind: str,
        api_version: str = "v1",
        namespace: str | None = None,
        label_selector: str | None = None,
        field_selector: str | None = None,
    ) -> Iterator[Json]:
        """Yield the objects that match; no more than a page of them is held at a time."""
        query = {"label_selector": label_selector, "field_selector": field_selector}
        chosen = {key: value for key, value in query.items() if value}
        with explained("list", title(kind, None, namespace)):
            get = partial(self._client.resource(kind, api_version).get, namespace=namespace, **chosen)
            for page in _pages(get):
                for item in page:
                    yield {"apiVersion": api_version, "kind": kind, **item}

    def namespaced(self, kind: str, api_version: str) -> bool:
        """Say whether objects of this kind live in a namespace."""
        with explained("read", f"the kind {kind}"):
            return bool(self._client.resource(kind, api_version).namespaced)

    def apply(self, item: Json, field_manager: str, dry_run: bool = False) -> Json:
        """Apply an object server-side and return it as it is then; with ``dry_run`` the API server only tries it."""
        meta = item["metadata"]
        with explained("apply", title(item["kind"], meta["name"], meta.get("namespace"))):
            resource = self._client.resource(item["kind"], item["apiVersion"])
            answer = resource.server_side_apply(
                body=item,
                name=meta["name"],
                namespace=meta.get("namespace"),
                field_manager=field_manager,
                force_conflicts=True,
                _request_timeout=REQUEST_SECONDS,
                **({"dry_run": "All"} if dry_run else {}),
            )
            return dict(answer.to_dict())

    def create(self, item: Json) -> Json:
        """Make an object and return it; one of that name is an error with status 409."""
        meta = item["metadata"]
        with explained("create", title(item["kind"], meta.get("name"), meta.get("namespace"))):
            resource = self._client.resource(item["kind"], item["apiVersion"])
            answer = resource.create(body=item, namespace=meta.get("namespace"), _request_timeout=REQUEST_SECONDS)
            return dict(answer.to_dict())

    def patch(self, kind: str, name: str, namespace: str | None, body: Json, api_version: str = "v1") -> Json:
        """Merge ``body`` into an object and return it as it is then."""
        with explained("change", title(kind, name, namespace)):
            answer = self._client.resource(kind, api_version).patch(
                body=body,
                name=name,
                namespace=namespace,
                content_type="application/merge-patch+json",
                _request_timeout=REQUEST_SECONDS,
            )
            return dict(answer.to_dict())

    def delete(self, kind: str, name: str, namespace: str | None, uid: str, api_version: str = "v1") -> bool:
        """Ask for the end of the very object that has this uid, and say whether it was there."""
        with explained("delete", title(kind, name, namespace)):
            body = {"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": {"uid": uid}}
            try:
                self._client.resource(kind, api_version).delete(
                    name=name, namespace=namespace, body=body, _request_timeout=REQUEST_SECONDS
                )
            except DynamicApiError as error:
                if error.status == 404:
                    return False
                raise
            return True

    def logs(self, pod: str, namespace: str, container: str, lines: int, previous: bool = False) -> str:
        """Return the last ``lines`` lines of a container, or the run before when ``previous``."""
        path = f"/api/v1/namespaces/{namespace}/pods/{pod}/log"
        query = [("container", container), ("tailLines", str(lines)), ("previous", str(previous).lower())]
        with explained("read the log of", title("Pod", pod, namespace)):
            return self._read(path, query, "*/*")

    def volumes_in_use(self, node: str) -> Sequence[Json]:
        """Return what kubelet measures of the volumes of a node's pods; ``pvcRef`` names the claim."""
        path = f"/api/v1/nodes/{node}/proxy/stats/summary"
        with explained("read the volume figures of", title("Node", node, None)):
            pods = json.loads(self._read(path, [], "application/json")).get("pods") or []
        return [volume for pod in pods for volume in pod.get("volume") or [] if volume.get("pvcRef")]

    def uid(self) -> str:
        """Return the uid of the kube-system namespace, which tells this cluster from every other."""
        found = self.get("Namespace", "kube-system")
        if not found:
            raise ClusterError("read", "Namespace kube-system", "it is not there", UNREACHABLE, 404)
        return str(found["metadata"]["uid"])

    def expect_uid(self, wanted: str) -> None:
        """Raise ClusterError when a uid is wanted and this is not the cluster that has it."""
        if wanted and wanted != self.uid():
            hint = "Point kubeconfig, context or K8S_AUTH_* at the right cluster, or correct jupyterhub_cluster_uid."
            raise ClusterError("use", "this cluster", f"its uid is {self.uid()}, not {wanted}", hint)

    def version(self) -> str:
        """Return the version of the API server, such as v1.36.3."""
        with explained("read", "the version of Kubernetes"):
            return str(json.loads(self._read("/version", [], "application/json"))["gitVersion"])

    def _read(self, path: str, query: Sequence[tuple[str, str]], accept: str) -> str:
        """Return the text that a path outside of the resources answers with."""
        answer = self._client.client.request(
            "get",
            path,
            query_params=[*query],
            header_params={"Accept": accept},
            serialize=False,
            _request_timeout=REQUEST_SECONDS,
        )
        return str(answer.data.decode(errors="replace"))


def _pages(get: Callable[..., Any]) -> Iterator[list[Json]]:
    """Yield the items of each page of a list."""
    token = None
    while True:
        found = get(limit=PAGE, _continue=token, _request_timeout=REQUEST_SECONDS).to_dict()
        yield found.get("items") or []
        token = (found.get("metadata") or {}).get("continue")
        if not token:
            return


def connect(module: Any) -> Cluster:
    """Return the cluster that the module's arguments or the environment name; raises ClusterError."""
    with explained("reach", "the cluster"):
        return Cluster(get_api_client(module=module))
