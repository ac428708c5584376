# Copyright: campus.jupyterhub contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Looks at, makes and removes kind clusters.

Private to the collection: it may change in any release.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ansible_collections.campus.jupyterhub.plugins.module_utils._build_local_registry import registry_name
from ansible_collections.campus.jupyterhub.plugins.module_utils._build_process import Processes
from ansible_collections.campus.jupyterhub.plugins.module_utils._build_runtime import Runtime
from ansible_collections.campus.jupyterhub.plugins.module_utils._disk_owners import owners
from ansible_collections.campus.jupyterhub.plugins.module_utils._images import ImagesError
from ansible_collections.campus.jupyterhub.plugins.module_utils._kind import (
    LABEL,
    MARK,
    Found,
    HostPort,
    Json,
    Wanted,
    config,
    registry_hosting,
    registry_hosts,
)
from ansible_collections.campus.jupyterhub.plugins.module_utils._student_disks import DISKS

NETWORK = "kind"
WAIT_SECONDS = 300
# kind mounts it into the nodes; a machine without kernel modules lacks it.
MODULES = Path("/lib/modules")
WATCHES = Path("/proc/sys/fs/inotify/max_user_instances")
"""How many files one user may watch; the kubelets of all nodes on this machine share it."""
ENOUGH_WATCHES = 1024
KUBECTL = ("kubectl", "--kubeconfig=/etc/kubernetes/admin.conf")
SNAPSHOTS, CONTENTS = (f"volumesnapshot{kind}.snapshot.storage.k8s.io" for kind in ("s", "contents"))


def taken_ports(ports: Sequence[HostPort]) -> list[HostPort]:
    """Return the ports of this machine that another program listens on; raises ImagesError for a forbidden one."""
    found = []
    for port in ports:
        family = socket.AF_INET6 if ":" in port.address else socket.AF_INET
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((port.address, port.host))
            except PermissionError as error:
                raise ImagesError(
                    f"Port {port.host} of {port.address} may not be used by this user: choose one above 1023 in "
                    "cluster_host_ports, or run as root."
                ) from error
            except OSError:
                found.append(port)
    return found


def make_modules_folder() -> None:
    """Make the folder of kernel modules where it is missing; raises ImagesError."""
    try:
        MODULES.mkdir(exist_ok=True)
    except OSError as error:
        raise ImagesError(f"kind needs the folder {MODULES}: make it with 'sudo mkdir {MODULES}'.") from error


def plain_state(state: str) -> str:
    """Return a container's state in one word; podman says 'Up 3 minutes ago' where Docker says 'running'."""
    word = state.lower()
    return "running" if word.startswith(("up", "running")) and "paused" not in word else word.split(" ")[0]


def allow_watches(limit: Path = WATCHES) -> None:
    """Raise the limit until the next boot: with 128, the usual one, a second cluster's kubelets fail to start.

    Without the right to, a single cluster still works.
    """
    with contextlib.suppress(OSError):
        if int(limit.read_text(encoding="ascii")) < ENOUGH_WATCHES:
            limit.write_text(str(ENOUGH_WATCHES), encoding="ascii")


class Kind:
    """Runs kind and the container runtime; methods raise ImagesError, whose text is a sentence for the user."""

    def __init__(self, runtime: Runtime, command: str, name: str, log: Path, cache: Path) -> None:
        """``command`` is the program kind, ``log`` the file for what it says.

        In the folder ``cache`` it is noted which clusters were begun and are not complete.
        """
        env = {**runtime.env, "KIND_EXPERIMENTAL_PROVIDER": runtime.name}
        self._runtime, self._kind, self._name, self._log = Runtime(runtime.name, env), command, name, log
        self._begun = cache / "begun" / name

    @property
    def control_plane(self) -> str:
        """Return the container that the API server runs in."""
        return f"{self._name}-control-plane"

    def containers(self) -> dict[str, str]:
        """Return the state of each node's container."""
        filters = ["--all", "--filter", f"label={LABEL}={self._name}"]
        lines = self._runtime.output("ps", *filters, "--format", "{{.Names}} {{.State}}").splitlines()
        return {name: plain_state(state) for name, _space, state in (line.partition(" ") for line in lines if line)}

    def others(self) -> bool:
        """Say whether this machine has nodes of other kind clusters."""
        every = self._runtime.output("ps", "--all", "--filter", f"label={LABEL}", "--format", "{{.Names}}").split()
        return bool(set(every) - self.containers().keys())

    def look(self, ports: Sequence[HostPort]) -> Found:
        """Return what is there."""
        containers = self.containers()
        if not containers:
            # Whatever comes under this name later is not what was begun.
            self._begun.unlink(missing_ok=True)
            return Found({}, taken=taken_ports(ports))
        found = Found(containers, self.mark(), begun=self._begun.exists())
        return found if found.stopped else replace(found, uid=self.uid())

    def mark(self) -> Json | None:
        """Return what this collection remembered in the cluster, or None when it did not make it."""
        with tempfile.TemporaryDirectory() as folder, contextlib.suppress(ImagesError, OSError, ValueError):
            copy = Path(folder) / "mark"
            self._runtime.output("cp", f"{self.control_plane}:{MARK}", str(copy))
            found = json.loads(copy.read_text(encoding="utf-8"))
            return found if isinstance(found, dict) else None
        return None

    def uid(self) -> str:
        """Return the uid of the cluster, or nothing when its API server does not answer."""
        command = [
            *KUBECTL,
            "get",
            "namespace",
            "kube-system",
            "--output=jsonpath={.metadata.uid}",
            "--request-timeout=10s",
        ]
        try:
            return self._exec(self.control_plane, *command).strip()
        except ImagesError:
            return ""

    def students(self, without: str) -> list[str]:
        """Return the students who have disks or snapshots in the cluster, ``without`` excepted."""
        claims = self._get("persistentvolumeclaims", "--all-namespaces", f"--selector={DISKS}")
        snapshots = self._get_if_known(SNAPSHOTS, "--all-namespaces")
        return owners(claims, self._get("persistentvolumes"), without, snapshots, self._get_if_known(CONTENTS))

    def _get_if_known(self, kind: str, *options: str) -> list[Json]:
        """Return the objects of a custom kind; none where the cluster does not know it."""
        question = [
            "get",
            "customresourcedefinitions",
            kind,
            "--ignore-not-found",
            "--output=name",
            "--request-timeout=30s",
        ]
        known = self._exec(self.control_plane, *KUBECTL, *question).strip()
        return self._get(kind, *options) if known else []

    def _get(self, *what: str) -> list[Json]:
        text = self._exec(self.control_plane, *KUBECTL, "get", *what, "--output=json", "--request-timeout=30s")
        return list(json.loads(text)["items"])

    def create(self, wanted: Wanted, kubeconfig: Path) -> None:
        """Make the cluster and wait until its nodes and its DNS are ready."""
        make_modules_folder()
        allow_watches()
        self._begun.parent.mkdir(parents=True, exist_ok=True)
        self._begun.touch()
        try:
            self._create(wanted, kubeconfig)
        except ImagesError:
            # kind takes its own failures away; then there is nothing to be remembered.
            if not self.containers():
                self._begun.unlink()
            raise

    def _create(self, wanted: Wanted, kubeconfig: Path) -> None:
        self._log.parent.mkdir(parents=True, exist_ok=True)
        kubeconfig.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", suffix=".json", encoding="utf-8") as file:
            json.dump(config(wanted), file)
            file.flush()
            command = [self._kind, "create", "cluster", f"--config={file.name}", f"--kubeconfig={kubeconfig}"]
            self._run([*command, f"--wait={WAIT_SECONDS}s"])
        limit = f"--timeout={WAIT_SECONDS}s"
        # By name: a node that never joined is missing from a list of all.
        nodes = [f"node/{name}" for name in self.containers()]
        self._exec(self.control_plane, *KUBECTL, "wait", "--for=condition=Ready", *nodes, limit)
        self._exec(
            self.control_plane, *KUBECTL, "--namespace=kube-system", "rollout", "status", "deployment/coredns", limit
        )

    def connect_registry(self, port: int) -> None:
        """Let the nodes pull from the local registry."""
        name = registry_name(port)
        folder = f"/etc/containerd/certs.d/localhost:{port}"
        for node in self.containers():
            self._write(node, f"{folder}/hosts.toml", registry_hosts(name))
        if not self.registry_joined(port):
            self._runtime.output("network", "connect", NETWORK, name)
        self._exec(self.control_plane, *KUBECTL, "apply", "--filename=-", stdin=json.dumps(registry_hosting(port)))

    def registry_joined(self, port: int) -> bool:
        """Say whether the local registry can be reached from the nodes."""
        filters = ["--filter", f"name=^{registry_name(port)}$", "--filter", f"network={NETWORK}"]
        return bool(self._runtime.output("ps", *filters, "--format", "{{.ID}}").strip())

    def remember(self, wanted: Wanted) -> None:
        """Leave the mark: the cluster is complete."""
        self._write(self.control_plane, MARK, json.dumps(wanted.mark()))
        self._begun.unlink(missing_ok=True)

    def runs(self) -> bool:
        """Say whether the program kind is there; the role images brings it."""
        return bool(shutil.which(self._kind))

    def kubeconfig(self) -> str:
        """Return how this machine reaches the cluster."""
        return Runtime(self._kind, self._runtime.env).output("get", "kubeconfig", "--name", self._name)

    def delete(self) -> None:
        """Remove the cluster with its disks, and the network when no other cluster is left on it."""
        nodes = list(self.containers())
        last = not self.others()
        self._runtime.output("rm", "--force", "--volumes", *nodes)
        self._begun.unlink(missing_ok=True)
        for node in nodes:
            # kind labels a node's disk with the node's name.
            for volume in self._runtime.output("volume", "ls", "--quiet", "--filter", f"label={node}").split():
                self._runtime.output("volume", "rm", "--force", volume)
        if last:
            # Something else may use it: then it stays.
            with contextlib.suppress(ImagesError):
                self._runtime.output("network", "rm", NETWORK)

    def _run(self, command: Sequence[str]) -> None:
        self._log.write_bytes(b"")
        processes = Processes()
        with processes.ending_with_this_one():
            processes.run(f"The kind cluster {self._name}", command, self._log, self._runtime.env)

    def _exec(self, node: str, *command: str, stdin: str | None = None) -> str:
        interactive = ["--interactive"] if stdin is not None else []
        return self._runtime.output("exec", *interactive, node, *command, stdin=stdin, timeout=WAIT_SECONDS + 10)

    def _write(self, node: str, path: str, content: str) -> None:
        script = f"mkdir -p '{os.path.dirname(path)}' && cat > '{path}'"
        self._exec(node, "sh", "-c", script, stdin=content)
