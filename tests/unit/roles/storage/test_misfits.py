"""What the preflight says of classes, drivers and definitions that are there, or are not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Json = dict[str, Any]
Evaluate = Callable[[str, list[str], list[Json]], list[list[Any]]]

LOCAL, AWS = "local.csi.campus.jupyterhub", "ebs.csi.aws.com"
OWN = {"app": "jupyterhub", "component": "storage-driver"}
PLURALS = ("volumesnapshots", "volumesnapshotcontents", "volumesnapshotclasses")
EXISTING = {"storage_provider": "existing"}


def named(name: str, labels: Json | None = None, **more: Any) -> Json:
    """An object as it is found."""
    return {"metadata": {"name": name, **({"labels": labels} if labels else {})}, **more}


def disk_class(driver: str, labels: Json | None = None, grows: bool = True) -> Json:
    """The StorageClass jupyterhub."""
    parameters = {"csi.storage.k8s.io/fstype": "ext4"}
    return named("jupyterhub", labels, provisioner=driver, parameters=parameters, allowVolumeExpansion=grows)


def found(
    classes: list[Json], snapshot_classes: list[Json] | None = None, drivers: int = 1, crds: str = "ours"
) -> Json:
    """The answers of a cluster; ``crds`` says whose definitions of snapshots there are: ours, theirs or none."""
    labels = {"app": "jupyterhub", "component": "snapshot-controller"} if crds == "ours" else None
    definitions = [[named(name, labels, spec={"names": {"plural": name}})] for name in PLURALS]
    answers = [("StorageClass", classes), ("CSIDriver", [named("driver")] * drivers)]
    answers += [("CustomResourceDefinition", definition if crds != "none" else []) for definition in definitions]
    answers += [("VolumeSnapshotClass", snapshot_classes or [])]
    return {"answers": [{"kind": kind, "api_found": True, "resources": items} for kind, items in answers]}


CASES: list[tuple[Json, Json, str]] = [
    ({}, found([]), ""),
    ({}, found([disk_class(LOCAL, OWN)], [named("jupyterhub", OWN, driver=LOCAL)]), ""),
    (EXISTING, found([disk_class(AWS)], [named("jupyterhub", driver=AWS)], crds="theirs"), ""),
    (
        EXISTING,
        found([named("gp3")]),
        "StorageClass jupyterhub does not exist in the cluster; set storage_class to one of: gp3.",
    ),
    (EXISTING, found([]), "set storage_class to one of: none is there, create one first."),
    (EXISTING, found([disk_class(AWS, grows=False)]), "StorageClass jupyterhub does not let disks grow"),
    (
        {},
        found([disk_class(AWS)]),
        f"StorageClass jupyterhub belongs to {AWS} and was not made for storage_provider local",
    ),
    (
        {"storage_parameters": {"csi.storage.k8s.io/fstype": "xfs"}},
        found([disk_class(LOCAL, OWN)]),
        'StorageClass jupyterhub was made with the parameters {"csi.storage.k8s.io/fstype": "ext4"}, not {"csi',
    ),
    (
        {"storage_provider": "aws"},
        found([], drivers=0),
        f"no CSI driver {AWS}, which storage_provider aws makes disks with",
    ),
    ({}, found([], crds="theirs"), "so it may have a snapshot-controller; set storage_snapshot_controller to false if"),
    ({"storage_snapshot_controller": "true"}, found([], crds="theirs"), ""),
    (
        {"storage_snapshot_controller": "false"},
        found([], crds="none"),
        "so disks cannot be snapshotted; install the snapshot-controller with its definitions",
    ),
    ({"storage_snapshot_controller": "false"}, found([], crds="theirs"), ""),
    (
        {"storage_snapshot_controller_image": ""},
        found([]),
        "storage_snapshot_controller_image is empty; run the role images",
    ),
    ({"storage_snapshot_controller_image": "", "jupyterhub_ahead": True}, found([]), ""),
    (
        EXISTING,
        found([disk_class(AWS)], [named("other", driver=AWS)], crds="theirs"),
        "VolumeSnapshotClass jupyterhub does not exist in the cluster; set storage_snapshot_class to one of: other; or",
    ),
    (
        EXISTING,
        found([disk_class(AWS)], [named("jupyterhub", driver="other")], crds="theirs"),
        f"VolumeSnapshotClass jupyterhub belongs to other, but StorageClass jupyterhub to {AWS}; set",
    ),
    (
        {},
        found([], [named("jupyterhub", driver=AWS)]),
        f"VolumeSnapshotClass jupyterhub belongs to {AWS} and was not made for storage_provider local",
    ),
]


def test_the_first_that_does_not_fit_is_said(evaluate: Evaluate) -> None:
    image = {"storage_snapshot_controller_image": "controller:1"}
    cases = [{**image, **options, "__storage_found": answers} for options, answers, _says in CASES]
    said = [value for (value,) in evaluate("storage", ["__storage_misfit"], cases)]
    for text, (options, _answers, says) in zip(said, CASES, strict=True):
        assert (says in text) if says else not text, (options, text)


WRONG: list[tuple[Json, list[str]]] = [
    ({}, []),
    (
        {"storage_pool_path": "pool", "storage_kubelet_path": "lib"},
        [
            "storage_pool_path is 'pool'; write a folder of the nodes with its full path. "
            "storage_kubelet_path is 'lib'; write a folder of the nodes with its full path."
        ],
    ),
    (
        {"storage_csi_image": "", "storage_snapshotter_image": "", "jupyterhub_ahead": False},
        [
            "storage_csi_image is empty; run the role images first, with csi among images_names, or name the image. "
            "storage_snapshotter_image is empty; run the role images first, with csi_snapshotter among images_names, "
            "or name the image."
        ],
    ),
    (
        {"storage_parameters": {"iops": 3000, "type": "gp3"}, "storage_snapshot_parameters": {"force": True}},
        [
            "storage_parameters has values that are not text (3000); a class takes only text, so put them in quotes. "
            "storage_snapshot_parameters has values that are not text (True); a class takes only text, so put them in "
            "quotes."
        ],
    ),
    ({"storage_pool_size": "", "storage_overcommit": "2"}, []),
]


def test_every_wrong_option_is_said(evaluate: Evaluate) -> None:
    images = {f"storage_{name}_image": "image:1" for name in ("csi", "provisioner", "resizer", "snapshotter")}
    cases = [{**images, **options} for options, _says in WRONG]
    said = [value for (value,) in evaluate("storage", ["__storage_problems"], cases)]
    assert said == [says for _options, says in WRONG]
