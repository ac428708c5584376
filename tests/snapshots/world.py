"""What the tests of snapshots see: modules run as a job runs them, snapshots, and the drivers' own lists."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.campus.jupyterhub.plugins.module_utils._disk_snapshots import (
    OURS,
    TAKEN,
    Snapshot,
    snapshot_of,
)
from ansible_collections.campus.jupyterhub.plugins.module_utils._student_disks import DISKS, STUDENT
from ansible_collections.campus.jupyterhub.tests.cluster.support import CHECKOUT, Kube, Site, wait_until
from kubernetes import client, config
from kubernetes.client.exceptions import ApiException

Json = dict[str, Any]

GROUP = ("snapshot.storage.k8s.io", "v1")
MODULE_SECONDS = 600
JOB_SECONDS = 300
MODULES = "ansible_collections.campus.jupyterhub.plugins.modules"
STORAGE = "jupyterhub-storage"
DRIVER = "app=jupyterhub,component=storage-driver"
DRIVER_NAME = "local.csi.campus.jupyterhub"
POOL = "/var/lib/campus-jupyterhub/pool"

IS_FULL = os.environ.get("JUPYTERHUB_SNAPSHOTS") == "full"
FULL = pytest.mark.skipif(not IS_FULL, reason="part of the full form")
"""For what takes longer than a test of every run may."""

# The client of Kubernetes would make Python of an answer in JSON.
LISTS = """
import sys
import grpc
from campus_csi_proto import csi_pb2 as csi
from campus_csi_proto import csi_pb2_grpc
with grpc.insecure_channel("unix:" + sys.argv[1]) as channel:
    driver = csi_pb2_grpc.ControllerStub(channel)
    disks = [entry.volume for entry in driver.ListVolumes(csi.ListVolumesRequest(), timeout=30).entries]
    snapshots = [entry.snapshot for entry in driver.ListSnapshots(csi.ListSnapshotsRequest(), timeout=30).entries]
for disk in disks:
    print("disk", disk.volume_id, disk.capacity_bytes)
for snapshot in snapshots:
    print("snapshot", snapshot.snapshot_id, snapshot.size_bytes)
print("end")
"""


class Failed(AssertionError):
    """A module ended with an error, which is the message."""


def refused(call: Callable[..., Any], *arguments: Any) -> str:
    """Why the API server refuses a call; empty when it would do it. Nothing is really changed."""
    try:
        call(*arguments, dry_run="All")
    except ApiException as error:
        return f"{error.status}: {error.body}"
    return ""


class World:
    """The hub under test with the snapshots of its students' disks."""

    def __init__(self, site: Site, kube: Kube, folder: Path) -> None:
        """``folder`` is where the modules' arguments are written."""
        self.site = site
        self.kube = kube
        self.namespace = kube.namespace
        api = config.new_client_from_config(site.facts["kubeconfig"], site.facts["context"])
        self.objects = client.CustomObjectsApi(api)
        self.batch = client.BatchV1Api(api)
        self._folder = folder
        self._calls = 0

    def module(self, name: str, *, check: bool = False, **options: Any) -> Json:
        """Run a module's file with these options and return its result; raises Failed."""
        with self.running(name, check=check, **options) as process:
            output, errors = process.communicate(timeout=MODULE_SECONDS)
        assert output.strip().startswith("{"), output + errors
        result: Json = json.loads(output)
        if result.get("failed"):
            raise Failed(result["msg"])
        return result

    @contextmanager
    def running(self, name: str, *, check: bool = False, **options: Any) -> Iterator[subprocess.Popen[str]]:
        """Start a module and have it while it runs; it is ended with the block."""
        self._calls += 1
        path = self._folder / f"{self._calls}.json"
        reach = {"kubeconfig": self.site.facts["kubeconfig"], "context": self.site.facts["context"]}
        values = {"namespace": self.namespace, **reach, **options, "_ansible_check_mode": check, "_ansible_diff": True}
        path.write_text(json.dumps({"ANSIBLE_MODULE_ARGS": values}))
        with subprocess.Popen(
            [sys.executable, "-m", f"{MODULES}.{name}", str(path)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(CHECKOUT / "build" / "collections")},
        ) as process:
            try:
                yield process
            finally:
                process.kill()

    def run_schedule(self, name: str) -> Json:
        """Run the job that a CronJob would run, now, and return the module's result once it has ended."""
        template = self.batch.read_namespaced_cron_job(name, self.namespace).spec.job_template
        called = f"{name}-{uuid.uuid4().hex[:6]}"
        meta = client.V1ObjectMeta(name=called, labels=template.metadata.labels)
        self.batch.create_namespaced_job(self.namespace, client.V1Job(metadata=meta, spec=template.spec))

        def ended() -> Any:
            status = self.batch.read_namespaced_job(called, self.namespace).status
            return status.succeeded or status.failed

        try:
            wait_until(f"the job {called} has ended", ended, JOB_SECONDS)
            said = "\n".join(self.kube.log_of(pod.metadata.name) for pod in self.kube.pods(f"job-name={called}"))
            assert "{" in said, said
            return dict(json.loads(said[said.index("{") :]))
        finally:
            self.batch.delete_namespaced_job(called, self.namespace, propagation_policy="Background")

    def as_account(self, name: str) -> client.ApiClient:
        """The API as an account of the hub's namespace has it."""
        api = config.new_client_from_config(self.site.facts["kubeconfig"], self.site.facts["context"])
        api.set_default_header("Impersonate-User", f"system:serviceaccount:{self.namespace}:{name}")
        return api

    def disks(self, student: str = "") -> list[Any]:
        """The claims of a student's disks, or of all students'."""
        claims = self.kube.core.list_namespaced_persistent_volume_claim(self.namespace, label_selector=DISKS).items
        return [claim for claim in claims if not student or claim.metadata.annotations[STUDENT] == student]

    def disk(self, student: str) -> Any:
        """The claim of a student's one disk."""
        (found,) = self.disks(student)
        return found

    def snapshots(self, student: str = "") -> list[Snapshot]:
        """The snapshots in the hub's namespace that are not going, oldest first."""
        items = self.objects.list_namespaced_custom_object(
            *GROUP, self.namespace, "volumesnapshots", label_selector=OURS
        )["items"]
        found = [snapshot for snapshot in map(snapshot_of, items) if not snapshot.deleting]
        mine = [snapshot for snapshot in found if not student or snapshot.student == student]
        return sorted(mine, key=lambda snapshot: (snapshot.taken, snapshot.name))

    def date(self, snapshot: Snapshot, taken: datetime) -> None:
        """Let a snapshot have been taken at another time."""
        body = {"metadata": {"annotations": {TAKEN: f"{taken:%Y-%m-%dT%H:%M:%SZ}"}}}
        self.objects.patch_namespaced_custom_object(*GROUP, self.namespace, "volumesnapshots", snapshot.name, body)

    def handles(self) -> set[str]:
        """The ids by which the contents in the cluster name what the drivers keep."""
        items = self.objects.list_cluster_custom_object(*GROUP, "volumesnapshotcontents")["items"]
        return {item["status"]["snapshotHandle"] for item in items if (item.get("status") or {}).get("snapshotHandle")}

    def kept(self) -> set[str]:
        """The ids of the snapshots that really are in the pools."""
        found: set[str] = set()
        for pod in self.kube.pods(DRIVER, STORAGE):
            found |= set(self.kube.run_in(pod, "ls", f"{POOL}/snapshots").split())
        return found

    def nothing_leaks(self) -> None:
        """Wait until the pools hold what the API server knows, and nothing else."""
        wait_until("the pools hold what the API server knows", lambda: self.kept() == self.handles(), 60)

    def volumes(self) -> dict[str, str]:
        """The drivers' disks as the API server knows them: id to capacity."""
        volumes = self.kube.core.list_persistent_volume().items
        return {
            each.spec.csi.volume_handle: each.spec.capacity["storage"]
            for each in volumes
            if each.spec.csi and each.spec.csi.driver == DRIVER_NAME
        }

    def listed(self) -> tuple[dict[str, int], dict[str, int]] | None:
        """The disks and snapshots that the drivers list through their sockets: id to bytes; None while one is away."""
        disks: dict[str, int] = {}
        snapshots: dict[str, int] = {}
        for pod in self.kube.pods(DRIVER, STORAGE):
            (endpoint,) = [each for each in pod.spec.containers[0].args if each.startswith("--endpoint=")]
            try:
                said = self.kube.run_in(pod, "python", "-c", LISTS, endpoint.removeprefix("--endpoint=")).splitlines()
            except ApiException:
                return None
            if "end" not in said:
                return None
            for kind, identity, size in (line.split() for line in said if line.startswith(("disk ", "snapshot "))):
                (disks if kind == "disk" else snapshots)[identity] = int(size)
        return disks, snapshots

    def lists_agree(self) -> None:
        """Wait until what the drivers list is what the API server knows, and nothing else."""

        def agree() -> bool:
            listed = self.listed()
            return listed is not None and [{*each} for each in listed] == [{*self.volumes()}, self.handles()]

        wait_until("the drivers list what the API server knows", agree, 120)

    def half_made(self) -> list[str]:
        """What the drivers have begun to make or to remove and have not ended."""
        command = f"ls {POOL}/partial {POOL}/trash | grep -e ^disk- -e ^snap- || true"
        pods = self.kube.pods(DRIVER, STORAGE)
        return [line for pod in pods for line in self.kube.run_in(pod, "sh", "-c", command).split()]

    def unmounted(self, handles: Iterable[str]) -> bool:
        """Say whether none of these disks is mounted anywhere; false while a driver is away."""
        # So kubelet calls the folder where it mounts a disk for all pods of its node.
        folders = [f"{DRIVER_NAME}/{hashlib.sha256(handle.encode()).hexdigest()}/" for handle in handles]
        try:
            said = [self.kube.run_in(pod, "cat", "/proc/mounts") for pod in self.kube.pods(DRIVER, STORAGE)]
        except ApiException:
            return False
        return bool(said) and not any(folder in mounts for mounts in said for folder in folders)

    def in_pool(self, handle: str, command: str) -> str:
        """What a shell command says in the folder of a disk in the pool, wherever that is."""
        script = f"cd {POOL}/volumes/$0 2>/dev/null || exit 0; {command}"
        pods = self.kube.pods(DRIVER, STORAGE)
        return "".join(self.kube.run_in(pod, "sh", "-c", script, handle) for pod in pods)
