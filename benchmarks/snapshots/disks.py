"""Disks without students: claims that are provisioned without a pod, with content, and copies of snapshots of them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ansible_collections.campus.jupyterhub.plugins.module_utils._student_disks import STUDENT
from ansible_collections.campus.jupyterhub.tests.cluster.support import Kube, wait_until
from ansible_collections.campus.jupyterhub.tests.snapshots.world import DRIVER, POOL, STORAGE
from kubernetes import client

MIB = 1024 * 1024
CLASS = "jupyterhub-scratch"
# What the scheduler writes when it has found a node for the pod that waits.
NODE = "volume.kubernetes.io/selected-node"
SECONDS = 900.0


class Disks:
    """Claims in a namespace, spread over the nodes that have a pool."""

    def __init__(self, kube: Kube, namespace: str, size: int) -> None:
        """``size`` is that of a disk in MiB."""
        self._kube = kube
        self._namespace = namespace
        self._size = size

    def __enter__(self) -> Disks:
        self._kube.core.create_namespace({"metadata": {"name": self._namespace}})
        return self

    def __exit__(self, *error: object) -> None:
        self._kube.core.delete_namespace(self._namespace)
        wait_until("the namespace is gone", lambda: not self._there(), SECONDS)

    def _there(self) -> bool:
        names = [item.metadata.name for item in self._kube.core.list_namespace().items]
        return self._namespace in names

    def _drivers(self) -> dict[str, Any]:
        """The driver's pod on each node; other flags make other pods."""
        pods = self._kube.pods(DRIVER, STORAGE)
        return {pod.spec.node_name: pod for pod in pods if not pod.metadata.deletion_timestamp}

    def make(self, count: int) -> None:
        """Make disks and wait until each has its volume."""
        nodes = sorted(self._drivers())
        for number in range(count):
            self._claim(f"claim-{number:05d}", nodes[number % len(nodes)], f"student-{number:05d}")
        self.wait_bound(count)

    def restore(self, snapshots: Iterable[tuple[str, str]]) -> int:
        """Make a disk of each snapshot, named with the claim it was taken of, and wait for them; returns how many."""
        nodes = {claim.metadata.name: claim.metadata.annotations[NODE] for claim in self._claims()}
        begun = 0
        for name, claim in snapshots:
            self._claim(f"restored-{begun:05d}", nodes[claim], "", name)
            begun += 1
        self.wait_bound(len(nodes) + begun)
        return begun

    def _claim(self, name: str, node: str, student: str, snapshot: str = "") -> None:
        labels = {"component": "singleuser-storage"} if student else {}
        source = (
            {"apiGroup": "snapshot.storage.k8s.io", "kind": "VolumeSnapshot", "name": snapshot} if snapshot else None
        )
        spec: dict[str, Any] = {
            "accessModes": ["ReadWriteOnce"],
            "storageClassName": CLASS,
            "resources": {"requests": {"storage": f"{self._size}Mi"}},
            "dataSource": source,
        }
        annotations = {NODE: node, **({STUDENT: student} if student else {})}
        body = {"metadata": {"name": name, "labels": labels, "annotations": annotations}, "spec": spec}
        self._kube.core.create_namespaced_persistent_volume_claim(self._namespace, body)

    def _claims(self) -> list[Any]:
        found: list[Any] = self._kube.core.list_namespaced_persistent_volume_claim(self._namespace).items
        return found

    def wait_bound(self, count: int) -> None:
        """Wait until so many claims have their volume."""

        def bound() -> int:
            return sum(1 for claim in self._claims() if claim.status.phase == "Bound")

        wait_until(f"{count} disks", lambda: bound() == count, SECONDS)

    def fill(self, mebibytes: int) -> None:
        """Put a file of random bytes onto these disks, which nobody has mounted, and onto no other of the pools."""
        script = (
            "head -c $((1048576 * $0)) /dev/urandom > /tmp/content; cd $1; shift;"
            ' for disk; do debugfs -w -R "write /tmp/content content" $disk/disk.img; done; rm /tmp/content; sync'
        )
        handles = self._handles()
        for node, pod in self._drivers().items():
            self._kube.run_in(pod, "sh", "-c", script, str(mebibytes), f"{POOL}/volumes", *handles[node])

    def _handles(self) -> dict[str, list[str]]:
        """What the driver of each node calls these disks."""
        volumes = {one.metadata.name: one.spec.csi for one in self._kube.core.list_persistent_volume().items}
        found: dict[str, list[str]] = {node: [] for node in self._drivers()}
        for claim in self._claims():
            found[claim.metadata.annotations[NODE]].append(volumes[claim.spec.volume_name].volume_handle)
        return found

    def used(self) -> int:
        """Bytes that the pools take."""
        outputs = [self._kube.run_in(pod, "df", "-B1", "--output=used", POOL) for pod in self._drivers().values()]
        return sum(int(output.split()[-1]) for output in outputs)


def with_default_flags(arguments: list[str]) -> list[str]:
    """Arguments of a snapshot controller or sidecar without what makes it faster than it is by default."""
    faster = ("--kube-api-qps", "--kube-api-burst", "--worker-threads")
    return [argument for argument in arguments if not argument.startswith(faster)]


class Flags:
    """The arguments of the snapshot controller and its sidecars: as the role sets them, or as they come."""

    def __init__(self, apps: client.AppsV1Api) -> None:
        self._apps = apps
        self._controller = apps.read_namespaced_deployment("snapshot-controller", STORAGE)
        self._driver = apps.read_namespaced_daemon_set("storage-driver", STORAGE)

    def as_they_come(self) -> None:
        """Take the role's flags away and wait until all run without."""
        self._patch(with_default_flags)

    def as_set(self) -> None:
        """Put the role's flags back and wait until all run with them."""
        self._patch(list)

    def _patch(self, change: Any) -> None:
        for item, name in ((self._controller, "snapshot-controller"), (self._driver, "snapshotter")):
            (container,) = [one for one in item.spec.template.spec.containers if one.name == name]
            body = {"spec": {"template": {"spec": {"containers": [{"name": name, "args": change(container.args)}]}}}}
            patch = (
                self._apps.patch_namespaced_deployment
                if item is self._controller
                else self._apps.patch_namespaced_daemon_set
            )
            patch(item.metadata.name, STORAGE, body)
        wait_until("the controller and the drivers run with these flags", self._settled, 300)

    def _settled(self) -> bool:
        controller = self._apps.read_namespaced_deployment("snapshot-controller", STORAGE)
        driver = self._apps.read_namespaced_daemon_set("storage-driver", STORAGE)
        new = all(item.status.observed_generation == item.metadata.generation for item in (controller, driver))
        drivers = driver.status
        return (
            new
            and controller.status.updated_replicas == controller.status.ready_replicas == 1
            and (drivers.updated_number_scheduled == drivers.number_ready == drivers.desired_number_scheduled)
        )
