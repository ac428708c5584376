"""What the role storage brings for snapshots, for each provider, and when it leaves that to somebody else."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

Json = dict[str, Any]
Objects = Callable[..., dict[tuple[str, str], Json]]
Evaluate = Callable[[str, list[str], list[Json]], list[list[Any]]]

KINDS = ("volumesnapshots", "volumesnapshotcontents", "volumesnapshotclasses")
DEFINITIONS = Path(__file__).parents[4] / "roles" / "storage" / "files" / "crds"
OURS = {"app": "jupyterhub", "component": "snapshot-controller", "app.kubernetes.io/managed-by": "campus.jupyterhub"}
CLOUDS = {
    "gcp": "pd.csi.storage.gke.io",
    "aws": "ebs.csi.aws.com",
    "azure": "disk.csi.azure.com",
    "openstack": "cinder.csi.openstack.org",
}
# What csi-snapshotter and the snapshot-controller use by themselves.
USUAL = {"--kube-api-qps": 5, "--kube-api-burst": 10, "--worker-threads": 10}


def found(ours: tuple[str, ...] = (), foreign: tuple[str, ...] = ()) -> Json:
    """The preflight's look at the definitions."""

    def answer(kind: str) -> Json:
        item: Json = {"metadata": {"name": kind}, "spec": {"names": {"plural": kind}}}
        if kind in ours:
            item["metadata"]["labels"] = OURS
        resources = [item] if kind in ours + foreign else []
        return {"kind": "CustomResourceDefinition", "api_found": True, "resources": resources}

    return {"answers": [answer(kind) for kind in KINDS]}


def arguments(objects: dict[tuple[str, str], Json], kind: str, name: str, container: str) -> list[str]:
    """The arguments of a container."""
    containers = objects[kind, name]["spec"]["template"]["spec"]["containers"]
    return next(list(each["args"]) for each in containers if each["name"] == container)


def rights(role: Json, group: str) -> dict[str, set[str]]:
    """What a role may do with the kinds of a group."""
    rules = [rule for rule in role["rules"] if group in rule["apiGroups"]]
    return {resource: set(rule["verbs"]) for rule in rules for resource in rule["resources"]}


@pytest.mark.parametrize("kind", KINDS)
def test_definitions_are_those_of_the_file_and_marked_as_ours(objects: Objects, kind: str) -> None:
    made = objects("crds")["CustomResourceDefinition", f"{kind}.snapshot.storage.k8s.io"]
    copied = yaml.safe_load((DEFINITIONS / f"{kind}.yaml").read_text())
    assert made["spec"] == copied["spec"]
    assert made["metadata"]["annotations"] == copied["metadata"]["annotations"]
    assert made["metadata"]["labels"] == OURS
    assert "status" not in made
    assert [each["name"] for each in made["spec"]["versions"] if each["storage"]] == ["v1"]


def test_somebody_elses_definition_is_left_alone(objects: Objects) -> None:
    theirs = found(foreign=KINDS[:2])
    theirs["answers"][0]["resources"][0]["metadata"]["labels"] = {"component": "snapshot-controller"}
    made = objects("crds", storage_snapshot_controller="true", __storage_found=theirs)
    assert [name for _kind, name in made] == ["volumesnapshotclasses.snapshot.storage.k8s.io"]


def test_the_controller_may_do_what_it_does_and_no_more(objects: Objects) -> None:
    role = objects("controller")["ClusterRole", "campus-jupyterhub-snapshot-controller"]
    assert rights(role, "snapshot.storage.k8s.io") == {
        "volumesnapshotclasses": {"list", "watch"},
        "volumesnapshots": {"get", "list", "watch", "update", "patch"},
        "volumesnapshots/status": {"update"},
        "volumesnapshotcontents": {"list", "watch", "create", "patch", "delete"},
    }
    assert rights(role, "") == {
        "persistentvolumeclaims": {"get", "list", "watch", "update"},
        "persistentvolumes": {"get", "list", "watch"},
        "nodes": {"list", "watch"},
        "events": {"create", "patch"},
    }


def test_the_drivers_sidecars_cannot_delete_a_snapshot(objects: Objects) -> None:
    role = objects()["ClusterRole", "campus-jupyterhub-storage-driver"]
    assert rights(role, "snapshot.storage.k8s.io") == {
        "volumesnapshotclasses": {"list", "watch"},
        "volumesnapshots": {"get"},
        "volumesnapshotcontents": {"get", "list", "watch", "patch"},
        "volumesnapshotcontents/status": {"update", "patch"},
    }


def test_many_snapshots_at_once_are_not_held_up_by_the_usual_limits(objects: Objects) -> None:
    made = objects()
    for workload in (
        ("Deployment", "snapshot-controller", "snapshot-controller"),
        ("DaemonSet", "storage-driver", "snapshotter"),
    ):
        given = dict(each.split("=", 1) for each in arguments(made, *workload) if "=" in each)
        assert all(int(given[option]) > usual for option, usual in USUAL.items())


def test_each_node_snapshots_its_own_disks(objects: Objects) -> None:
    made = objects()
    assert "--enable-distributed-snapshotting" in arguments(
        made, "Deployment", "snapshot-controller", "snapshot-controller"
    )
    sidecar = arguments(made, "DaemonSet", "storage-driver", "snapshotter")
    assert {"--node-deployment", "--extra-create-metadata"} <= set(sidecar)
    (container,) = [
        each
        for each in made["DaemonSet", "storage-driver"]["spec"]["template"]["spec"]["containers"]
        if each["name"] == "snapshotter"
    ]
    assert [each["name"] for each in container["env"]] == ["NODE_NAME"]
    assert container["image"] == "snapshotter:1"


def test_without_a_class_nothing_is_there_for_snapshots(objects: Objects) -> None:
    made = objects("rights", "classes", "workloads", storage_snapshot_class="")
    assert not [kind for kind, _name in made if kind == "VolumeSnapshotClass"]
    assert rights(made["ClusterRole", "campus-jupyterhub-storage-driver"], "snapshot.storage.k8s.io") == {}
    containers = made["DaemonSet", "storage-driver"]["spec"]["template"]["spec"]["containers"]
    assert [each["name"] for each in containers] == ["driver", "watchdog", "provisioner"]


@pytest.mark.parametrize(("provider", "driver"), {"local": "local.csi.campus.jupyterhub", **CLOUDS}.items())
def test_every_provider_has_its_three_classes(objects: Objects, provider: str, driver: str) -> None:
    made = objects("classes", storage_provider=provider)
    for name, policy in (("jupyterhub", "Retain"), ("jupyterhub-scratch", "Delete")):
        storage = made["StorageClass", name]
        assert (storage["provisioner"], storage["reclaimPolicy"]) == (driver, policy)
        assert (storage["allowVolumeExpansion"], storage["volumeBindingMode"]) == (True, "WaitForFirstConsumer")
    snapshots = made["VolumeSnapshotClass", "jupyterhub"]
    assert (snapshots["driver"], snapshots["deletionPolicy"]) == (driver, "Retain")
    assert snapshots["metadata"]["labels"]["app.kubernetes.io/managed-by"] == "campus.jupyterhub"
    # Kubernetes takes only text.
    for item in made.values():
        assert all(isinstance(value, str) for value in item.get("parameters", {}).values())
    assert [name for kind, name in made if kind == "CSIDriver"] == ([driver] if provider == "local" else [])


def test_parameters_are_added_to_the_providers(objects: Objects) -> None:
    options = {"storage_parameters": {"type": "io2"}, "storage_snapshot_parameters": {"tagSpecification_1": "a=b"}}
    made = objects("classes", storage_provider="aws", **options)
    assert made["StorageClass", "jupyterhub"]["parameters"]["type"] == "io2"
    assert made["StorageClass", "jupyterhub-scratch"]["parameters"]["encrypted"] == "true"
    assert made["VolumeSnapshotClass", "jupyterhub"]["parameters"] == {"tagSpecification_1": "a=b"}


def test_cinder_takes_snapshots_of_disks_in_use(objects: Objects) -> None:
    made = objects("classes", storage_provider="openstack")
    assert made["VolumeSnapshotClass", "jupyterhub"]["parameters"] == {"force-create": "true"}
    assert "parameters" not in made["StorageClass", "jupyterhub"]


def test_on_a_cloud_the_controller_is_restricted_and_knows_no_nodes(objects: Objects) -> None:
    made = objects("namespace", "controller", storage_provider="aws")
    labels = made["Namespace", "jupyterhub-storage"]["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"
    spec = made["Deployment", "snapshot-controller"]["spec"]["template"]["spec"]
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert "--enable-distributed-snapshotting" not in spec["containers"][0]["args"]
    assert "nodes" not in rights(made["ClusterRole", "campus-jupyterhub-snapshot-controller"], "")


LOCAL = ["namespace", "rights", "classes", "workloads"]
CONTROLLER = ["crds", "controller"]


TEMPLATES: list[tuple[Json, set[str]]] = [
    ({"__storage_found": found()}, {*LOCAL, *CONTROLLER}),
    ({"__storage_found": found(ours=KINDS)}, {*LOCAL, *CONTROLLER}),
    ({"__storage_found": found(foreign=KINDS), "storage_snapshot_controller": False}, {*LOCAL}),
    ({"__storage_found": found(foreign=KINDS), "storage_snapshot_controller": True}, {*LOCAL, *CONTROLLER}),
    ({"storage_snapshot_class": ""}, {*LOCAL}),
    # Without the preflight nobody knows whose definitions there are.
    ({"storage_snapshot_controller": "true"}, {*LOCAL}),
    ({"storage_provider": "gcp", "__storage_found": found(foreign=KINDS)}, {"classes"}),
    ({"storage_provider": "aws", "__storage_found": found()}, {"namespace", "classes", *CONTROLLER}),
    ({"storage_provider": "existing", "__storage_found": found(foreign=KINDS)}, set()),
    ({"storage_provider": "existing", "storage_snapshot_class": ""}, set()),
    (
        {"storage_provider": "existing", "storage_snapshot_controller": "true", "__storage_found": found()},
        {"namespace", *CONTROLLER},
    ),
]


def test_the_controller_is_brought_where_the_cluster_has_none(evaluate: Evaluate) -> None:
    decided = evaluate("storage", ["__storage_templates"], [options for options, _templates in TEMPLATES])
    for (names,), (options, templates) in zip(decided, TEMPLATES, strict=True):
        assert sorted(names) == sorted(f"{name}.yml.j2" for name in templates), options


def storage_class(name: str, driver: str, parameters: Json | None = None, ours: bool = True) -> Json:
    """A StorageClass as it is found."""
    labels = {"labels": {"app": "jupyterhub", "component": "storage-driver"}} if ours else {}
    more = {"parameters": parameters} if parameters is not None else {}
    return {"metadata": {"name": name, **labels}, "provisioner": driver, **more}


AWS = {"type": "gp3", "encrypted": "true", "csi.storage.k8s.io/fstype": "ext4"}


CLASSES: list[tuple[list[Json], list[str], list[str]]] = [
    ([], [], []),
    ([storage_class("jupyterhub", CLOUDS["aws"], AWS)], [], []),
    ([storage_class("jupyterhub", CLOUDS["aws"], AWS, ours=False)], ["jupyterhub"], []),
    ([storage_class("jupyterhub-scratch", CLOUDS["gcp"], AWS)], ["jupyterhub-scratch"], []),
    ([storage_class("gp2", CLOUDS["aws"], {}, ours=False)], [], []),
    ([storage_class("jupyterhub", CLOUDS["aws"], {**AWS, "type": "gp2"})], [], ["jupyterhub"]),
    ([storage_class("jupyterhub", CLOUDS["aws"])], [], ["jupyterhub"]),
]


def test_only_classes_of_ours_are_written_and_none_is_changed(evaluate: Evaluate) -> None:
    answers = [{"kind": "StorageClass", "api_found": True, "resources": classes} for classes, *_names in CLASSES]
    cases = [{"storage_provider": "aws", "__storage_found": {"answers": [answer]}} for answer in answers]
    decided = evaluate("storage", ["__storage_foreign", "__storage_different"], cases)
    for (others, changed), (classes, foreign, different) in zip(decided, CLASSES, strict=True):
        assert [each["metadata"]["name"] for each in others] == foreign, classes
        assert [each["metadata"]["name"] for each in changed] == different, classes
