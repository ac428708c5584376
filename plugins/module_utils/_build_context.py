# Copyright: campus.jupyterhub contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Puts together what one image is built from: files, programs, and the host's trust for the build alone.

Private to the collection: it may change in any release.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from collections.abc import Collection, Mapping
from pathlib import Path

from ansible_collections.campus.jupyterhub.plugins.module_utils._build_runtime import LABEL
from ansible_collections.campus.jupyterhub.plugins.module_utils._images import Image
from ansible_collections.campus.jupyterhub.plugins.module_utils._images_keys import folder_files

# Where Debian's programs look for trusted certificates.
TRUST = "/etc/ssl/certs/ca-certificates.crt"
HOST_BUNDLES = (TRUST, "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/ca-bundle.pem", "/etc/ssl/cert.pem")
# Container runtimes know these by themselves: they are never kept in the image.
PROXY_NAMES = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy")


def host_bundle(wanted: str, environment: Mapping[str, str]) -> str:
    """Return the file of certificates that builds trust: the wanted one, else this machine's, else nothing."""
    candidates = [wanted] if wanted else [environment.get("SSL_CERT_FILE", ""), *HOST_BUNDLES]
    return next((path for path in candidates if path and os.path.exists(path)), "")


def build_arguments(bundle: str, environment: Mapping[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    """Return the arguments that a Containerfile has to declare, and those that every runtime knows."""
    declared = {"PIP_CERT": TRUST, "SSL_CERT_FILE": TRUST} if bundle else {}
    if environment.get("PIP_INDEX_URL"):
        declared["PIP_INDEX_URL"] = environment["PIP_INDEX_URL"]
    return declared, {name: environment[name] for name in PROXY_NAMES if environment.get(name)}


def prepared(containerfile: str, declared: Collection[str], trust_secret: bool) -> str:
    """Return a Containerfile whose RUN steps see the declared arguments.

    With ``trust_secret`` each RUN mounts the secret ``trust`` over the image's certificates, for runtimes that have no
    volumes in a build. Nothing of it stays in the image.
    """
    # The label lets layers that no image needs any more be told from the user's own.
    arguments = "".join([f"\nLABEL {LABEL}=layer", *(f"\nARG {name}" for name in sorted(declared))])
    text = re.sub(r"(?m)^(FROM (?!scratch\b).*)$", lambda found: found.group(1) + arguments, containerfile)
    if trust_secret:
        text = re.sub(r"(?m)^RUN ", f"RUN --mount=type=secret,id=trust,target={TRUST},mode=0444 ", text)
    return text


def link(source: Path, target: Path) -> None:
    """Put a program into a folder without copying it, where the file system can do that."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(OSError):
        target.hardlink_to(source)
        return
    shutil.copy2(source, target)


def copy_files(folder: Path, into: Path) -> None:
    """Copy the files of a folder that count."""
    for inside in folder_files(folder):
        target = into / inside
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(folder / inside, target, follow_symlinks=False)


def lay_out(image: Image, stage: Path, containerfile: str, programs: Mapping[str, Path]) -> None:
    """Fill the stage: the image's files and sources, its Containerfile as prepared, the programs of its tools."""
    shutil.rmtree(stage, ignore_errors=True)
    copy_files(image.folder, stage)
    for source in image.sources:
        copy_files(source.folder, stage / source.into)
    (stage / "Containerfile").write_text(containerfile, encoding="utf-8")
    for binaries in image.binaries:
        for name in binaries.names:
            link(programs[binaries.tool] / name, stage / binaries.into / name)
