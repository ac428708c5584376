# Copyright: campus.jupyterhub contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Does the steps of a plan: compiles tools, builds images, starts the local registry, stores images in it.

Private to the collection: it may change in any release.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.campus.jupyterhub.plugins.module_utils._build_context import (
    TRUST,
    build_arguments,
    lay_out,
    prepared,
)
from ansible_collections.campus.jupyterhub.plugins.module_utils._build_local_registry import LocalRegistry
from ansible_collections.campus.jupyterhub.plugins.module_utils._build_process import Processes
from ansible_collections.campus.jupyterhub.plugins.module_utils._build_runtime import LABEL, Runtime
from ansible_collections.campus.jupyterhub.plugins.module_utils._images import Image, Recipes
from ansible_collections.campus.jupyterhub.plugins.module_utils._images_plan import Step
from ansible_collections.campus.jupyterhub.plugins.module_utils._images_source import parse_reference


@dataclass(frozen=True)
class Settings:
    """Where and with what images are built; ``debian`` is a registry's Debian image or empty."""

    cache: Path
    logs: Path
    bundle: str
    debian: str
    mirror: str


class Builder:
    """Does steps; every method raises ImagesError, or Stopped when another step has failed."""

    def __init__(
        self,
        recipes: Recipes,
        *,
        tool_folder: Callable[[str], Path],
        references: dict[str, str],
        settings: Settings,
        runtime: Runtime,
        registry: LocalRegistry | None,
    ) -> None:
        """``tool_folder`` says where a tool's programs belong, ``references`` what the runtime calls each image."""
        self._recipes, self._tool_folder, self._references = recipes, tool_folder, references
        self._settings, self._runtime, self._registry = settings, runtime, registry
        self.processes = Processes()

    def do(self, step: Step) -> None:
        """Do one step."""
        log = self._settings.logs / f"{step.name if step.action == 'image' else f'{step.name}-{step.action}'}.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_bytes(b"")
        if step.action == "tool":
            self._compile(step.name, log)
        elif step.action == "image":
            self._build(self._recipes.images[step.name], log)
        elif step.action == "push":
            self._push(step.name, log)
        elif self._registry:
            self._registry.start(self._references["registry"])

    def _compile(self, name: str, log: Path) -> None:
        tool, done = self._recipes.tools[name], self._tool_folder(name)
        fresh = done.with_name(f"{done.name}.new")
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(parents=True)
        command = ["go", "install", "-trimpath", "-mod=readonly", "-modcacherw", "-ldflags", tool.linker_flags, "tool"]
        self.processes.run(name, command, log, self._go_environment(fresh), self._recipes.root / "tools" / name)
        for before, after in tool.rename:
            (fresh / before).rename(fresh / after)
        fresh.rename(done)

    def _go_environment(self, target: Path) -> dict[str, str]:
        """Return Go's environment; what it downloads and compiles stays below the cache, or where the user wants it."""
        go = self._settings.cache / "go"
        trust = {"SSL_CERT_FILE": self._settings.bundle} if self._settings.bundle else {}
        return {
            "GOMODCACHE": str(go / "modules"),
            "GOCACHE": str(go / "build"),
            "GOPATH": str(go),
            **trust,
            **os.environ,
            "GOBIN": str(target),
            "GOFLAGS": "",
            "GOWORK": "off",
            "CGO_ENABLED": "0",
        }

    def _build(self, image: Image, log: Path) -> None:
        if image.name == "base" and not self._settings.debian:
            self._unpack_debian(log)
            return
        # Debian's certificates are being installed in base itself: nothing may be mounted over them.
        bundle = self._settings.bundle if image.name != "base" else ""
        declared, known = build_arguments(bundle, os.environ)
        text = (image.folder / "Containerfile").read_text(encoding="utf-8")
        stage = self._settings.cache / "stage" / image.name
        secret = bool(bundle) and self._runtime.name == "docker"
        lay_out(
            image,
            stage,
            prepared(text, declared, secret),
            {tool: self._tool_folder(tool) for tool in image.tools},
        )
        arguments = {**dict(image.args), **declared, **known}
        if image.uses_base:
            arguments["BASE"] = self._references["base"]
        if image.name == "base":
            arguments["DEBIAN"] = self._settings.debian
        if image.archive:
            arguments["ARCHIVE_KEY"] = self._save_archive(image, stage, log)
        self.processes.run(
            image.name, self._build_command(image.name, stage, arguments, bundle), log, self._runtime.env
        )
        shutil.rmtree(stage, ignore_errors=True)

    def _build_command(self, name: str, stage: Path, arguments: dict[str, str], bundle: str) -> list[str]:
        command = [self._runtime.name, "build", "--tag", self._references[name], "--label", f"{LABEL}={name}"]
        command += ["--file", str(stage / "Containerfile")]
        for key, value in sorted(arguments.items()):
            command += ["--build-arg", f"{key}={value}"]
        if self._runtime.name == "podman":
            # Needs no rights beyond a shell's, so that it works inside containers as well.
            command += ["--isolation", "chroot"]
        if bundle:
            docker = ["--secret", f"id=trust,src={bundle}"]
            command += docker if self._runtime.name == "docker" else ["--volume", f"{bundle}:{TRUST}:ro"]
        return [*command, str(stage)]

    def _unpack_debian(self, log: Path) -> None:
        """Make the base image from Debian's packages, without any registry."""
        debian = self._recipes.debian
        archive = self._settings.cache / "stage" / "debian.tar"
        archive.parent.mkdir(parents=True, exist_ok=True)
        command = ["mmdebstrap", "--variant=minbase", f"--include={','.join(debian['packages'])}"]
        command += [f"--dpkgopt=path-exclude=/usr/share/{part}/*" for part in ("doc", "info", "locale", "man")]
        command += [debian["suite"], str(archive), *([self._settings.mirror] if self._settings.mirror else [])]
        self.processes.run("base", command, log, os.environ)
        load = [self._runtime.name, "import", str(archive), self._references["base"]]
        self.processes.run("base", load, log, self._runtime.env)
        archive.unlink()

    def _save_archive(self, image: Image, stage: Path, log: Path) -> str:
        """Write the images that this one carries to images.tar, under their well-known names; return a key of it."""
        names = [reference for _other, reference in image.archive]
        for other, reference in image.archive:
            self._runtime.output("tag", self._references[other], reference)
        save = [self._runtime.name, "save", "--output", str(stage / "images.tar")]
        save += ["--multi-image-archive", "--format", "docker-archive"] if self._runtime.name == "podman" else []
        self.processes.run(image.name, [*save, *names], log, self._runtime.env)
        for name in names:
            # Without a second name, untag takes away all names of the image.
            self._runtime.output(*(["untag", name, name] if self._runtime.name == "podman" else ["rmi", name]))
        return hashlib.sha256("".join(self._references[other] for other, _name in image.archive).encode()).hexdigest()

    def _push(self, name: str, log: Path) -> None:
        command = [self._runtime.name, "push"]
        if self._runtime.name == "podman" and parse_reference(self._references[name]).plain_http:
            command.append("--tls-verify=false")
        if self._runtime.name == "podman" and self._registry:
            command += ["--compression-format", "zstd"]
        self.processes.run(name, [*command, self._references[name]], log, self._runtime.env)
