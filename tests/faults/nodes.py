"""The nodes of a kind cluster from below: processes of pods, the control plane's files, packets."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass

from ansible_collections.campus.jupyterhub.plugins.module_utils._build_runtime import Runtime

API_SERVER = "/etc/kubernetes/manifests/kube-apiserver.yaml"
ASIDE = "/etc/kubernetes/kube-apiserver.yaml"
COMMAND_SECONDS = 60.0

FIND_TASK = """
pod="labels.\\"io.kubernetes.pod.uid\\"==$0"
for id in $(ctr -n k8s.io containers ls -q "$pod,labels.\\"io.kubernetes.container.name\\"==$1"); do
    ctr -n k8s.io tasks ls | awk -v id="$id" '$1 == id && $3 == "RUNNING" {print $2}'
done
"""


@dataclass(frozen=True)
class Task:
    """A running container of a pod: the node that it is on, and its first process as the node numbers it."""

    node: Node
    pid: int

    def signal(self, name: str) -> None:
        """Send a signal such as SIGKILL to the container's first process."""
        self.node.sh(f"kill -{name.removeprefix('SIG')} {self.pid}")

    def resume(self) -> None:
        """Let a stopped process go on, if it is still there."""
        self.node.sh(f"kill -CONT {self.pid} 2>/dev/null || true")

    def connections(self) -> int:
        """How many connections of others to the pod are open."""
        return len(self.in_network("ss -Htn state established sport = :8080").splitlines())

    def in_network(self, script: str) -> str:
        """Run a shell script in the pod's network."""
        return self.node.sh(f"nsenter -t {self.pid} -n sh -c '{script}'")


@dataclass(frozen=True)
class Node:
    """A node, which is a container of this machine."""

    runtime: Runtime
    name: str

    def sh(self, script: str, *words: str) -> str:
        """Output of a shell script in the node; its words are $0, $1, …. Raises CalledProcessError."""
        return self._run("exec", self.name, "sh", "-c", script, *words)

    def task(self, pod_uid: str, container: str) -> Task | None:
        """The running container of a pod, if it runs."""
        found = self.sh(FIND_TASK, pod_uid, container).split()
        return Task(self, int(found[0])) if found else None

    def pause(self) -> None:
        """Freeze every process of the node."""
        self._run("pause", self.name)

    def unpause(self) -> None:
        """Let them go on; a node that is not paused is left alone."""
        if "paused" in self._run("inspect", "--format", "{{.State.Status}}", self.name):
            self._run("unpause", self.name)

    def stop(self) -> None:
        """End every process of the node for good."""
        self._run("stop", "--time", "5", self.name)

    def _run(self, *words: str) -> str:
        run = subprocess.run(
            [self.runtime.name, *words],
            env=self.runtime.env,
            capture_output=True,
            text=True,
            timeout=COMMAND_SECONDS,
            check=False,
        )
        if run.returncode:
            raise subprocess.CalledProcessError(run.returncode, words, run.stdout, run.stderr)
        return run.stdout


@dataclass(frozen=True)
class ControlPlane:
    """The node of the API server."""

    node: Node

    def stop_api_server(self) -> None:
        """Take the API server's manifest away, and its process with it."""
        self.node.sh(f"[ ! -e {API_SERVER} ] || mv {API_SERVER} {ASIDE}; pkill -KILL -x kube-apiserver || true")

    def start_api_server(self) -> None:
        """Put the manifest back; one that is there is left alone."""
        self.node.sh(f"[ ! -e {ASIDE} ] || mv {ASIDE} {API_SERVER}")

    def signal_api_server(self, name: str) -> None:
        """Send a signal such as SIGSTOP to the API server, if it runs."""
        self.node.sh(f"pkill -{name.removeprefix('SIG')} -x kube-apiserver || true")

    def api_server_runs(self) -> bool:
        """Whether the API server's process is there."""
        return bool(self.node.sh("pgrep -x kube-apiserver || true").strip())
