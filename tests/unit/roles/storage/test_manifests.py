"""What the role storage brings to a cluster, rendered with its defaults and with options."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Json = dict[str, Any]

DRIVER = "local.csi.campus.jupyterhub"
OTHERWISE: Json = {
    "storage_namespace": "disks",
    "storage_class": "students",
    "storage_scratch_class": "side",
    "storage_kubelet_path": "/data/kubelet",
    "storage_pool_path": "/srv/disks",
    "storage_pool_size": "",
    "storage_tolerations": [{"key": "gpu", "operator": "Exists"}],
    "storage_node_selector": {"pool": "students"},
    "storage_image_pull_secrets": ["one", "two"],
}
Objects = Callable[..., dict[tuple[str, str], Json]]


def containers(workload: Json) -> dict[str, Json]:
    return {each["name"]: each for each in workload["spec"]["template"]["spec"]["containers"]}


def test_every_object_is_labelled_as_ours(objects: Objects) -> None:
    for item in objects().values():
        labels = item["metadata"]["labels"]
        assert labels["app"] == "jupyterhub"
        assert labels["app.kubernetes.io/managed-by"] == "campus.jupyterhub"


def test_students_disks_are_retained_and_scratch_disks_are_not(
    objects: Objects,
) -> None:
    found = objects(**OTHERWISE)
    classes = {name: item for (kind, name), item in found.items() if kind == "StorageClass"}
    assert {name: item["reclaimPolicy"] for name, item in classes.items()} == {"students": "Retain", "side": "Delete"}
    for item in classes.values():
        assert item["provisioner"] == DRIVER
        assert item["allowVolumeExpansion"] is True
        assert item["volumeBindingMode"] == "WaitForFirstConsumer"


def test_only_the_driver_itself_is_privileged(objects: Objects) -> None:
    found = objects()
    driver = containers(found["DaemonSet", "storage-driver"])
    assert driver["driver"]["securityContext"]["privileged"] is True
    sidecars = [driver["watchdog"], driver["provisioner"], driver["snapshotter"]]
    sidecars += containers(found["Deployment", "storage-resizer"]).values()
    controller = containers(found["Deployment", "snapshot-controller"])["snapshot-controller"]
    for container in [*sidecars, controller]:
        assert container["securityContext"]["allowPrivilegeEscalation"] is False
        assert container["securityContext"]["capabilities"]["drop"] == ["ALL"]
        added = ["SYS_ADMIN"] if container is driver["watchdog"] else None
        assert container["securityContext"]["capabilities"].get("add") == added
        assert container["securityContext"]["readOnlyRootFilesystem"] is True
        assert set(container["resources"]["requests"]) == {"cpu", "memory"}
    for sidecar in sidecars:
        assert [mount["name"] for mount in sidecar["volumeMounts"]] == ["sockets"]
    assert "volumeMounts" not in controller
    assert found["Namespace", "jupyterhub-storage"]["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == (
        "privileged"
    )


def test_the_watchdog_listens_where_the_driver_looks_for_it(objects: Objects) -> None:
    driver = containers(objects()["DaemonSet", "storage-driver"])
    socket = driver["watchdog"]["command"][-1]
    assert f"--watchdog={socket}" in driver["driver"]["args"]
    assert socket.startswith(driver["watchdog"]["volumeMounts"][0]["mountPath"])


def test_paths_are_the_same_inside_and_outside(objects: Objects) -> None:
    found = objects(**OTHERWISE)
    workload = found["DaemonSet", "storage-driver"]
    spec = workload["spec"]["template"]["spec"]
    outside = {volume["name"]: volume.get("hostPath", {}).get("path") for volume in spec["volumes"]}
    driver = containers(workload)["driver"]
    for mount in driver["volumeMounts"]:
        if mount["name"] != "tmp":
            assert mount["mountPath"] == outside[mount["name"]]
            assert mount["mountPropagation"] == "Bidirectional"
    assert f"--endpoint=/data/kubelet/plugins/{DRIVER}/csi.sock" in driver["args"]
    assert "--pool-path=/srv/disks" in driver["args"]
    assert "--pool-size=" in driver["args"]


def test_rights_name_what_they_are_for(objects: Objects) -> None:
    for (kind, _unused), item in objects().items():
        if kind in ("Role", "ClusterRole"):
            for rule in item["rules"]:
                assert "*" not in rule["resources"] + rule["verbs"] + rule["apiGroups"]
                assert "secrets" not in rule["resources"]


def test_every_binding_finds_its_role_and_account(objects: Objects) -> None:
    found = objects(**OTHERWISE)
    for (kind, _unused), item in found.items():
        if kind.endswith("Binding"):
            assert (item["roleRef"]["kind"], item["roleRef"]["name"]) in found
            for subject in item["subjects"]:
                assert found["ServiceAccount", subject["name"]]["metadata"]["namespace"] == subject["namespace"]


def test_pods_go_where_students_go(objects: Objects) -> None:
    found = objects(**OTHERWISE)
    controller = found["Deployment", "snapshot-controller"]["spec"]["template"]["spec"]
    assert controller["tolerations"][0] == {"key": "gpu", "operator": "Exists"}
    assert controller["imagePullSecrets"] == [{"name": "one"}, {"name": "two"}]
    for name in (("DaemonSet", "storage-driver"), ("Deployment", "storage-resizer")):
        spec = found[name]["spec"]["template"]["spec"]
        assert spec["tolerations"] == [{"key": "gpu", "operator": "Exists"}]
        assert spec["nodeSelector"] == {"kubernetes.io/os": "linux", "pool": "students"}
        assert spec["imagePullSecrets"] == [{"name": "one"}, {"name": "two"}]
