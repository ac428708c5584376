"""KubeSpawner that leaves running servers alone and never mistakes one student's disk for another's."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from kubernetes_asyncio.config.incluster_config import SERVICE_CERT_FILENAME
from kubespawner import KubeSpawner
from kubespawner import __version__ as kubespawner_version
from traitlets import Unicode, default, validate

from campus_hub import state
from campus_hub.address import service_address
from campus_hub.reflectors import Event, PatientEventReflector, PatientPodReflector, PatientReflector
from campus_hub.store import StoreError, ask, grow_claim, held, read_claim, read_pod

# Seconds between two looks at what a watch knows.
GLANCE = 0.1

# Templates of the disks of named servers in Zero to JupyterHub 1 to 3, and before 1. With another student and another
# server they can give the same name.
FORMER_TEMPLATES = ("claim-{username}{servername}", "claim-{username}-{servername}")

REFLECTORS: dict[str, type[PatientReflector]] = {"pods": PatientPodReflector, "events": PatientEventReflector}


@cache
def own_namespace() -> str:
    """Return the hub's own namespace, "default" outside a cluster."""
    path = Path(SERVICE_CERT_FILENAME).with_name("namespace")
    return path.read_text().strip() if path.exists() else "default"


class StartRefusedError(Exception):
    """A start that would do harm. JupyterHub shows jupyterhub_message to the student."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.jupyterhub_message = message


class CampusSpawner(KubeSpawner):  # type: ignore[misc]
    """One pod and one disk a student.

    A running pod is stopped by the student, an admin or the culler, and by nothing else: not by a failed poll, not by
    a hub that comes back and finds it slow, not by a name that is already taken. A disk is never deleted.
    """

    canary_user = Unicode("", config=True, help="This student gets an emptyDir where others get a disk.")
    canary_size_limit = Unicode("1Gi", config=True, help="Size limit of the canary's emptyDir.")

    volumes: Any
    pvc_name: str
    storage_capacity: str | None

    # A pod that ran before this start and was taken over as it is.
    adopted = False

    @validate("delete_pvc")  # type: ignore[untyped-decorator]
    def _never_delete(self, proposal: Any) -> bool:
        if proposal.value:
            self.log.warning("KubeSpawner.delete_pvc stays false: a student's disk outlives the account")
        return False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.delete_pvc = False

    @default("namespace")  # type: ignore[untyped-decorator]
    def _namespace_default(self) -> str:
        # KubeSpawner reads a file for this, several times for each server.
        return own_namespace()

    async def delete_forever(self) -> None:
        """Keep the disk of a deleted student; staff release it."""
        self.log.info("Keeping disk %s of deleted %s", self.pvc_name, self._log_name)

    # Watches

    async def _start_reflector(
        self, kind: str, reflector_class: type[Any], replace: bool = False, **kwargs: Any
    ) -> PatientReflector:
        """Return the shared watch once it has listed.

        replace: list anew, where KubeSpawner would throw the watch away.
        """
        key = self._get_reflector_key(kind)
        reflector: PatientReflector | None = self.__class__.reflectors.get(key)
        if reflector is None:
            reflector = REFLECTORS[kind](parent=self, namespace=self.namespace, **kwargs)
            self.__class__.reflectors[key] = reflector
        elif replace:
            await reflector.refresh()
        await reflector.loaded()
        return reflector

    @property
    def events(self) -> list[Event]:
        """What Kubernetes said about this pod since its start began, the oldest first."""
        reflector = self.event_reflector
        events = reflector.of(self.pod_name) if reflector else []
        uids = [event["metadata"]["uid"] for event in events]
        # KubeSpawner puts the last event of the pod before here.
        return events[uids.index(self._last_event) + 1 :] if self._last_event in uids else events

    def _watched_pod(self) -> state.Pod | None:
        """Return the pod as the watch last saw it."""
        pod: state.Pod | None = self.pod_reflector.pods.get(f"{self.namespace}/{self.pod_name}")
        return pod

    async def _look_often(self, done: Callable[[], bool], bound: float) -> None:
        """Wait for a change in the watch, at most bound seconds; KubeSpawner itself pauses for up to 5 s."""
        # A hook may have to make what the pod waits for.
        if self.after_pod_created_hook or self.services_enabled:
            return
        deadline = asyncio.get_running_loop().time() + bound
        while not done() and asyncio.get_running_loop().time() < deadline:
            await asyncio.sleep(GLANCE)

    # Is it running?

    async def poll(self) -> int | None:
        """Return None while the server starts or runs, else its exit code.

        The watch may be behind and the API server may be away. So a server counts as stopped only when the API server
        itself says so.
        """
        await self._start_watching_pods()
        pod = self._watched_pod()
        if pod is not None and state.exit_code(pod) is None:
            # Follows a changed address. Without statuses KubeSpawner would call it stopped.
            status: int | None = await super().poll() if pod["status"].get("containerStatuses") else None
            return status
        try:
            fresh = await read_pod(self.pod_name, self.namespace, self.k8s_api_request_timeout)
        except StoreError as error:
            self.log.warning("Cannot tell whether %s still runs, taking it as running: %s", self._log_name, error)
            return None
        code = state.exit_code(fresh)
        if code is not None and fresh is not None and self.delete_stopped_pods:
            await self.stop(now=True)
        return code

    # Starting

    def get_env(self) -> dict[str, str]:
        """Return the server's environment; the hub's address is in it, for when no name server answers."""
        env: dict[str, str] = super().get_env()
        if address := service_address(env["JUPYTERHUB_API_URL"], os.environ):
            env["CAMPUS_HUB_ADDRESS"] = address
        return env

    async def _start(self) -> Any:
        self.adopted = False
        if self.canary_user and self.user.name == self.canary_user:
            self.storage_pvc_ensure = False
            self.volumes = state.without_disk(self.volumes, self.canary_size_limit)
        # The disk is looked up at each start, by _make_create_pvc_request, so KubeSpawner's own search for old names
        # is not needed.
        self._pvc_exists = False
        self._state_kubespawner_version = kubespawner_version
        return await super()._start()

    def _disk_names(self) -> list[str]:
        """Return the names that this student's disk may have, the most likely first.

        Remembered, by today's template, as KubeSpawner < 7 expanded it, as Zero to JupyterHub called it.
        """
        template = self.pvc_name_template
        names = [self.pvc_name, self._expand_user_properties(template)]
        if self.handle_legacy_names:
            names.append(self._expand_user_properties(template, slug_scheme="escape"))
        return list(dict.fromkeys([*names, *self._former_names()]))

    def _former_names(self) -> list[str]:
        """Return the names that Zero to JupyterHub gave the disk of this named server."""
        if not (self.name and self.handle_legacy_names):
            return []
        return [self._expand_user_properties(each, slug_scheme="escape") for each in FORMER_TEMPLATES]

    def _is_own(self, claim: dict[str, Any]) -> bool:
        """Say whether a disk of a name that this student's may have is this student's."""
        name = claim["metadata"]["name"]
        annotations = claim["metadata"].get("annotations") or {}
        owner = annotations.get(state.USER)
        if name in self._former_names():
            return (owner, annotations.get(state.SERVER)) == (self.user.name, self.name)
        return bool(owner == self.user.name or (owner is None and name == self.pvc_name))

    async def _make_create_pvc_request(self, pvc: Any, request_timeout: float) -> bool:
        """Find the student's disk or make it; false to be called again.

        Raises StartRefusedError when it is another student's.
        """
        try:
            for name in self._disk_names():
                claim = await read_claim(name, self.namespace, request_timeout)
                if claim is None:
                    continue
                if self._is_own(claim):
                    self.pvc_name = name
                    await self._grow(claim, request_timeout)
                    return True
                self.log.error("Disk %s is another's, not that of %s; leaving it alone", name, self._log_name)
        except StoreError as error:
            if error.passing:
                return False
            raise
        self.pvc_name = self._expand_user_properties(self.pvc_name_template)
        manifest = self.get_pvc_manifest()
        create = self.api.create_namespaced_persistent_volume_claim
        try:
            held()
            await ask(create(self.namespace, manifest, _request_timeout=request_timeout))
        except StoreError as error:
            if error.status == 409:
                raise StartRefusedError(
                    f"The disk {self.pvc_name} belongs to another account. Please tell the staff."
                ) from error
            if not error.passing:
                raise
            return False
        return True

    async def _grow(self, claim: dict[str, Any], request_timeout: float) -> None:
        """Ask for the configured size for a disk that has less. Whatever comes of it, the server starts."""
        size = self.storage_capacity
        try:
            if size and state.smaller(claim, size):
                await grow_claim(claim, size, request_timeout)
                self.log.info("Disk %s of %s grows to %s", self.pvc_name, self._log_name, size)
        except (StoreError, ValueError) as error:
            self.log.warning("Disk %s of %s does not grow to %s: %s", self.pvc_name, self._log_name, size, error)

    async def _make_create_pod_request(self, pod: Any, request_timeout: float) -> bool:
        """Create the pod, or take over the student's own that is already there; false to be called again."""
        while True:
            try:
                held()
                await ask(self.api.create_namespaced_pod(self.namespace, pod, _request_timeout=request_timeout))
                await self._look_often(lambda: self.is_pod_running(self._watched_pod()), self.start_timeout)
                return True
            except StoreError as error:
                if error.passing:
                    self.log.warning("Pod %s: %s; trying again", self.pod_name, error)
                    return False
                if error.status != 409:
                    raise
            try:
                if await self._take_over(request_timeout):
                    return True
            except StoreError as error:
                if not error.passing:
                    raise
            await asyncio.sleep(0.5)

    async def _take_over(self, request_timeout: float) -> bool:
        """Adopt the pod that has our name; true when that is done, false when the name is or will be free.

        Raises StartRefusedError for a pod that is not this student's.
        """
        found = await read_pod(self.pod_name, self.namespace, request_timeout)
        if found is None or state.terminating(found):
            return False
        if not state.belongs_to(found, self.component_label, self.user.name, self.name):
            raise StartRefusedError(f"The name {self.pod_name} is taken by something else. Please tell the staff.")
        token = state.api_token(found)
        if state.exit_code(found) is not None or not token:
            self.log.info("Removing pod %s, whose server has ended", self.pod_name)
            await self.stop(now=False)
            return False
        self.log.warning("Pod %s of %s already runs; taking it over", self.pod_name, self._log_name)
        # JupyterHub accepts the token that the server was started with.
        self.api_token = token
        self.adopted = True
        return True

    # Stopping

    async def _make_delete_pod_request(
        self, pod_name: str, delete_options: Any, grace_seconds: int, request_timeout: float
    ) -> bool:
        try:
            held()
        except StoreError as error:
            self.log.warning("Pod %s is not deleted: %s; trying again", pod_name, error)
            return False
        deleted: bool = await super()._make_delete_pod_request(pod_name, delete_options, grace_seconds, request_timeout)
        if deleted:
            await self._look_often(lambda: self._watched_pod() is None, request_timeout)
        return deleted
