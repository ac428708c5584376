# Copyright: campus.jupyterhub contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Make side disks, run pods on them to their end, and take both away again.

Private to the collection: it may change in any release.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

from ansible_collections.campus.jupyterhub.plugins.module_utils._cluster import PASSING, ClusterError
from ansible_collections.campus.jupyterhub.plugins.module_utils._cluster_verbs import (
    Creates,
    Deletes,
    Gets,
    Lists,
    Logs,
    Patches,
)
from ansible_collections.campus.jupyterhub.plugins.module_utils._rollout import container_problems, pod_problem
from ansible_collections.campus.jupyterhub.plugins.module_utils._side_disk import (
    CONTAINER,
    LABELS,
    SNAPSHOT,
    Template,
    no_room,
    taken_by_another,
    template_of_job,
)
from ansible_collections.campus.jupyterhub.plugins.module_utils._snapshot_remove import Clock

Json = dict[str, Any]
T = TypeVar("T")

JOB = "snapshots"
"""The CronJob of the role snapshots."""
CLOCK = Clock(time.monotonic, time.sleep)
STEP_SECONDS = 1.0
LOG_LINES = 50
NO_ROOM_SECONDS = 45
"""How long storage may say that it has no room: with more than one node it also says so of the wrong ones."""


class RestoreError(Exception):
    """It could not be done; the message is for the user."""


class Api(Creates, Deletes, Gets, Lists, Logs, Patches, Protocol):
    """What restoring needs of a cluster."""


class SideDisks:
    """The side disks of one namespace."""

    def __init__(
        self,
        api: Api,
        namespace: str,
        seconds: int,
        clock: Clock = CLOCK,
    ) -> None:
        """``seconds`` is how long any one thing may take."""
        self.api = api
        self.namespace = namespace
        self.seconds = seconds
        self.clock = clock

    def until(self, what: str, look: Callable[[], T | None]) -> T:
        """Return what ``look`` finds, looking every second; an API server that is busy is asked again.

        Raises:
            ClusterError: for a reason that does not pass.
            RestoreError: it found nothing in time.
        """
        end = self.clock.now() + self.seconds
        while True:
            late = self.clock.now() >= end
            try:
                found = look()
            except ClusterError as error:
                if late or error.status not in PASSING:
                    raise
                found = None
            if found is not None:
                return found
            if late:
                raise RestoreError(f"{what} took longer than {self.seconds} s; run again, or with a higher timeout.")
            self.clock.sleep(STEP_SECONDS)

    def make(self, claim: Json) -> bool:
        """Create a side disk, or take the one that the same restore made before; says whether it was created.

        Raises:
            RestoreError: something else has its name.
        """
        name, snapshot = claim["metadata"]["name"], claim["metadata"]["annotations"][SNAPSHOT]
        try:
            self.api.create(claim)
            return True
        except ClusterError as error:
            if error.status != 409:
                raise
        there = self.api.get("PersistentVolumeClaim", name, self.namespace)
        if there is None:
            raise RestoreError(f"The side disk {name} was removed meanwhile; run again.")
        if why := taken_by_another(there, snapshot):
            raise RestoreError(why)
        return False

    def ask(self, pod: Json) -> Json:
        """Run a pod to its end and return what it answered; one of the same restore that runs already is waited for.

        Raises:
            RestoreError: it refused or failed, or its disk could not be made.
        """
        name = pod["metadata"]["name"]
        try:
            self.api.create(pod)
        except ClusterError as error:
            if error.status != 409:
                raise
        try:
            failed = self._wait_for(pod)
            answer = self._answer_of(name)
        finally:
            self.remove("Pod", name)
        if "error" in answer:
            raise RestoreError(str(answer["error"]))
        if failed or not answer:
            raise RestoreError(f"The pod {name} {failed or 'ended without an answer'}; run again.")
        return answer

    def start(self, pod: Json) -> str:
        """Run a pod that goes on until it is removed, and return its address as soon as it has one.

        Raises:
            RestoreError: it ended, or its disk could not be made.
        """
        self.api.create(pod)

        def address(found: Json) -> str | None:
            status = found.get("status") or {}
            return str(status["podIP"]) if status.get("phase") == "Running" and status.get("podIP") else None

        def ended(found: Json, why: str) -> str:
            raise RestoreError(f"The pod {found['metadata']['name']} {why or 'ended'}; run again.")

        return self._watch(pod, address, ended)

    def _wait_for(self, pod: Json) -> str:
        """Wait for a pod's end and return why it failed, empty when it did not."""
        return self._watch(pod, lambda _found: None, lambda _found, why: why)

    def _watch(self, pod: Json, look: Callable[[Json], str | None], ended: Callable[[Json, str], str]) -> str:
        """Return what ``look`` finds in a pod that goes on, or what ``ended`` makes of one that does not."""
        name = pod["metadata"]["name"]
        claims = [volume["persistentVolumeClaim"]["claimName"] for volume in pod["spec"]["volumes"]]
        refused_since: list[float] = []

        def once() -> str | None:
            found = self.api.get("Pod", name, self.namespace)
            if found is None or not LABELS.items() <= (found["metadata"].get("labels") or {}).items():
                raise RestoreError(f"The pod {name} was removed meanwhile; run again.")
            phase = (found.get("status") or {}).get("phase")
            if phase == "Succeeded":
                return ended(found, "")
            if phase == "Failed":
                problems = [reason for _container, reason in container_problems(found)]
                return ended(found, problems[0] if problems else pod_problem(found))
            if phase != "Running":
                self._require_room([name, *claims], found, refused_since)
            return look(found)

        try:
            return self.until(f"The pod {name}", once)
        except RestoreError as error:
            why = self._why([name, *claims])
            raise RestoreError(f"{error} {why}".strip()) from error

    def _require_room(self, names: list[str], pod: Json, refused_since: list[float]) -> None:
        """Raise RestoreError when storage has been saying for a while that it has no room."""
        message = no_room([pod_problem(pod), *self._warnings(names)])
        if not message:
            refused_since.clear()
            return
        refused_since.append(self.clock.now())
        if self.clock.now() - refused_since[0] >= NO_ROOM_SECONDS:
            raise RestoreError(f"There is no room for the restore: {message}.")

    def _warnings(self, names: list[str]) -> list[str]:
        """Return the messages of the warnings about objects of these names, newest first."""
        events = self.api.list("Event", "v1", self.namespace, None, "type=Warning")
        about = [event for event in events if event["involvedObject"].get("name") in names]
        about.sort(key=lambda event: str(event.get("lastTimestamp") or event.get("eventTime") or ""), reverse=True)
        return [str(event.get("message") or "") for event in about]

    def _why(self, names: list[str]) -> str:
        messages = self._warnings(names)
        return f"Last warning: {' '.join(messages[0].split())}." if messages else ""

    def _answer_of(self, pod: str) -> Json:
        """Return the JSON of the last line that a pod wrote, empty when that is none."""
        # A long line is kept in several pieces, each of which counts as one.
        text = self.api.logs(pod, self.namespace, CONTAINER, LOG_LINES).strip()
        try:
            answer = json.loads(text.splitlines()[-1]) if text else {}
        except ValueError:
            return {"error": f"The pod {pod} ended with: {text.splitlines()[-1]}"}
        return answer if isinstance(answer, dict) else {}

    def remove(self, kind: str, name: str) -> None:
        """Remove a pod or claim of the collection's restores and wait until it is gone; anything else stays."""
        there = self.api.get(kind, name, self.namespace)
        if there is None or not LABELS.items() <= (there["metadata"].get("labels") or {}).items():
            return
        uid = there["metadata"]["uid"]
        self.api.delete(kind, name, self.namespace, uid)

        def gone() -> bool | None:
            left = self.api.get(kind, name, self.namespace)
            return True if left is None or left["metadata"]["uid"] != uid else None

        self.until(f"Removing the {kind} {name}", gone)


def template_of(api: Api, namespace: str, image: str) -> Template:
    """Return the template of pods with this image, or where none is named with that of the snapshots' CronJob.

    Raises:
        RestoreError: there is no such CronJob.
    """
    job = api.get("CronJob", JOB, namespace, "batch/v1")
    if image:
        return Template(image, template_of_job(job).pull_secrets if job else ())
    if job is None:
        raise RestoreError(
            f"The CronJob {JOB} in {namespace}, whose image restores, is not there; run the role snapshots, or name "
            "one by image."
        )
    return template_of_job(job)
