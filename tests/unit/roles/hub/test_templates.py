# Copyright: campus.jupyterhub contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

from base64 import b64decode
from collections.abc import Callable
from typing import Any

import pytest
import yaml

Render = Callable[..., list[dict[str, Any]]]

TEMPLATES = [("hub", f"{name}.yml.j2") for name in ("namespace", "config", "network", "workloads")]
SECRET = {"cookie_secret": "eA==", "culler_token": "eA=="}
EVERYTHING: dict[str, Any] = {
    "jupyterhub_url": "https://uni.example.org/jupyter/",
    "hub_existing_secret": "mine",
    "hub_db_url": "postgresql://hub:s3cret@db/hub",
    "hub_image_pull_secrets": ["registry"],
    "hub_replicas": 2,
    "hub_env": {"HTTPS_PROXY": "http://proxy:3128", "N": 1},
    "hub_node_selector": {"pool": "core"},
    "hub_tolerations": [{"key": "core", "operator": "Exists"}],
    "hub_student_node_selector": {"pool": "students"},
    "hub_student_tolerations": [{"key": "students", "operator": "Exists"}],
    "hub_profiles": [{"display_name": "GPU", "kubespawner_override": {"image": "gpu:1"}}],
    "hub_extra_config": {"hook": "c.Spawner.debug = True\nc.Spawner.args = []\n"},
    "hub_config": {"GitHubOAuthenticator": {"client_secret": "s3cret"}},
}


class Objects(dict[tuple[str, str], dict[str, Any]]):
    """Objects by kind and name."""

    def __init__(self, objects: list[dict[str, Any]]) -> None:
        super().__init__({(item["kind"], item["metadata"]["name"]): item for item in objects})
        assert len(self) == len(objects)

    def pod(self, kind: str, name: str) -> dict[str, Any]:
        spec: dict[str, Any] = self[kind, name]["spec"]["template"]["spec"]
        return spec


@pytest.fixture(scope="module")
def plain(render: Render) -> Objects:
    return Objects(render(*TEMPLATES, __hub_secret=SECRET))


@pytest.fixture(scope="module")
def full(render: Render) -> Objects:
    return Objects(render(*TEMPLATES, __hub_secret=SECRET, **EVERYTHING))


@pytest.fixture(params=["plain", "full"])
def objects(request: pytest.FixtureRequest) -> Objects:
    found: Objects = request.getfixturevalue(request.param)
    return found


def test_the_objects_of_the_hub(plain: Objects, full: Objects) -> None:
    assert set(plain) - set(full) == {("Secret", "hub-secret"), ("PersistentVolumeClaim", "hub-db")}
    assert not set(full) - set(plain)


def test_every_object_can_be_told_to_be_ours(objects: Objects) -> None:
    for (kind, _name), item in objects.items():
        labels = item["metadata"]["labels"]
        assert labels["app"] == "jupyterhub"
        assert labels["app.kubernetes.io/managed-by"] == "campus.jupyterhub"
        assert kind == "Namespace" or (labels["component"] and item["metadata"]["namespace"] == "jupyterhub")


def test_the_namespace_enforces_pod_security(objects: Objects) -> None:
    labels = objects["Namespace", "jupyterhub"]["metadata"]["labels"]
    assert {labels[f"pod-security.kubernetes.io/{mode}"] for mode in ("enforce", "audit", "warn")} == {"restricted"}


@pytest.mark.parametrize(("kind", "name"), [("Deployment", "hub"), ("DaemonSet", "image-puller")])
def test_pods_meet_pod_security_restricted(objects: Objects, kind: str, name: str) -> None:
    pod = objects.pod(kind, name)
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    for container in [*pod.get("initContainers", []), *pod["containers"]]:
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        }
        assert container["resources"]["requests"]
        assert container["resources"]["limits"]["memory"]


def test_the_hub_has_no_more_rights_than_it_needs(objects: Objects) -> None:
    rights = {
        resource: set(rule["verbs"]) for rule in objects["Role", "hub"]["rules"] for resource in rule["resources"]
    }
    assert set(rights) == {"pods", "persistentvolumeclaims", "events", "endpointslices", "leases"}
    assert rights["persistentvolumeclaims"] == {"get", "list", "watch", "create", "patch"}
    assert rights["events"] == {"get", "list", "watch"}


def test_the_hub_may_change_its_own_lease_only(objects: Objects) -> None:
    rules = [rule for rule in objects["Role", "hub"]["rules"] if rule["resources"] == ["leases"]]
    named = {verb for rule in rules if rule.get("resourceNames") == ["hub"] for verb in rule["verbs"]}
    unnamed = {verb for rule in rules if "resourceNames" not in rule for verb in rule["verbs"]}
    assert (named, unnamed) == ({"get", "update"}, {"create"})


def test_one_hub_is_replaced_and_a_standby_is_rolled(plain: Objects, full: Objects) -> None:
    one, two = (objects["Deployment", "hub"]["spec"] for objects in (plain, full))
    assert (one["replicas"], one["strategy"]) == (1, {"type": "Recreate"})
    assert two["replicas"] == 2
    assert two["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}


def test_a_standby_keeps_to_another_node_where_there_is_one(plain: Objects, full: Objects) -> None:
    assert "affinity" not in plain.pod("Deployment", "hub")
    rules = full.pod("Deployment", "hub")["affinity"]["podAntiAffinity"]
    assert list(rules) == ["preferredDuringSchedulingIgnoredDuringExecution"]


def test_the_hub_knows_its_pod_and_whether_it_has_a_standby(plain: Objects, full: Objects) -> None:
    def env(objects: Objects) -> dict[str, Any]:
        return {item["name"]: item for item in objects.pod("Deployment", "hub")["containers"][0]["env"]}

    fields = {name: env(plain)[name]["valueFrom"]["fieldRef"]["fieldPath"] for name in ("POD_NAME", "POD_UID")}
    assert fields == {"POD_NAME": "metadata.name", "POD_UID": "metadata.uid"}
    assert [env(objects)["CAMPUS_STANDBY"]["value"] for objects in (plain, full)] == ["false", "true"]


def test_the_service_leads_to_the_hub_that_serves(objects: Objects) -> None:
    selector = objects["Service", "hub"]["spec"]["selector"]
    labels = objects["Deployment", "hub"]["spec"]["template"]["metadata"]["labels"]
    # No pod is born with it: the hub itself sets it.
    assert selector.pop("hub-active") == "true"
    assert "hub-active" not in labels
    assert selector.items() <= labels.items()


def test_no_drain_of_a_node_waits_for_the_hub(objects: Objects) -> None:
    budget = objects["PodDisruptionBudget", "hub"]["spec"]
    assert budget.pop("selector")["matchLabels"] == {"app": "jupyterhub", "component": "hub"}
    assert budget == {"maxUnavailable": 1, "unhealthyPodEvictionPolicy": "AlwaysAllow"}


def test_secrets_are_in_secrets_only(full: Objects) -> None:
    others = {key: item for key, item in full.items() if key[0] != "Secret"}
    assert "s3cret" not in repr(others)
    private = yaml.safe_load(b64decode(full["Secret", "hub-config"]["data"]["hub_config"]))
    assert private["GitHubOAuthenticator"]["client_secret"] == "s3cret"
    assert private["JupyterHub"]["db_url"] == "postgresql+psycopg://hub:s3cret@db/hub"


def test_the_configuration_survives_the_configmap(full: Objects) -> None:
    config = yaml.safe_load(full["ConfigMap", "hub-config"]["data"]["config.yaml"])
    assert config["extra_config"] == EVERYTHING["hub_extra_config"]
    assert config["hub_config"]["KubeSpawner"]["profile_list"] == EVERYTHING["hub_profiles"]
    assert config["hub_config"]["JupyterHub"]["base_url"] == "/jupyter/"


def test_the_users_own_secret_is_mounted(full: Objects) -> None:
    (campus,) = [volume for volume in full.pod("Deployment", "hub")["volumes"] if volume["name"] == "campus"]
    secret = next(source["secret"] for source in campus["projected"]["sources"] if "mine" in str(source))
    assert {item["path"] for item in secret["items"]} == {f"secret/{key}" for key in SECRET}


def test_the_environment_of_the_hub(objects: Objects, plain: Objects) -> None:
    (container,) = objects["Deployment", "hub"]["spec"]["template"]["spec"]["containers"]
    env = {item["name"]: item.get("value") for item in container["env"]}
    assert len(env) == len(container["env"])
    assert env["JUPYTERHUB_XSRF_ANONYMOUS_IP_CIDRS"] == "0.0.0.0/0;::/0"
    assert (env.get("HTTPS_PROXY"), env.get("N")) == ((None, None) if objects is plain else ("http://proxy:3128", "1"))


def test_the_database_disk_is_there_for_sqlite_only(plain: Objects, full: Objects) -> None:
    def database(objects: Objects) -> dict[str, Any]:
        return next(volume for volume in objects.pod("Deployment", "hub")["volumes"] if volume["name"] == "database")

    assert database(plain)["persistentVolumeClaim"] == {"claimName": "hub-db"}
    assert database(full)["emptyDir"] == {}


@pytest.mark.parametrize("probe", ["startupProbe", "readinessProbe", "livenessProbe"])
def test_the_probes_follow_the_prefix_of_the_url(plain: Objects, full: Objects, probe: str) -> None:
    paths = [objects.pod("Deployment", "hub")["containers"][0][probe]["httpGet"]["path"] for objects in (plain, full)]
    assert paths == ["/hub/health", "/jupyter/hub/health"]


def test_every_image_of_a_student_is_pulled_where_students_run(full: Objects) -> None:
    pod = full.pod("DaemonSet", "image-puller")
    assert [container["image"] for container in pod["initContainers"]] == ["student:1", "gpu:1"]
    assert pod["nodeSelector"] == {"pool": "students"}
    assert pod["tolerations"] == EVERYTHING["hub_student_tolerations"]
    assert pod["imagePullSecrets"] == [{"name": "registry"}]


@pytest.fixture(scope="module")
def changed(render: Render) -> Objects:
    """An option and a value of the Secret are other than in plain, and the pre-puller is switched off."""
    options = {"hub_named_servers": 1, "hub_prepull": False, "__hub_secret": {"cookie_secret": "eQ=="}}
    return Objects(render(*TEMPLATES, **options))


@pytest.mark.parametrize("annotation", ["checksum/config", "checksum/secret"])
def test_a_change_restarts_the_hub(plain: Objects, changed: Objects, annotation: str) -> None:
    first, second = (
        objects["Deployment", "hub"]["spec"]["template"]["metadata"]["annotations"][annotation]
        for objects in (plain, changed)
    )
    assert first != second


def test_what_is_switched_off_is_not_there(changed: Objects) -> None:
    assert ("DaemonSet", "image-puller") not in changed
