# Copyright: campus.jupyterhub contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The container runtime of this machine, podman or Docker: which one, how it has to be called, what it holds.

Private to the collection: it may change in any release.
"""

from __future__ import annotations

import contextlib
import os
import resource
import shutil
import subprocess
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.campus.jupyterhub.plugins.module_utils._images import ImagesError

# Marks whatever is built here, the layers between included.
LABEL = "campus.jupyterhub"
LIST_ATTEMPTS = 20
PODMAN_FILES = 1048576
CAP_SYS_RESOURCE = 24
CONTAINERS_CONF = """\
# podman raises the limit of open files, which this machine forbids.
[containers]
default_ulimits = []
[engine]
runtime = "runc"
"""
NONE_FOUND = (
    "No container runtime was found: install podman (apt-get install podman) or start Docker, "
    "or set cluster_provider to existing and images_source to registry."
)


@dataclass(frozen=True)
class Runtime:
    """A container runtime; ``env`` is the environment that its commands need."""

    name: str
    env: dict[str, str]

    @property
    def limited(self) -> bool:
        """Say whether its containers may not raise their limits; a Docker engine runs with rights of its own."""
        return self.name == "podman" and os.geteuid() == 0 and not may_raise_limits()

    @property
    def added(self) -> dict[str, str]:
        """Return what its commands need besides this process's environment."""
        return {key: value for key, value in self.env.items() if os.environ.get(key) != value}

    def output(self, *args: str, stdin: str | None = None, timeout: float = 120) -> str:
        """Return what a command prints; raises ImagesError."""
        try:
            done = subprocess.run(
                [self.name, *args],
                input=stdin,
                env=self.env,
                capture_output=True,
                text=True,
                timeout=timeout,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise ImagesError(f"{self.name} {args[0]} could not be run: {error}.") from error
        if done.returncode:
            reason = done.stderr.strip().splitlines()[-1:] or [f"it ended with {done.returncode}"]
            raise ImagesError(f"{self.name} {' '.join(args[:2])} failed: {reason[0]}.")
        return done.stdout

    def has(self, image: str) -> bool:
        """Say whether it holds an image; much faster than a list of all."""
        try:
            return bool(self.output("image", "inspect", "--format", "{{.Id}}", image))
        except ImagesError:
            return False

    def images(self) -> set[str]:
        """Return the names of all images that it holds."""
        for _attempt in range(LIST_ATTEMPTS):
            # podman cannot list images while another program removes some.
            with contextlib.suppress(ImagesError):
                return set(self.output("images", "--format", "{{.Repository}}:{{.Tag}}").split())
            time.sleep(1)
        return set(self.output("images", "--format", "{{.Repository}}:{{.Tag}}").split())

    def forget(self, images: Collection[str]) -> None:
        """Remove images and the layers that builds left over an hour ago and before, but nothing that is in use."""
        for image in images:
            with contextlib.suppress(ImagesError):
                self.output("rmi", image)
        with contextlib.suppress(ImagesError):
            filters = ["--filter", f"label={LABEL}", "--filter", "until=1h"]
            self.output("image", "prune", "--force", *filters, timeout=600)

    def storage(self) -> Path:
        """Return the folder below which it keeps images."""
        field = "{{.DockerRootDir}}" if self.name == "docker" else "{{.Store.GraphRoot}}"
        return Path(self.output("info", "--format", field).strip())


def may_raise_limits() -> bool:
    """Say whether this process may raise the limit of open files to podman's own default."""
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard in (-1, resource.RLIM_INFINITY) or hard >= PODMAN_FILES:
        return True
    status = Path("/proc/self/status")
    if not status.exists():
        return True
    capabilities = next(line for line in status.read_text(encoding="utf-8").splitlines() if line.startswith("CapEff:"))
    return bool(int(capabilities.split()[1], 16) >> CAP_SYS_RESOURCE & 1)


def podman_environment(folder: Path) -> dict[str, str]:
    """Return the environment for podman, with a settings file below the folder where the machine needs one."""
    env = dict(os.environ)
    configured = "CONTAINERS_CONF" in env or Path("/etc/containers/containers.conf").exists()
    if configured or os.geteuid() != 0 or may_raise_limits() or not shutil.which("runc"):
        return env
    path = folder / "containers.conf"
    if not path.exists() or path.read_text(encoding="utf-8") != CONTAINERS_CONF:
        folder.mkdir(parents=True, exist_ok=True)
        path.write_text(CONTAINERS_CONF, encoding="utf-8")
    return {**env, "CONTAINERS_CONF": str(path)}


def works(command: Sequence[str]) -> bool:
    """Say whether a command ends well."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    # podman-docker installs a command named docker.
    return done.returncode == 0 and not (command[0] == "docker" and "podman" in (done.stdout + done.stderr).lower())


def find_runtime(wanted: str, folder: Path) -> Runtime:
    """Return the runtime that is wanted, or with V(auto) a running Docker, else podman; raises ImagesError."""
    if wanted in ("auto", "docker") and shutil.which("docker") and works(["docker", "version"]):
        # Secrets and mounts in a build take BuildKit, which older engines have to be asked for.
        return Runtime("docker", {**os.environ, "DOCKER_BUILDKIT": "1"})
    if wanted in ("auto", "podman") and shutil.which("podman"):
        return Runtime("podman", podman_environment(folder))
    if wanted == "auto":
        raise ImagesError(NONE_FOUND)
    raise ImagesError(f"{wanted} does not run on this machine: start or install it, or set cluster_runtime to auto.")
