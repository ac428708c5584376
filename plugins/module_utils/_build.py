# Copyright: campus.jupyterhub contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""From the options of the module image_build to a plan, and from the plan to images.

Private to the collection: it may change in any release.
"""

from __future__ import annotations

import fcntl
import os
import platform
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from ansible_collections.campus.jupyterhub.plugins.module_utils._build_context import host_bundle
from ansible_collections.campus.jupyterhub.plugins.module_utils._build_local_registry import LocalRegistry
from ansible_collections.campus.jupyterhub.plugins.module_utils._build_needs import check_needs
from ansible_collections.campus.jupyterhub.plugins.module_utils._build_origin import Origins
from ansible_collections.campus.jupyterhub.plugins.module_utils._build_probe import Probe
from ansible_collections.campus.jupyterhub.plugins.module_utils._build_run import Progress, run_steps
from ansible_collections.campus.jupyterhub.plugins.module_utils._build_runtime import Runtime, find_runtime
from ansible_collections.campus.jupyterhub.plugins.module_utils._build_steps import Builder, Settings
from ansible_collections.campus.jupyterhub.plugins.module_utils._images import (
    ImagesError,
    Recipes,
    closure,
    read_recipes,
)
from ansible_collections.campus.jupyterhub.plugins.module_utils._images_keys import all_keys, superseded, tag
from ansible_collections.campus.jupyterhub.plugins.module_utils._images_plan import (
    Present,
    Step,
    Wanted,
    megabytes,
    plan,
)
from ansible_collections.campus.jupyterhub.plugins.module_utils._images_source import (
    local_reference,
    newer_or_same,
    own_reference,
    parse_reference,
)

Json = dict[str, Any]


@dataclass(frozen=True)
class Options:
    """The options of the module; ``kind`` says that a kind cluster on this machine is going to run the images."""

    recipes: Recipes
    images: tuple[str, ...]
    kind: bool
    source: str
    registry: str
    references: dict[str, str]
    runtime: str
    cache: Path
    logs: Path
    port: int
    bundle: str
    mirror: str
    jobs: int
    progress: str


def read_options(params: Json) -> Options:
    """Return the module's options; raises ImagesError."""
    collections = {name: Path(folder) for name, folder in params["collections"].items()}
    recipes = read_recipes(params["recipes"], Path(params["folder"]), params["version"], collections)
    names = [*params["images"], *(["node"] if params["kind"] else [])]
    closure(recipes, frozenset([*names, *params["references"]]))
    for reference in params["references"].values():
        parse_reference(reference)
    return Options(
        recipes=recipes,
        images=tuple(dict.fromkeys(names)),
        kind=params["kind"],
        source=params["source"],
        registry=params["registry"].rstrip("/"),
        references=params["references"],
        runtime=params["runtime"],
        cache=Path(params["cache"]).expanduser(),
        logs=Path(params["logs"]).expanduser(),
        port=params["registry_port"],
        bundle=params["ca_bundle"],
        mirror=params["debian_mirror"],
        jobs=params["jobs"],
        progress=params["progress"] or "",
    )


class Work:
    """What there is to do; nothing changes before run(). Properties and methods raise ImagesError."""

    def __init__(self, options: Options) -> None:
        self._options, self._recipes = options, options.recipes
        self._tool_keys, image_keys = all_keys(options.recipes, platform.machine())
        self._tags = {name: tag(image.version, image_keys[name]) for name, image in options.recipes.images.items()}

    @cached_property
    def _runtime(self) -> Runtime | None:
        """Return the container runtime, or None where nothing can need one."""
        if not self._options.kind and self._options.source == "registry":
            return None
        return find_runtime(self._options.runtime, self._options.cache)

    @cached_property
    def _held(self) -> set[str]:
        return self._runtime.images() if self._runtime else set()

    @cached_property
    def _local_registry(self) -> LocalRegistry | None:
        if not self._runtime or not self._options.kind:
            return None
        return LocalRegistry(self._runtime, self._options.port, self._options.cache / "registry")

    @cached_property
    def _built(self) -> dict[str, str]:
        """Return the name that each image has when it is built here."""
        prefix, local = self._options.registry, f"localhost:{self._options.port}"
        if prefix and not self._options.kind:
            return {name: own_reference(prefix, name, version) for name, version in self._tags.items()}
        return {name: local_reference(local, name, version) for name, version in self._tags.items()}

    @cached_property
    def _published(self) -> dict[str, list[str]]:
        """Return the names under which registries may have each wanted image, the best first."""
        prefix = self._options.registry
        found = {}
        for name in self._options.images:
            own = own_reference(prefix, name, self._tags[name]) if prefix else ""
            named = self._options.references.get(name)
            found[name] = [named] if named else [text for text in (own, self._recipes.images[name].upstream) if text]
        return found

    @cached_property
    def _origins(self) -> Origins:
        named = [f"{self._options.registry}/any"] if self._options.registry else []
        hosts = {parse_reference(reference).host for reference in [*named, *self._options.references.values()]}
        probe = Probe(self._options.bundle)
        return Origins(self._options.source, self._options.cache / "published.json", probe, hosts)

    @cached_property
    def _at_hand(self) -> set[str]:
        """Return the wanted images that were built before and are where the nodes take them from."""
        return {name for name in self._options.images if self._stored(name)}

    def _stored(self, name: str) -> bool:
        if name == "node":
            return bool(self._runtime and self._runtime.has(self._built[name]))
        return bool(self._local_registry and self._local_registry.stored(name, self._tags[name]))

    @cached_property
    def _taken(self) -> dict[str, str]:
        """Return for each wanted image the reference that a registry has, or nothing where it is built."""
        return self._origins.choose(self._published, self._at_hand)

    @cached_property
    def images(self) -> dict[str, str]:
        """Return the name of each wanted image."""
        return {name: reference or self._built[name] for name, reference in self._taken.items()}

    @cached_property
    def steps(self) -> list[Step]:
        """Return what is to be done."""
        building = {name for name, reference in self._taken.items() if not reference}
        pulled = building - {"node"}
        if pulled and not self._options.kind and not self._options.registry:
            raise ImagesError(
                f"The images {', '.join(sorted(pulled))} have to be built, but the cluster's nodes cannot pull from "
                "this machine: set images_registry to a registry that both reach."
            )
        serve = bool(pulled and self._options.kind)
        registry = self._local_registry
        wanted = Wanted(
            tools={"kind"} if self._options.kind and not self._kind_in_path else set(),
            images=building & {"node"},
            pushed=pulled,
            serve=serve,
        )
        present = Present(
            tools={name for name in self._recipes.tools if self._tool_folder(name).is_dir()},
            images=self._at_hand,
            pushed=self._at_hand,
            serving=bool(serve and registry and registry.state() == "serving"),
        )
        if not plan(self._recipes, wanted, present):
            return []
        held = {name for name, reference in self._built.items() if reference in self._held}
        return plan(self._recipes, wanted, replace(present, images=held))

    @cached_property
    def _kind_in_path(self) -> str:
        """Return the user's own kind, if it is not older than the one that would be compiled."""
        found = shutil.which("kind")
        if not found:
            return ""
        done = subprocess.run([found, "version", "--quiet"], capture_output=True, text=True, timeout=30, check=False)
        return found if newer_or_same(done.stdout.strip(), self._recipes.versions["kind"]) else ""

    def _tool_folder(self, name: str) -> Path:
        return self._options.cache / "bin" / f"{name}-{self._tool_keys[name]}"

    @cached_property
    def _debian(self) -> str:
        """Return a registry's Debian image to begin with, or nothing where none answers."""
        reference = str(self._recipes.debian["image"])
        needed = any(step.id == "image base" for step in self.steps)
        return reference if needed and self._origins.has(reference) else ""

    def check(self) -> None:
        """Raise ImagesError when this machine cannot do it."""
        if self.steps and self._runtime:
            check_needs(self.steps, self._runtime, self._options.cache, unpack_debian=not self._debian)

    def run(self) -> None:
        """Do it."""
        if not self.steps or not self._runtime:
            return
        settings = Settings(
            cache=self._options.cache,
            logs=self._options.logs,
            bundle=host_bundle(self._options.bundle, os.environ),
            debian=self._debian,
            mirror=self._options.mirror,
        )
        builder = Builder(
            self._recipes,
            tool_folder=self._tool_folder,
            references=self._built,
            settings=settings,
            runtime=self._runtime,
            registry=self._local_registry,
        )
        progress = Progress(self._options.progress, len(self.steps))
        with builder.processes.ending_with_this_one():
            run_steps(self.steps, builder.do, builder.processes.stop, self._options.jobs, progress)
        self._runtime.forget(superseded(self._held, self._built.values()))

    def result(self) -> Json:
        """Return what the module returns."""
        tools = {path.name: str(path) for name in ("kubernetes", "kind") for path in self._tool_folder(name).glob("*")}
        kind = self._kind_in_path or str(self._tool_folder("kind") / "kind")
        return {
            "changed": bool(self.steps),
            "images": self.images,
            "origins": {name: "registry" if reference else "build" for name, reference in self._taken.items()},
            "steps": [{"action": step.action, "name": step.name} for step in self.steps],
            "megabytes": megabytes(self.steps),
            "tools": {**tools, **({"kind": kind} if self._options.kind else {})},
            "versions": self._recipes.versions,
            "runtime": self._runtime.name if self._runtime else "",
            "environment": self._runtime.added if self._runtime else {},
        }


@contextmanager
def alone(cache: Path, progress: Progress) -> Iterator[None]:
    """Wait until no other run builds in this cache, and say so."""
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "lock").open("w", encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            progress.waits(f"waiting for another run that builds in {cache}")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def build(params: Json, check_mode: bool) -> Json:
    """Bring all images to where the cluster takes them from and return the module's result; raises ImagesError."""
    begin = time.monotonic()
    options = read_options(params)
    work = Work(options)
    work.check()
    if work.steps and not check_mode:
        with alone(options.cache, Progress(options.progress, len(work.steps))):
            # Another run may have built the same meanwhile.
            work = Work(options)
            work.run()
    return {**work.result(), "seconds": round(time.monotonic() - begin, 1)}
