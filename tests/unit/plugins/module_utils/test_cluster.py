"""Whatever the client raises becomes one sentence with what to do."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.campus.jupyterhub.plugins.module_utils._cluster import (
    Cluster,
    ClusterError,
    explained,
    title,
)
from kubernetes.client.exceptions import ApiException
from kubernetes.config.config_exception import ConfigException
from kubernetes.dynamic.exceptions import ResourceNotFoundError, api_exception
from urllib3.exceptions import MaxRetryError


def answer(status: int, body: str) -> ApiException:
    """Return an error answer of the API server."""
    error = ApiException(status=status, reason="Reason")
    error.body = body
    return error


CASES = [
    (answer(403, '{"message": "user x cannot get pods"}'), "user x cannot get pods. Grant it", 403),
    (answer(404, '{"message": "pods \\"p\\" not found"}'), 'pods "p" not found. Check the name', 404),
    (answer(500, "<html>"), "<html>. Read the API server's log", 500),
    (answer(502, ""), "Reason. Read the API server's log", 502),
    (ConfigException("no file"), "no file. Check that the API server is up", 0),
    (OSError("no route"), "no route. Check that the API server is up", 0),
    (MaxRetryError(None, "/", OSError("<obj at 0x1>: refused")), "refused. Check that", 0),
    (ResourceNotFoundError("x"), "the cluster does not know this kind. Check the cluster's version", 404),
]


@pytest.mark.parametrize(("error", "text", "status"), CASES)
def test_errors(error: Exception, text: str, status: int) -> None:
    with pytest.raises(ClusterError) as raised, explained("read", "Pod n/p"):
        raise error
    assert str(raised.value).startswith(f"Could not read Pod n/p: {text}")
    assert "\n" not in str(raised.value)
    assert raised.value.status == status
    assert raised.value.unknown_kind is isinstance(error, ResourceNotFoundError)


def test_titles() -> None:
    assert title("Pod", "p", "n") == "Pod n/p"
    assert title("Node", "a", None) == "Node a"
    assert title("Pod", None, "n") == "Pod objects in n"
    assert title("Node", None, None) == "Node objects"


def cluster_of(**kinds: Any) -> Cluster:
    """Return a cluster whose client answers a get with the given functions, by kind."""

    def resource(kind: str, api_version: str) -> Any:
        def get(**query: Any) -> Any:
            found = kinds[kind](**query)
            return SimpleNamespace(to_dict=lambda: found)

        return SimpleNamespace(get=get, namespaced=True)

    return Cluster(SimpleNamespace(resource=resource))


def test_an_object_that_is_not_there_is_none() -> None:
    def absent(**query: Any) -> None:
        raise api_exception(answer(404, '{"message": "not found"}'))

    assert cluster_of(Pod=absent).get("Pod", "p", "n") is None


def test_nothing_has_an_empty_name() -> None:
    assert (
        cluster_of(StorageClass=lambda **_query: {"kind": "StorageClassList", "items": []}).get(
            "StorageClass", "", None, "storage.k8s.io/v1"
        )
        is None
    )


def test_items_of_a_list_keep_their_kind() -> None:
    found = cluster_of(Job=lambda **query: {"items": [{"metadata": {"name": "j"}}]}).list("Job", "batch/v1", "n")
    assert found == [{"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "j"}}]


def test_another_cluster_is_refused() -> None:
    cluster = cluster_of(Namespace=lambda **query: {"metadata": {"uid": "u-1"}})
    cluster.expect_uid("")
    cluster.expect_uid("u-1")
    with pytest.raises(ClusterError, match=r"its uid is u-1, not u-2\. Point kubeconfig"):
        cluster.expect_uid("u-2")


def test_a_long_list_is_fetched_to_its_end() -> None:
    pages = {None: (["a", "b"], "2"), "2": (["c"], "")}

    def page(**query: Any) -> Any:
        names, token = pages[query["_continue"]]
        return {"metadata": {"continue": token}, "items": [{"metadata": {"name": name}} for name in names]}

    assert [item["metadata"]["name"] for item in cluster_of(Pod=page).list("Pod")] == ["a", "b", "c"]
