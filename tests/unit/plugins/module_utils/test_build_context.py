# Copyright: campus.jupyterhub contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a build sees of this machine, and that none of it is left in the Containerfile's result."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.campus.jupyterhub.plugins.module_utils import _build_context as context
from ansible_collections.campus.jupyterhub.plugins.module_utils._images import Binaries, Image, Source

CONTAINERFILE = """\
ARG BASE
FROM ${BASE} AS build
RUN apt-get update \\
    && apt-get install python3
RUN pip install .

FROM scratch
COPY --from=build /opt /opt
"""


def test_arguments_are_declared_where_steps_run() -> None:
    text = context.prepared(CONTAINERFILE, ["SSL_CERT_FILE", "PIP_CERT"], trust_secret=False)
    assert "FROM ${BASE} AS build\nLABEL campus.jupyterhub=layer\nARG PIP_CERT\nARG SSL_CERT_FILE\nRUN apt-get" in text
    assert "FROM scratch\nCOPY" in text
    assert "ENV" not in text


def test_a_secret_is_mounted_into_each_step() -> None:
    text = context.prepared(CONTAINERFILE, [], trust_secret=True)
    mount = "RUN --mount=type=secret,id=trust,target=/etc/ssl/certs/ca-certificates.crt,mode=0444 "
    assert text.count(mount) == 2
    assert text.replace(mount, "RUN ") == context.prepared(CONTAINERFILE, [], trust_secret=False)


def test_layers_are_marked_as_ours() -> None:
    text = context.prepared(CONTAINERFILE, [], trust_secret=False)
    assert text.replace("LABEL campus.jupyterhub=layer\n", "") == CONTAINERFILE
    assert text.count("LABEL") == 1


@pytest.mark.parametrize(
    ("bundle", "environment", "declared", "known"),
    [
        ("", {}, set(), set()),
        ("/ca.pem", {}, {"PIP_CERT", "SSL_CERT_FILE"}, set()),
        ("", {"PIP_INDEX_URL": "https://pypi.example.edu", "HTTPS_PROXY": ""}, {"PIP_INDEX_URL"}, set()),
        ("", {"HTTPS_PROXY": "http://proxy:3128", "HOME": "/root"}, set(), {"HTTPS_PROXY"}),
    ],
)
def test_only_what_a_build_needs_is_passed_on(
    bundle: str, environment: dict[str, str], declared: set[str], known: set[str]
) -> None:
    first, second = context.build_arguments(bundle, environment)
    assert (set(first), set(second)) == (declared, known)


def test_the_wanted_bundle_comes_first(tmp_path: Path) -> None:
    own, other = tmp_path / "own.pem", tmp_path / "other.pem"
    own.touch()
    other.touch()
    assert context.host_bundle(str(own), {"SSL_CERT_FILE": str(other)}) == str(own)
    assert context.host_bundle("", {"SSL_CERT_FILE": str(other)}) == str(other)
    assert context.host_bundle(str(tmp_path / "gone.pem"), {}) == ""


def test_a_stage_holds_files_and_programs(tmp_path: Path) -> None:
    folder, tools, stage = tmp_path / "hub", tmp_path / "tools", tmp_path / "stage"
    (folder / "src" / "__pycache__").mkdir(parents=True)
    (folder / "src" / "a.py").write_text("a")
    (folder / "src" / "__pycache__" / "a.pyc").write_text("x")
    tools.mkdir()
    (tools / "kubectl").write_text("k")
    (stage / "old").mkdir(parents=True)
    image = Image("hub", folder, "1", "", (Binaries("kubernetes", ("kubectl",), "bin"),), (), (), False, 1, 1, False)
    context.lay_out(image, stage, "FROM scratch\n", {"kubernetes": tools})
    found = {str(path.relative_to(stage)) for path in stage.rglob("*") if path.is_file()}
    assert found == {"Containerfile", "src/a.py", "bin/kubectl"}


def test_a_stage_holds_the_sources_of_collections(tmp_path: Path) -> None:
    folder, plugins, stage = tmp_path / "jobs", tmp_path / "installed" / "plugins", tmp_path / "stage"
    folder.mkdir()
    (plugins / "modules" / "__pycache__").mkdir(parents=True)
    (plugins / "modules" / "a.py").write_text("a")
    (plugins / "modules" / "__pycache__" / "a.pyc").write_text("x")
    sources = (Source(plugins, "ansible_collections/campus/tools/plugins"),)
    image = Image("jobs", folder, "1", "", (), (), (), False, 1, 1, False, sources)
    context.lay_out(image, stage, "FROM scratch\n", {})
    found = {str(path.relative_to(stage)) for path in stage.rglob("*") if path.is_file()}
    assert found == {"Containerfile", "ansible_collections/campus/tools/plugins/modules/a.py"}
