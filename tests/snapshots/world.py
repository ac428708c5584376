"""What the tests of snapshots see: modules run as a job runs them, snapshots, and the drivers' own lists."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from ansible_collections.campus.jupyterhub.plugins.module_utils._disk_snapshots import OURS, Snapshot, snapshot_of
from ansible_collections.campus.jupyterhub.plugins.module_utils._student_disks import DISKS, STUDENT
from ansible_collections.campus.jupyterhub.tests.cluster.support import CHECKOUT, Kube, Site, wait_until
from kubernetes import client, config

Json = dict[str, Any]

GROUP = ("snapshot.storage.k8s.io", "v1")
MODULE_SECONDS = 600
MODULES = "ansible_collections.campus.jupyterhub.plugins.modules"
STORAGE = "jupyterhub-storage"
DRIVER = "app=jupyterhub,component=storage-driver"
POOL = "/var/lib/campus-jupyterhub/pool"


class Failed(AssertionError):
    """A module ended with an error, which is the message."""


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

    def run_schedule(self, schedule: str) -> Json:
        """Run the job that a schedule would run, now, wait for its end, and return what its module says."""
        template = self.batch.read_namespaced_cron_job(schedule, self.namespace).spec.job_template
        meta = client.V1ObjectMeta(generate_name=f"{schedule}-by-hand-", labels=template.metadata.labels)
        job = self.batch.create_namespaced_job(self.namespace, client.V1Job(metadata=meta, spec=template.spec))
        name = job.metadata.name

        def ended() -> Any:
            status = self.batch.read_namespaced_job(name, self.namespace).status
            return status if status.succeeded or status.failed else None

        status = wait_until("the job has ended", ended, 180)
        said = "\n".join(self.kube.log_of(pod.metadata.name) for pod in self.kube.pods(f"job-name={name}"))
        assert status.succeeded, said
        result: Json = json.loads(said[said.index("{") :])
        return result

    def disks(self) -> list[Any]:
        """The claims of students' disks."""
        items: list[Any] = self.kube.core.list_namespaced_persistent_volume_claim(
            self.namespace, label_selector=DISKS
        ).items
        return items

    def disk(self, student: str) -> Any:
        """The claim of a student's disk."""
        (found,) = [claim for claim in self.disks() if claim.metadata.annotations[STUDENT] == student]
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
        body = {"status": {"creationTime": f"{taken:%Y-%m-%dT%H:%M:%SZ}"}}
        self.objects.patch_namespaced_custom_object_status(
            *GROUP, self.namespace, "volumesnapshots", snapshot.name, body
        )

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
