# Copyright: campus.jupyterhub contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the role snapshots brings to a cluster: its schedule, its rights, and the fence around them."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from ansible_collections.campus.jupyterhub.plugins.module_utils._disk_snapshots import manifest
from ansible_collections.campus.jupyterhub.plugins.module_utils._snapshot_run import ARGUMENTS
from ansible_collections.campus.jupyterhub.tests.unit.plugins.module_utils.student_objects import disk
from ansible_collections.campus.jupyterhub.tests.unit.roles.rendered import (
    Json,
    Objects,
    assert_bound,
    assert_fenced,
    assert_restricted,
    by_name,
    without_namespace,
)
from campus_jobs.figures import SCHEDULE
from campus_jobs.listing import RUNS
from campus_jobs.server import PORT

Render = Callable[..., list[Json]]

TEMPLATES = tuple(("snapshots", f"{name}.yml.j2") for name in ("fence", "rights", "config", "network", "workloads"))
OTHERWISE: Json = {
    "jupyterhub_namespace": "physics",
    "storage_provider": "existing",
    "storage_snapshot_class": "fast",
    "snapshots_schedule": "*/15 8-18 * * mon-fri",
    "snapshots_timezone": "Europe/Berlin",
    "snapshots_keep_hourly": "6",
    "snapshots_keep_within": "14d",
    "snapshots_deadline": "600",
    "snapshots_cpu": 2,
    "snapshots_memory_limit": "2Gi",
    "snapshots_image_pull_secrets": ["one", "two"],
    "snapshots_node_selector": {"pool": "services"},
    "snapshots_tolerations": [{"key": "services", "operator": "Exists"}],
    "snapshots_metrics_from": [{"namespaceSelector": {}}],
}


@pytest.fixture(scope="module")
def objects(render: Render) -> Objects:
    return by_name(render(*TEMPLATES))


@pytest.fixture(scope="module")
def otherwise(render: Render) -> Objects:
    return by_name(render(*TEMPLATES, **OTHERWISE))


def pods(objects: Objects) -> dict[str, Json]:
    """The pods of the schedule and of the figures, as templates."""
    schedule = objects["CronJob", "snapshots"]["spec"]["jobTemplate"]
    return {
        "snapshots": schedule["spec"]["template"],
        "snapshots-metrics": objects["Deployment", "snapshots-metrics"]["spec"]["template"],
    }


def test_every_object_is_labelled_as_ours(objects: Objects, otherwise: Objects) -> None:
    for namespace, found in (("jupyterhub", objects), ("physics", otherwise)):
        for item in found.values():
            labels = item["metadata"]["labels"]
            assert (labels["app"], labels["app.kubernetes.io/managed-by"]) == ("jupyterhub", "campus.jupyterhub")
            assert labels["component"] in ("snapshots", "snapshots-metrics")
            # What no namespace takes along when it goes is found by a label.
            where = item["metadata"].get("namespace") or labels["campus.jupyterhub/namespace"]
            assert where == namespace


def test_two_hubs_of_a_cluster_do_not_share_what_belongs_to_no_namespace(objects: Objects, otherwise: Objects) -> None:
    assert len(without_namespace(objects)) == 6
    assert not without_namespace(objects) & without_namespace(otherwise)


def test_one_run_at_a_time_and_none_that_goes_on_for_ever(objects: Objects, otherwise: Objects) -> None:
    spec = objects["CronJob", "snapshots"]["spec"]
    assert (spec["schedule"], spec["timeZone"], spec["concurrencyPolicy"]) == ("7 * * * *", "UTC", "Forbid")
    assert (spec["startingDeadlineSeconds"], spec["suspend"]) == (600, False)
    job = spec["jobTemplate"]["spec"]
    assert (job["backoffLimit"], job["activeDeadlineSeconds"]) == (0, 3000)
    assert job["template"]["spec"]["restartPolicy"] == "Never"
    other = otherwise["CronJob", "snapshots"]["spec"]
    assert (other["schedule"], other["timeZone"]) == ("*/15 8-18 * * mon-fri", "Europe/Berlin")
    assert other["jobTemplate"]["spec"]["activeDeadlineSeconds"] == 600


def test_a_run_is_the_module_with_its_arguments(objects: Objects, otherwise: Objects) -> None:
    (container,) = pods(objects)["snapshots"]["spec"]["containers"]
    python, option, module, path = container["command"]
    assert (python, option) == ("python", "-m")
    assert callable(importlib.import_module(module).main)
    (mount,) = [each for each in container["volumeMounts"] if each["name"] == "arguments"]
    folder, _slash, file = path.rpartition("/")
    assert mount["mountPath"] == folder
    text = objects["ConfigMap", "snapshots"]["data"][file]
    assert json.loads(text) == {
        "ANSIBLE_MODULE_ARGS": {
            "namespace": "jupyterhub",
            "snapshot_class": "jupyterhub",
            "reason": "schedule",
            "keep_last": 0,
            "keep_hourly": 24,
            "keep_daily": 14,
            "keep_weekly": 8,
            "keep_monthly": 6,
            "keep_yearly": 0,
            "keep_within": "",
            "timezone": "UTC",
            "max_delete_fraction": 0.5,
            "parallel": 20,
            "spread": 60,
            "timeout": 300,
        }
    }
    other = json.loads(otherwise["ConfigMap", "snapshots"]["data"][file])["ANSIBLE_MODULE_ARGS"]
    assert set(other) <= set(ARGUMENTS)
    chosen = {name: other[name] for name in ("namespace", "snapshot_class", "keep_hourly", "keep_within", "timezone")}
    assert chosen == {
        "namespace": "physics",
        "snapshot_class": "fast",
        "keep_hourly": 6,
        "keep_within": "14d",
        "timezone": "Europe/Berlin",
    }


def test_pods_are_restricted(objects: Objects) -> None:
    for pod in pods(objects).values():
        assert_restricted(pod["spec"])


def test_pods_go_where_they_are_told_to(otherwise: Objects) -> None:
    for name, pod in pods(otherwise).items():
        spec = pod["spec"]
        assert spec["serviceAccountName"] == name
        assert spec["nodeSelector"] == {"pool": "services"}
        assert spec["tolerations"] == [{"key": "services", "operator": "Exists"}]
        assert spec["imagePullSecrets"] == [{"name": "one"}, {"name": "two"}]
        assert spec["containers"][0]["image"] == "jobs:1"
    resources = pods(otherwise)["snapshots"]["spec"]["containers"][0]["resources"]
    assert (resources["requests"]["cpu"], resources["limits"]) == ("2", {"memory": "2Gi"})


def test_every_binding_finds_its_role_and_account(objects: Objects, otherwise: Objects) -> None:
    for found in (objects, otherwise):
        assert_bound(found, 3)


def rights(objects: Objects) -> dict[str, list[str]]:
    """What each account may do to what."""
    found = {}
    for (kind, name), item in objects.items():
        if kind in ("Role", "ClusterRole"):
            for rule in item["rules"]:
                for resource in rule["resources"]:
                    found[f"{name} {resource}"] = rule["verbs"]
    return found


def test_the_least_rights(objects: Objects) -> None:
    assert rights(objects) == {
        "snapshots persistentvolumeclaims": ["get", "list"],
        "snapshots volumesnapshots": ["get", "list", "watch", "create", "delete"],
        "snapshots events": ["create"],
        "campus-jupyterhub-jupyterhub-snapshot-contents volumesnapshotcontents": ["get", "list", "patch", "delete"],
        "campus-jupyterhub-jupyterhub-snapshot-contents volumesnapshotclasses": ["get"],
        "snapshots-metrics persistentvolumeclaims": ["list"],
        "snapshots-metrics volumesnapshots": ["list"],
        "snapshots-metrics cronjobs": ["list"],
        "snapshots-metrics jobs": ["list"],
    }


@pytest.mark.parametrize(
    ("policy", "resource"), [("snapshot-contents", "volumesnapshotcontents"), ("snapshots", "volumesnapshots")]
)
def test_the_fence_holds_for_that_account_alone_and_denies(
    objects: Objects, otherwise: Objects, policy: str, resource: str
) -> None:
    for namespace, found in (("jupyterhub", objects), ("physics", otherwise)):
        assert_fenced(found, namespace, policy, "snapshots", resource)


def test_the_fence_knows_the_driver_where_that_is_known(objects: Objects, otherwise: Objects) -> None:
    def drivers(found: Objects, namespace: str) -> list[str]:
        policy = found["ValidatingAdmissionPolicy", f"campus-jupyterhub-{namespace}-snapshot-contents"]
        return [each["expression"] for each in policy["spec"]["validations"] if "spec.driver" in each["expression"]]

    assert drivers(objects, "jupyterhub") == [
        "request.operation == 'CREATE' || oldObject.spec.driver == 'local.csi.campus.jupyterhub'"
    ]
    assert drivers(otherwise, "physics") == []


def test_the_fence_lets_through_what_the_module_makes(objects: Objects) -> None:
    (validation,) = objects["ValidatingAdmissionPolicy", "campus-jupyterhub-jupyterhub-snapshots"]["spec"][
        "validations"
    ]
    labels = manifest(disk(), "jupyterhub", datetime(2026, 11, 25, tzinfo=UTC), "run", "schedule")["metadata"]["labels"]
    for key in ("app.kubernetes.io/managed-by", "component"):
        assert f"variables.labels['{key}'] == '{labels[key]}'" in validation["expression"]


def test_the_figures_find_the_runs(objects: Objects) -> None:
    wanted = dict(pair.split("=") for pair in RUNS.split(","))
    schedule = objects["CronJob", "snapshots"]
    assert {each["metadata"]["labels"]["component"] for each in (schedule, pods(objects)["snapshots"])} == {SCHEDULE}
    assert wanted.items() <= schedule["metadata"]["labels"].items()
    assert wanted.items() <= schedule["spec"]["jobTemplate"]["metadata"]["labels"].items()
    assert wanted.items() <= pods(objects)["snapshots"]["metadata"]["labels"].items()


def test_prometheus_finds_the_figures_even_when_they_are_old(objects: Objects) -> None:
    service = objects["Service", "snapshots-metrics"]["spec"]
    assert service["publishNotReadyAddresses"] is True
    pod = pods(objects)["snapshots-metrics"]
    assert service["selector"].items() <= pod["metadata"]["labels"].items()
    (container,) = pod["spec"]["containers"]
    assert [port["containerPort"] for port in container["ports"]] == [PORT] == [service["ports"][0]["port"]]
    assert container["env"][0]["name"] == "CAMPUS_NAMESPACE"
    assert container["readinessProbe"]["httpGet"]["path"] == "/ready"
    selector = objects["Deployment", "snapshots-metrics"]["spec"]["selector"]["matchLabels"]
    assert not selector.items() <= pods(objects)["snapshots"]["metadata"]["labels"].items()
