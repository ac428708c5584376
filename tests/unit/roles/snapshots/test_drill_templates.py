# Copyright: campus.jupyterhub contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the role snapshots brings for restore drills that run by themselves: schedules, rights, and the fence."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable

import pytest
from ansible_collections.campus.jupyterhub.plugins.module_utils._drill import MARK, READER
from ansible_collections.campus.jupyterhub.plugins.module_utils._drill_run import ARGUMENTS
from ansible_collections.campus.jupyterhub.plugins.module_utils._manifest import COMPARED, MANIFEST
from ansible_collections.campus.jupyterhub.plugins.module_utils._restore_plan import run_name
from ansible_collections.campus.jupyterhub.plugins.module_utils._side_disk import LABELS, hashes_of
from ansible_collections.campus.jupyterhub.tests.unit.roles.rendered import (
    Json,
    Objects,
    assert_bound,
    assert_fenced,
    assert_restricted,
    by_name,
    without_namespace,
)
from campus_jobs.drills import ACTIONS
from campus_jobs.listing import RUNS

Render = Callable[..., list[Json]]
Evaluate = Callable[[str, list[str], list[Json]], list[list[object]]]

TEMPLATES = tuple(("snapshots", f"drill_{name}.yml.j2") for name in ("fence", "rights", "network", "workloads"))
DRILL = "snapshots-drill"
OTHERWISE: Json = {
    "jupyterhub_namespace": "physics",
    "storage_scratch_class": "scratch",
    "snapshots_timezone": "Europe/Berlin",
    "snapshots_drill_record_schedule": "*/30 * * * *",
    "snapshots_drill_compare_sample": "20",
    "snapshots_drill_timeout": "60",
    "snapshots_drill_deadline": "900",
}


@pytest.fixture(scope="module")
def objects(render: Render) -> Objects:
    return by_name(render(*TEMPLATES))


@pytest.fixture(scope="module")
def otherwise(render: Render) -> Objects:
    return by_name(render(*TEMPLATES, **OTHERWISE))


def arguments(objects: Objects, action: str) -> Json:
    """What the module is told that does an action."""
    name = ACTIONS[action]
    (container,) = pod(objects, action)["spec"]["containers"]
    python, option, module, path = container["command"]
    assert (python, option) == ("python", "-m")
    assert callable(importlib.import_module(module).main)
    (mount,) = [each for each in container["volumeMounts"] if each["name"] == "arguments"]
    folder, _slash, file = path.rpartition("/")
    assert mount["mountPath"] == folder
    (volume,) = [each for each in pod(objects, action)["spec"]["volumes"] if each["name"] == "arguments"]
    assert volume["configMap"]["name"] == name
    return dict(json.loads(objects["ConfigMap", name]["data"][file])["ANSIBLE_MODULE_ARGS"])


def pod(objects: Objects, action: str) -> Json:
    """The pod that does an action, as a template."""
    return dict(objects["CronJob", ACTIONS[action]]["spec"]["jobTemplate"]["spec"]["template"])


def test_every_object_is_labelled_as_ours(objects: Objects, otherwise: Objects) -> None:
    for namespace, found in (("jupyterhub", objects), ("physics", otherwise)):
        for item in found.values():
            labels = item["metadata"]["labels"]
            assert (labels["app"], labels["app.kubernetes.io/managed-by"]) == ("jupyterhub", "campus.jupyterhub")
            where = item["metadata"].get("namespace") or labels["campus.jupyterhub/namespace"]
            assert where == namespace
    assert not without_namespace(objects) & without_namespace(otherwise)


@pytest.mark.parametrize(("action", "sample", "other"), [("record", 2, 2), ("compare", 5, 20)])
def test_a_run_is_the_module_with_one_action(
    objects: Objects, otherwise: Objects, action: str, sample: int, other: int
) -> None:
    assert arguments(objects, action) == {
        "namespace": "jupyterhub",
        "scratch_class": "jupyterhub-scratch",
        "timeout": 600,
        "actions": [action],
        "sample": sample,
    }
    told = arguments(otherwise, action)
    assert set(told) <= set(ARGUMENTS)
    assert (told["namespace"], told["scratch_class"], told["timeout"], told["sample"]) == (
        "physics",
        "scratch",
        60,
        other,
    )


def test_when_they_run(objects: Objects, otherwise: Objects) -> None:
    def times(found: Objects) -> list[tuple[str, str, str, int]]:
        specs = [found["CronJob", name]["spec"] for name in ACTIONS.values()]
        return [
            (
                spec["schedule"],
                spec["timeZone"],
                spec["concurrencyPolicy"],
                spec["jobTemplate"]["spec"]["activeDeadlineSeconds"],
            )
            for spec in specs
        ]

    assert times(objects) == [("12 * * * *", "UTC", "Forbid", 3000), ("47 4 * * *", "UTC", "Forbid", 3000)]
    assert times(otherwise) == [
        ("*/30 * * * *", "Europe/Berlin", "Forbid", 900),
        ("47 4 * * *", "Europe/Berlin", "Forbid", 900),
    ]


@pytest.mark.parametrize("action", ACTIONS)
def test_pods_are_restricted_and_found(objects: Objects, action: str) -> None:
    found = pod(objects, action)
    assert found["spec"]["serviceAccountName"] == DRILL
    assert_restricted(found["spec"])
    wanted = {**dict(pair.split("=") for pair in RUNS.split(",")), "component": ACTIONS[action]}
    schedule = objects["CronJob", ACTIONS[action]]
    for item in (schedule, schedule["spec"]["jobTemplate"], found):
        assert wanted.items() <= item["metadata"]["labels"].items()


def test_the_least_rights(objects: Objects) -> None:
    found = {
        f"{name} {resource}": (rule["verbs"], rule.get("resourceNames"))
        for (kind, name), item in objects.items()
        if kind in ("Role", "ClusterRole")
        for rule in item["rules"]
        for resource in rule["resources"]
    }
    whole = f"campus-jupyterhub-jupyterhub-{DRILL}"
    assert found == {
        f"{DRILL} persistentvolumeclaims": (["get", "list", "create", "delete"], None),
        f"{DRILL} pods": (["get", "list", "create", "delete"], None),
        f"{DRILL} pods/log": (["get"], None),
        f"{DRILL} events": (["list", "create"], None),
        f"{DRILL} volumesnapshots": (["list", "patch"], None),
        f"{DRILL} cronjobs": (["get"], ["snapshots"]),
        f"{whole} storageclasses": (["get"], ["jupyterhub-scratch"]),
        f"{whole} persistentvolumes": (["get"], None),
    }


def test_every_binding_finds_its_role_and_account(objects: Objects, otherwise: Objects) -> None:
    for found in (objects, otherwise):
        assert_bound(found, 2)


@pytest.mark.parametrize(
    ("name", "resource"), [("claims", "persistentvolumeclaims"), ("pods", "pods"), ("notes", "volumesnapshots")]
)
def test_the_fence_holds_for_that_account_alone_and_denies(
    objects: Objects, otherwise: Objects, name: str, resource: str
) -> None:
    for namespace, found in (("jupyterhub", objects), ("physics", otherwise)):
        assert_fenced(found, namespace, f"{DRILL}-{name}", DRILL, resource)


def expressions(objects: Objects, name: str) -> str:
    """All that a policy asks for."""
    policy = objects["ValidatingAdmissionPolicy", f"campus-jupyterhub-jupyterhub-{DRILL}-{name}"]
    return "\n".join(each["expression"] for each in policy["spec"]["validations"])


def test_the_fence_speaks_of_what_a_drill_makes(objects: Objects) -> None:
    for name in ("claims", "pods"):
        assert f"'{MARK}' in variables.labels" in expressions(objects, name)
        assert f"variables.labels['component'] == '{LABELS['component']}'" in expressions(objects, name)
    assert f"c.command[2] in ['{hashes_of()[0]}']" in expressions(objects, "pods")
    assert "claimName.startsWith('restore-')" in expressions(objects, "pods")
    assert run_name("drill", "x").startswith("restore-")
    assert f"['{MANIFEST}', '{COMPARED}']" in expressions(objects, "notes").replace('"', "'")


def test_what_hashes_is_cut_off(objects: Objects) -> None:
    policy = objects["NetworkPolicy", f"{DRILL}-readers"]["spec"]
    assert policy["podSelector"]["matchLabels"].items() <= {**LABELS, MARK: READER}.items()
    assert (policy["policyTypes"], policy.get("ingress"), policy.get("egress")) == (["Ingress", "Egress"], None, None)


def test_without_drills_the_schedules_end(evaluate: Evaluate) -> None:
    names = ["__snapshots_drill", "__snapshots_schedules", "__snapshots_to_end | map(attribute='name') | list"]
    wanted, without, none = evaluate("snapshots", names, [{}, {"snapshots_drill": False}, {"snapshots_enabled": False}])
    assert wanted == [True, ["snapshots", "snapshots-record", "snapshots-compare"], []]
    assert without == [False, ["snapshots"], ["snapshots-record", "snapshots-compare"]]
    assert none[0] is False
    assert isinstance(none[2], list)
    assert {"snapshots", "snapshots-record", "snapshots-compare"} <= set(none[2])
