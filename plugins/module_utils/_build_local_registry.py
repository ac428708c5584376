# Copyright: campus.jupyterhub contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The local registry: a container on this machine that the nodes of a kind cluster pull from.

Private to the collection: it may change in any release.
"""

from __future__ import annotations

import json
import socket
import time
from dataclasses import dataclass
from pathlib import Path

from ansible.module_utils.urls import open_url
from ansible_collections.campus.jupyterhub.plugins.module_utils._build_runtime import LABEL, Runtime
from ansible_collections.campus.jupyterhub.plugins.module_utils._images import ImagesError

ADDRESS = "127.0.0.1"
START_SECONDS = 60


def registry_name(port: int) -> str:
    """Return the container's name; the usual port needs no mention in it."""
    return "campus-registry" if port == 5001 else f"campus-registry-{port}"


def connects(port: int) -> bool:
    """Say whether something listens on a port of this machine."""
    with socket.socket() as probe:
        probe.settimeout(5)
        return probe.connect_ex((ADDRESS, port)) == 0


@dataclass(frozen=True)
class LocalRegistry:
    """The registry on one port; ``data`` keeps the images and outlives the container."""

    runtime: Runtime
    port: int
    data: Path

    @property
    def name(self) -> str:
        """Return the container's name."""
        return registry_name(self.port)

    @property
    def address(self) -> str:
        """Return what images' names begin with."""
        return f"localhost:{self.port}"

    def stored(self, name: str, tag: str) -> bool:
        """Say whether an image was stored before; looks at the files, so that nothing has to run."""
        repository = self.data / "docker/registry/v2/repositories/campus" / name
        return (repository / "_manifests/tags" / tag / "current/link").is_file()

    def state(self) -> str:
        """Return serving, stopped or absent; raises ImagesError when somebody else has the name or the port."""
        if not self.ids():
            if connects(self.port):
                raise ImagesError(
                    f"Port {self.port} of {ADDRESS} is taken, and not by the local registry: "
                    "free it or set images_local_registry_port."
                )
            return "absent"
        facts = json.loads(self.runtime.output("inspect", self.name))[0]
        if LABEL not in (facts["Config"]["Labels"] or {}):
            raise ImagesError(f"A container {self.name} exists that is not the local registry: remove or rename it.")
        if not (facts["State"]["Running"] and connects(self.port)):
            return "stopped"
        serves = [mount["Source"] for mount in facts["Mounts"]]
        if str(self.data) not in serves:
            raise ImagesError(
                f"The local registry on port {self.port} serves {', '.join(serves)}, not {self.data}: set "
                "images_cache_dir to the folder above it, or choose another images_local_registry_port."
            )
        # A folder that was removed under the running container is another one when it comes back.
        return "serving" if self.data.is_dir() else "stopped"

    def start(self, image: str) -> None:
        """Start the container anew; it holds nothing that is not below its data folder. Raises ImagesError."""
        self.data.mkdir(parents=True, exist_ok=True)
        self.remove()
        publish = ["--publish", f"{ADDRESS}:{self.port}:5000", "--volume", f"{self.data}:/var/lib/registry"]
        options = ["--detach", "--restart", "unless-stopped", "--name", self.name, "--label", f"{LABEL}=registry"]
        self.runtime.output("run", *options, *publish, image)
        deadline = time.monotonic() + START_SECONDS
        while not self._answers():
            if time.monotonic() > deadline:
                raise ImagesError(f"The local registry does not answer: read '{self.runtime.name} logs {self.name}'.")
            time.sleep(0.1)

    def remove(self) -> None:
        """Remove the container and keep its data."""
        for found in self.own():
            self.runtime.output("rm", "--force", "--volumes", found)

    def ids(self, *filters: str) -> list[str]:
        """Return the id of the container of that name, in a list that is empty when there is none."""
        found = self.runtime.output("ps", "--all", "--filter", f"name=^{self.name}$", *filters, "--format", "{{.ID}}")
        return found.split()

    def own(self) -> list[str]:
        """Return the same, but not for a container that somebody else made under that name."""
        return self.ids("--filter", f"label={LABEL}=registry")

    def _answers(self) -> bool:
        try:
            answer = open_url(f"http://{ADDRESS}:{self.port}/v2/", timeout=2, use_proxy=False)
            return bool(json.load(answer) == {})
        except (OSError, ValueError):
            return False
