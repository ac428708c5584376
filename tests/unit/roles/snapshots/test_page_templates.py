# Copyright: campus.jupyterhub contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the role snapshots brings for the students' own page: the page, its rights, and the fence around them."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from ansible_collections.campus.jupyterhub.plugins.module_utils._hub_config import FILES_HISTORY, FILES_HISTORY_PORT
from ansible_collections.campus.jupyterhub.plugins.module_utils._hub_secret import KEYS
from ansible_collections.campus.jupyterhub.plugins.module_utils._side_disk import LABELS
from ansible_collections.campus.jupyterhub.tests.unit.roles.rendered import (
    Json,
    Objects,
    assert_bound,
    assert_fenced,
    assert_restricted,
    by_name,
    without_namespace,
)
from campus_history.cluster import COPY, READER
from campus_history.own import MARK
from campus_history.settings import settings_of
from campus_jobs.reader import PORT

Render = Callable[..., list[Json]]

TEMPLATES = tuple(("snapshots", f"page_{name}.yml.j2") for name in ("fence", "rights", "network", "workloads"))
OTHERWISE: Json = {
    "jupyterhub_namespace": "physics",
    "jupyterhub_url": "https://uni.example.org/jupyter/",
    "hub_existing_secret": "mine",
    "hub_subdomain_host": "https://uni.example.org/",
    "storage_scratch_class": "scratch",
    "snapshots_timezone": "Europe/Berlin",
    "snapshots_page_at_once": "5",
    "snapshots_image_pull_secrets": ["one"],
    "snapshots_page_memory": "1Gi",
}


@pytest.fixture(scope="module")
def objects(render: Render) -> Objects:
    return by_name(render(*TEMPLATES))


@pytest.fixture(scope="module")
def otherwise(render: Render) -> Objects:
    return by_name(render(*TEMPLATES, **OTHERWISE))


def page(objects: Objects) -> Json:
    """The page's pod."""
    return dict(objects["Deployment", FILES_HISTORY]["spec"]["template"])


def environment(objects: Objects) -> dict[str, Any]:
    (container,) = page(objects)["spec"]["containers"]
    return {each["name"]: each.get("value", each.get("valueFrom")) for each in container["env"]}


def test_every_object_is_labelled_as_ours(objects: Objects, otherwise: Objects) -> None:
    for namespace, found in (("jupyterhub", objects), ("physics", otherwise)):
        for item in found.values():
            labels = item["metadata"]["labels"]
            assert (labels["app"], labels["app.kubernetes.io/managed-by"]) == ("jupyterhub", "campus.jupyterhub")
            # What no namespace takes along when it goes is found by a label.
            where = item["metadata"].get("namespace") or labels["campus.jupyterhub/namespace"]
            assert where == namespace


def test_two_hubs_of_a_cluster_do_not_share_what_belongs_to_no_namespace(objects: Objects, otherwise: Objects) -> None:
    assert len(without_namespace(objects)) == 6
    assert not without_namespace(objects) & without_namespace(otherwise)


def test_the_page_is_told_what_it_needs(objects: Objects, otherwise: Objects) -> None:
    for found in (objects, otherwise):
        told = {**environment(found), "CAMPUS_NAMESPACE": "x"}
        settings_of({name: value for name, value in told.items() if isinstance(value, str)})
    settings = settings_of({**environment(otherwise), "CAMPUS_NAMESPACE": "physics"})
    assert (settings.zone.key, settings.at_once, settings.scratch_class) == ("Europe/Berlin", 5, "scratch")
    assert settings.prefix == "/jupyter/services/files-history/"
    assert settings.subdomain_host == "https://uni.example.org"
    assert settings_of({**environment(objects), "CAMPUS_NAMESPACE": "x"}).prefix == "/services/files-history/"


def test_the_hub_and_the_page_share_a_token(objects: Objects, otherwise: Objects) -> None:
    for secret, found in (("hub-secret", objects), ("mine", otherwise)):
        reference = environment(found)["JUPYTERHUB_API_TOKEN"]["secretKeyRef"]
        assert reference == {"name": secret, "key": "files_history_token"}
        assert reference["key"] in KEYS


def test_the_page_is_found_where_the_hub_looks_for_it(objects: Objects, otherwise: Objects) -> None:
    for prefix, found in (("/", objects), ("/jupyter/", otherwise)):
        service = found["Service", FILES_HISTORY]["spec"]
        pod = page(found)
        assert service["selector"].items() <= pod["metadata"]["labels"].items()
        (container,) = pod["spec"]["containers"]
        assert [port["containerPort"] for port in container["ports"]] == [FILES_HISTORY_PORT]
        assert [port["port"] for port in service["ports"]] == [FILES_HISTORY_PORT]
        assert container["readinessProbe"]["httpGet"]["path"] == f"{prefix}services/{FILES_HISTORY}/health"


def test_the_page_is_restricted_and_alone(objects: Objects, otherwise: Objects) -> None:
    assert objects["Deployment", FILES_HISTORY]["spec"]["replicas"] == 1
    assert objects["Deployment", FILES_HISTORY]["spec"]["strategy"] == {"type": "Recreate"}
    spec = page(objects)["spec"]
    assert_restricted(spec)
    assert [volume["name"] for volume in spec["volumes"]] == ["tmp"]
    other = page(otherwise)["spec"]
    assert other["imagePullSecrets"] == [{"name": "one"}]
    assert other["containers"][0]["resources"]["limits"] == {"memory": "1Gi"}


def test_the_least_rights(objects: Objects) -> None:
    found = {
        f"{name} {resource}": (rule["verbs"], rule.get("resourceNames"))
        for (kind, name), item in objects.items()
        if kind in ("Role", "ClusterRole")
        for rule in item["rules"]
        for resource in rule["resources"]
    }
    whole = "campus-jupyterhub-jupyterhub-files-history"
    assert found == {
        "files-history persistentvolumeclaims": (["get", "list", "create", "delete"], None),
        "files-history pods": (["get", "list", "create", "delete"], None),
        "files-history pods/log": (["get"], None),
        "files-history events": (["list"], None),
        "files-history volumesnapshots": (["get", "list"], None),
        "files-history cronjobs": (["get"], ["snapshots"]),
        f"{whole} volumesnapshotcontents": (["get"], None),
        f"{whole} storageclasses": (["get"], ["jupyterhub-scratch"]),
        f"{whole} persistentvolumes": (["get"], None),
    }


def test_every_binding_finds_its_role_and_account(objects: Objects, otherwise: Objects) -> None:
    for found in (objects, otherwise):
        assert_bound(found, 2)


@pytest.mark.parametrize(("name", "resource"), [("claims", "persistentvolumeclaims"), ("pods", "pods")])
def test_the_fence_holds_for_that_account_alone_and_denies(
    objects: Objects, otherwise: Objects, name: str, resource: str
) -> None:
    for namespace, found in (("jupyterhub", objects), ("physics", otherwise)):
        assert_fenced(found, namespace, f"files-history-{name}", "files-history", resource)


def expressions(objects: Objects, name: str) -> str:
    """All that a policy asks for."""
    policy = next(
        item for (kind, full), item in objects.items() if kind == "ValidatingAdmissionPolicy" and full.endswith(name)
    )
    return json.dumps([each["expression"] for each in policy["spec"]["validations"]])


def test_the_fence_speaks_of_what_the_page_makes(objects: Objects, otherwise: Objects) -> None:
    for name in ("claims", "pods"):
        found = expressions(objects, f"files-history-{name}")
        assert f"'{MARK}' in variables.labels" in found
        assert f"variables.labels['component'] == '{LABELS['component']}'" in found
    assert "storageClassName == 'jupyterhub-scratch'" in expressions(objects, "claims")
    assert "storageClassName == 'scratch'" in expressions(otherwise, "claims")
    assert "c.image == 'jobs:1'" in expressions(objects, "pods")
    assert "['campus_jobs.reader', 'campus_jobs.copy_back']" in expressions(objects, "pods")


def test_the_policy_of_the_readers_finds_them_and_not_the_copies(objects: Objects) -> None:
    selector = objects["NetworkPolicy", "files-history-readers"]["spec"]["podSelector"]["matchLabels"]
    assert selector.items() <= {**LABELS, MARK: READER}.items()
    assert not selector.items() <= {**LABELS, MARK: COPY}.items()
    assert objects["NetworkPolicy", "files-history-readers"]["spec"]["ingress"][0]["ports"][0]["port"] == PORT
