# Copyright: campus.jupyterhub contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the role hub_backup brings to a cluster: its schedule, its rights, its disk, and the pods of its plays."""

from __future__ import annotations

import base64
import importlib
import json
from collections.abc import Callable

import pytest
from ansible_collections.campus.jupyterhub.plugins.module_utils._disk_owners import HUB_DISKS
from ansible_collections.campus.jupyterhub.tests.unit.roles.rendered import (
    Json,
    Objects,
    assert_bound,
    assert_restricted,
    by_name,
    without_namespace,
)

Render = Callable[..., list[Json]]
Evaluate = Callable[[str, list[str], list[Json]], list[list[object]]]

TEMPLATES = tuple(("hub_backup", f"{name}.yml.j2") for name in ("rights", "config", "network", "workloads"))
POD = ("hub_backup", "pod.yml.j2")
URL = "postgresql://hub:p4ss@db.example.edu:5433/hub"
REASONS = ["scheduled", "upgrade", "restore", "asked"]
OTHERWISE: Json = {
    "jupyterhub_namespace": "physics",
    "jupyterhub_cluster_uid": "uid-1",
    "hub_db_url": URL,
    "hub_existing_secret": "mine",
    "hub_canary_user": "sparrow",
    "hub_db_storage_class": "fast",
    "hub_node_selector": {"pool": "core"},
    "hub_tolerations": [{"key": "core", "operator": "Exists"}],
    "proxy_expose": "host_port",
    "proxy_https_secret": "physics-tls",
    "hub_backup_schedule": "0 4 * * mon-fri",
    "hub_backup_timezone": "Europe/Berlin",
    "hub_backup_keep_last": "5",
    "hub_backup_secrets": ["registry"],
    "hub_backup_timeout": "900",
    "hub_backup_cpu": 1,
    "hub_backup_size": "10Gi",
    "hub_backup_image_pull_secrets": ["one", "two"],
}


@pytest.fixture(scope="module")
def objects(render: Render) -> Objects:
    return by_name(render(*TEMPLATES))


@pytest.fixture(scope="module")
def otherwise(render: Render) -> list[Json]:
    return render(*TEMPLATES, **OTHERWISE)


def one(items: list[Json], kind: str, namespace: str = "physics") -> Json:
    """The only object of a kind in a namespace."""
    (found,) = [item for item in items if item["kind"] == kind and item["metadata"].get("namespace") == namespace]
    return found


def pod_of(schedule: Json) -> Json:
    """The pod of a run as its spec."""
    spec: Json = schedule["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    return spec


def mounted(spec: Json) -> dict[str, Json]:
    """What is mounted where in a pod's only container: the volume by its path."""
    (container,) = spec["containers"]
    volumes = {volume["name"]: volume for volume in spec["volumes"]}
    assert {mount["name"] for mount in container["volumeMounts"]} == set(volumes)
    return {mount["mountPath"]: volumes[mount["name"]] for mount in container["volumeMounts"]}


def arguments(config: Json) -> dict[str, Json]:
    """What modules are told, by the file."""
    return {name: json.loads(text)["ANSIBLE_MODULE_ARGS"] for name, text in config["data"].items()}


def test_every_object_is_labelled_as_ours(objects: Objects, otherwise: list[Json]) -> None:
    for namespaces, found in ((("jupyterhub",), objects.values()), (("physics", "physics-edge"), otherwise)):
        for item in found:
            labels = item["metadata"]["labels"]
            assert (labels["app"], labels["app.kubernetes.io/managed-by"]) == ("jupyterhub", "campus.jupyterhub")
            assert labels["component"] == "hub-backup"
            # What no namespace takes along when it goes is found by a label.
            assert (item["metadata"].get("namespace") or labels["campus.jupyterhub/namespace"]) in namespaces


def test_two_hubs_of_a_cluster_do_not_share_what_belongs_to_no_namespace(objects: Objects, render: Render) -> None:
    others = by_name(render(*TEMPLATES, jupyterhub_namespace="physics"))
    assert len(without_namespace(objects)) == 2
    assert not without_namespace(objects) & without_namespace(others)


def test_one_run_at_a_time_and_none_that_goes_on_for_ever(objects: Objects, otherwise: list[Json]) -> None:
    spec = objects["CronJob", "hub-backup"]["spec"]
    assert (spec["schedule"], spec["timeZone"], spec["concurrencyPolicy"]) == ("23 3 * * *", "UTC", "Forbid")
    assert spec["suspend"] is False
    job = spec["jobTemplate"]["spec"]
    assert (job["backoffLimit"], job["activeDeadlineSeconds"]) == (0, 300)
    assert job["template"]["spec"]["restartPolicy"] == "Never"
    other = one(otherwise, "CronJob")["spec"]
    assert (other["schedule"], other["timeZone"]) == ("0 4 * * mon-fri", "Europe/Berlin")
    assert other["jobTemplate"]["spec"]["activeDeadlineSeconds"] == 900


def test_a_run_is_the_module_with_its_arguments(objects: Objects) -> None:
    (container,) = pod_of(objects["CronJob", "hub-backup"])["containers"]
    assert container["command"][:2] == ["python", "-m"]
    module = importlib.import_module(container["command"][2])
    folder, _slash, file = container["command"][3].rpartition("/")
    told = arguments(objects["ConfigMap", "hub-backup"])
    assert mounted(pod_of(objects["CronJob", "hub-backup"]))[folder]["configMap"] == {"name": "hub-backup"}
    assert told[file] == {
        "namespace": "jupyterhub",
        "folder": "/backups",
        "database_path": "/srv/jupyterhub/jupyterhub.sqlite",
        "database_url_file": "",
        "secrets": ["hub-secret"],
        "optional_secrets": ["proxy-self-signed", "proxy-letsencrypt"],
        "canary_user": "canary",
        "keep_last": 3,
        "keep_daily": 14,
        "keep_weekly": 8,
        "keep_monthly": 6,
        "timezone": "UTC",
        "cluster_uid": "",
        "reason": "scheduled",
    }
    assert set(told[file]) <= set(module.ARGUMENTS)


def test_each_reason_has_its_file(objects: Objects) -> None:
    told = arguments(objects["ConfigMap", "hub-backup"])
    assert set(told) == {*(f"{reason}.json" for reason in REASONS), "database.json"}
    base = told["scheduled.json"]
    assert {told[f"{reason}.json"]["reason"]: told[f"{reason}.json"] for reason in REASONS} == {
        reason: {**base, "reason": reason} for reason in REASONS
    }


def test_a_sqlite_database_is_read_where_it_is(objects: Objects) -> None:
    spec = pod_of(objects["CronJob", "hub-backup"])
    paths = mounted(spec)
    assert paths["/srv/jupyterhub"]["persistentVolumeClaim"] == {"claimName": "hub-db"}
    assert paths["/backups"]["persistentVolumeClaim"] == {"claimName": "hub-backups"}
    # Locks are files, or parts of one.
    (container,) = spec["containers"]
    (mount,) = [each for each in container["volumeMounts"] if each["mountPath"] == "/srv/jupyterhub"]
    assert "readOnly" not in mount
    assert {"hub-db", "hub-backups"} == set(HUB_DISKS)
    assert ("Secret", "hub-backup") not in objects


def test_another_sqlite_file(render: Render) -> None:
    found = by_name(render(*TEMPLATES, hub_db_url="sqlite:////srv/jupyterhub/mine.sqlite?timeout=5"))
    told = arguments(found["ConfigMap", "hub-backup"])
    assert (
        told["asked.json"]["database_path"] == told["database.json"]["database_path"] == "/srv/jupyterhub/mine.sqlite"
    )


def test_postgresql_is_reached_with_a_secret_of_its_own(otherwise: list[Json]) -> None:
    paths = mounted(pod_of(one(otherwise, "CronJob")))
    assert "/srv/jupyterhub" not in paths
    told = arguments(one(otherwise, "ConfigMap"))
    folder, _slash, key = told["scheduled.json"]["database_url_file"].rpartition("/")
    assert paths[folder]["secret"]["secretName"] == "hub-backup"
    assert base64.b64decode(one(otherwise, "Secret")["data"][key]).decode() == URL
    assert told["scheduled.json"]["database_path"] == told["database.json"]["database_path"] == ""
    assert [item["kind"] for item in otherwise if "p4ss" in json.dumps(item)] == []


def test_a_database_that_somebody_else_keeps_is_left_to_them(render: Render) -> None:
    found = by_name(render(*TEMPLATES, hub_backup_database=False))
    told = arguments(found["ConfigMap", "hub-backup"])
    assert (told["asked.json"]["database_path"], told["asked.json"]["database_url_file"]) == ("", "")
    assert "/srv/jupyterhub" not in mounted(pod_of(found["CronJob", "hub-backup"]))
    # An archive of another day may have one.
    assert told["database.json"]["database_path"] == "/srv/jupyterhub/jupyterhub.sqlite"


def test_options_of_the_hub_hold(otherwise: list[Json]) -> None:
    told = arguments(one(otherwise, "ConfigMap"))["asked.json"]
    assert told["secrets"] == ["mine", "registry"]
    assert (told["canary_user"], told["cluster_uid"], told["keep_last"]) == ("sparrow", "uid-1", 5)
    claim = one(otherwise, "PersistentVolumeClaim")
    assert claim["metadata"]["name"] == "hub-backups"
    assert claim["spec"]["storageClassName"] == "fast"
    assert claim["spec"]["resources"] == {"requests": {"storage": "10Gi"}}
    spec = pod_of(one(otherwise, "CronJob"))
    assert spec["nodeSelector"] == {"pool": "core"}
    assert spec["tolerations"] == [{"key": "core", "operator": "Exists"}]
    assert spec["imagePullSecrets"] == [{"name": "one"}, {"name": "two"}]
    assert spec["containers"][0]["image"] == "jobs:1"
    assert spec["containers"][0]["resources"]["requests"]["cpu"] == "1"


def near(spec: Json) -> list[str]:
    """With pods of which components a pod shares its node."""
    (term,) = spec["affinity"]["podAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    (expression,) = term["labelSelector"]["matchExpressions"]
    assert (term["topologyKey"], expression["key"]) == ("kubernetes.io/hostname", "component")
    components: list[str] = expression["values"]
    return components


def test_pods_go_where_their_disks_are_in_use(objects: Objects, otherwise: list[Json]) -> None:
    template = objects["CronJob", "hub-backup"]["spec"]["jobTemplate"]["spec"]["template"]
    assert near(template["spec"]) == ["hub", "hub-backup"]
    # Kubernetes lets the first of them go anywhere only if it is one of those that it asks for.
    assert template["metadata"]["labels"]["component"] in near(template["spec"])
    assert near(pod_of(one(otherwise, "CronJob"))) == ["hub-backup"]


def rules(items: list[Json]) -> set[tuple[str, str, str, str, str]]:
    """What may be done: namespace, verb, kind, and to which one by name."""
    return {
        (item["kind"], item["metadata"].get("namespace", ""), verb, resource, ",".join(rule.get("resourceNames", [])))
        for item in items
        if item["kind"] in ("Role", "ClusterRole")
        for rule in item["rules"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


LOOKS = {
    ("ClusterRole", "", verb, kind, "")
    for verb in ("get", "list")
    for kind in ("persistentvolumes", "volumesnapshotcontents")
}


def test_the_least_rights(objects: Objects, otherwise: list[Json]) -> None:
    assert rules(list(objects.values())) == LOOKS | {
        ("Role", "jupyterhub", "get", "secrets", "hub-secret,proxy-self-signed,proxy-letsencrypt"),
        ("Role", "jupyterhub", "list", "persistentvolumeclaims", ""),
        ("Role", "jupyterhub", "list", "volumesnapshots", ""),
    }
    assert rules(otherwise) == LOOKS | {
        ("Role", "physics", "get", "secrets", "mine,registry"),
        ("Role", "physics", "list", "persistentvolumeclaims", ""),
        ("Role", "physics", "list", "volumesnapshots", ""),
        ("Role", "physics-edge", "get", "secrets", "proxy-self-signed,proxy-letsencrypt,physics-tls"),
    }


def test_a_proxy_in_a_namespace_of_its_own_keeps_its_certificate(otherwise: list[Json]) -> None:
    told = arguments(one(otherwise, "ConfigMap"))["asked.json"]
    assert told["optional_secrets"] == [
        "physics-edge/proxy-self-signed",
        "physics-edge/proxy-letsencrypt",
        "physics-edge/physics-tls",
    ]
    assert one(otherwise, "RoleBinding", "physics-edge")["subjects"] == [
        {"kind": "ServiceAccount", "name": "hub-backup", "namespace": "physics"}
    ]


def test_every_binding_finds_its_role_and_account(objects: Objects) -> None:
    assert_bound(objects, 2)


@pytest.mark.parametrize("url", ["", URL])
def test_pods_of_the_plays(render: Render, url: str) -> None:
    given = {"hub_db_url": url, "hub_backup_size": "10Gi"}
    (backups,) = render(POD, __hub_backup_pod_is_for="backups", **given)
    (database,) = render(POD, __hub_backup_pod_is_for="database", **given)
    paths = mounted(backups["spec"])
    assert set(paths) == {"/backups", "/tmp"}
    paths = mounted(database["spec"])
    told = arguments(by_name(render(*TEMPLATES, **given))["ConfigMap", "hub-backup"])["database.json"]
    where = told["database_path"] or told["database_url_file"]
    assert set(paths) == {"/etc/campus-jobs", "/restore", where.rpartition("/")[0], "/tmp"}
    assert told["file"] == "/restore/archive.tar.gz"
    for pod in (backups, database):
        assert pod["metadata"]["labels"]["component"] == "hub-backup"
        assert pod["metadata"]["name"].startswith("hub-backup-")
        assert pod["spec"]["automountServiceAccountToken"] is False
        assert pod["spec"]["activeDeadlineSeconds"] == 3600
        assert pod["spec"]["containers"][0]["image"] == "jobs:1"


def test_pods_are_restricted(objects: Objects, otherwise: list[Json], render: Render) -> None:
    specs = [pod_of(objects["CronJob", "hub-backup"]), pod_of(one(otherwise, "CronJob"))]
    specs += [render(POD, __hub_backup_pod_is_for=what)[0]["spec"] for what in ("backups", "database")]
    for spec in specs:
        assert_restricted(spec)


def test_problems_of_the_options_are_said(evaluate: Evaluate) -> None:
    cases: list[tuple[Json, str]] = [
        ({}, ""),
        ({"hub_backup_image": "", "jupyterhub_ahead": True}, ""),
        ({"hub_backup_image": ""}, "hub_backup_image is empty"),
        ({"hub_db_url": "mysql://hub:p@db/hub"}, "neither sqlite nor PostgreSQL"),
        ({"hub_db_url": "mysql://hub:p@db/hub", "hub_backup_database": False}, ""),
        ({"hub_backup_size": "much"}, "hub_backup_size: not a Kubernetes quantity"),
        ({"hub_backup_timeout": 0}, "hub_backup_timeout is 0; it is at least 1."),
        ({"hub_backup_schedule": "often"}, "hub_backup_schedule: 'often' is no schedule"),
    ]
    found = evaluate("hub_backup", ["__hub_backup_problems | join(' ')"], [case for case, _says in cases])
    for (said,), (case, says) in zip(found, cases, strict=True):
        assert says in str(said) if says else said == "", case
