"""Many small disks of students who are not at work, all mounted by one pod, and what becomes of them."""

from __future__ import annotations

import uuid
from typing import Any

from ansible_collections.campus.jupyterhub.plugins.module_utils._quantity import to_bytes
from ansible_collections.campus.jupyterhub.tests.cluster.support import ready, wait_until
from ansible_collections.campus.jupyterhub.tests.snapshots.objects import claim, pod
from ansible_collections.campus.jupyterhub.tests.snapshots.world import World
from kubernetes.client.exceptions import ApiException

SECONDS = 120
STARTS = 3
"""How often a pod has to start at most until what it mounts has grown: not every kernel grows what is mounted."""

SPACE = "stat -f -c 'space %b %S' /disks/*"


class Crowd:
    """Disks of the scratch class and the pod that mounts them.

    Attributes:
        students: whose the disks are.
        handles: by what ids the driver knows them, once they are made.
    """

    def __init__(self, world: World, image: str, count: int, size: int) -> None:
        """``size`` is the bytes of each disk. They are made when the pod first mounts them."""
        self._world = world
        self._core = world.kube.core
        self._namespace = world.namespace
        self._image = image
        own = uuid.uuid4().hex[:6]
        self._pod = f"crowd-{own}"
        self.handles: list[str] = []
        self.students = [f"crowd-{own}-{number:02d}" for number in range(count)]
        for student in self.students:
            self._core.create_namespaced_persistent_volume_claim(self._namespace, claim(student, size))

    def claims(self) -> list[Any]:
        """The claims that are there."""
        found = self._core.list_namespaced_persistent_volume_claim(self._namespace).items
        wanted = {f"claim-{student}" for student in self.students}
        return [each for each in found if each.metadata.name in wanted]

    @property
    def node(self) -> str:
        """Name of the node that has the disks."""
        return str(self._core.read_namespaced_pod(self._pod, self._namespace).spec.node_name)

    def mount(self) -> None:
        """Start the pod and wait until it runs."""
        mounts = {f"claim-{student}": f"/disks/{student}" for student in self.students}
        self._core.create_namespaced_pod(self._namespace, pod(self._pod, self._image, ["sleep", "infinity"], mounts))
        wait_until("the pod with the disks runs", self._runs, SECONDS)
        volumes = [self._core.read_persistent_volume(each.spec.volume_name) for each in self.claims()]
        self.handles = [each.spec.csi.volume_handle for each in volumes]
        assert not self._world.unmounted(self.handles)

    def _runs(self) -> bool:
        return ready(self._core.read_namespaced_pod(self._pod, self._namespace))

    def look_again(self) -> None:
        """Let kubelet look at the pod at once, as it does every minute or so."""
        body = {"metadata": {"annotations": {"campus.jupyterhub/look": uuid.uuid4().hex}}}
        self._core.patch_namespaced_pod(self._pod, self._namespace, body)

    def unmount(self) -> None:
        """End the pod and wait until it is gone and no disk is mounted any more."""
        wait_until("the pod with the disks is gone", self._is_gone, SECONDS)
        wait_until("no disk is mounted", lambda: self._world.unmounted(self.handles), SECONDS)

    def _is_gone(self) -> bool:
        """Ask for the end of the pod, and say whether there is none."""
        try:
            self._core.delete_namespaced_pod(self._pod, self._namespace)
        except ApiException as error:
            if error.status != 404:
                raise
            return True
        return False

    def grow_at_start(self, size: int) -> None:
        """Start the pod again, so often as it may take, until every claim has that many bytes."""
        for _unused in range(STARTS):
            if self.has(size):
                return
            self.unmount()
            self.mount()
        wait_until("every claim has its size", lambda: self.has(size), SECONDS)

    def is_told(self) -> bool:
        """Say whether each claim waits for its node to grow it."""
        conditions = [{one.type for one in each.status.conditions or []} for each in self.claims()]
        return all("FileSystemResizePending" in each for each in conditions)

    def has(self, size: int) -> bool:
        """Say whether every claim has that many bytes."""
        return {to_bytes(each.status.capacity["storage"]) for each in self.claims()} == {size}

    def spaces(self) -> list[int]:
        """Bytes of each disk's file system, as the pod sees it."""
        found = self._core.read_namespaced_pod(self._pod, self._namespace)
        rows = [line.split() for line in self._world.kube.run_in(found, "sh", "-c", SPACE).splitlines()]
        return [int(blocks) * int(size) for _word, blocks, size in rows]

    def delete(self) -> None:
        """Delete every claim that is there."""
        for each in self.claims():
            self._core.delete_namespaced_persistent_volume_claim(each.metadata.name, self._namespace)

    def remove(self) -> None:
        """Take all of it away, whatever became of it."""
        self.unmount()
        self.delete()
        wait_until("the disks are gone", lambda: not {*self.handles} & {*self._world.volumes()}, SECONDS)
