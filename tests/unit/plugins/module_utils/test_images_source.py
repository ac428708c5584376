# Copyright: campus.jupyterhub contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""References taken apart, and the choice between a registry and a build."""

from __future__ import annotations

import pytest
from ansible_collections.campus.jupyterhub.plugins.module_utils import _images_source as source
from ansible_collections.campus.jupyterhub.plugins.module_utils._images import ImagesError
from hypothesis import given
from hypothesis import strategies as st

DIGEST = "sha256:" + "0" * 64


@pytest.mark.parametrize(
    ("text", "host", "repository", "manifest"),
    [
        ("debian", "docker.io", "library/debian", "latest"),
        ("kindest/node:v1.36.3", "docker.io", "kindest/node", "v1.36.3"),
        ("registry.k8s.io/pause:3.10", "registry.k8s.io", "pause", "3.10"),
        ("localhost/campus/hub:1", "localhost", "campus/hub", "1"),
        ("localhost:5001/campus/csi_provisioner:1", "localhost:5001", "campus/csi_provisioner", "1"),
        ("[::1]:5000/a/b:c", "[::1]:5000", "a/b", "c"),
        (f"quay.io/org/image@{DIGEST}", "quay.io", "org/image", DIGEST),
        (f"quay.io/org/image:1@{DIGEST}", "quay.io", "org/image", DIGEST),
    ],
)
def test_a_reference_is_taken_apart(text: str, host: str, repository: str, manifest: str) -> None:
    parsed = source.parse_reference(text)
    assert (parsed.host, parsed.repository, parsed.manifest) == (host, repository, manifest)


@pytest.mark.parametrize(
    "text", ["", "Hub", "a b", "registry.example.edu/", "hub:", "https://registry.example.edu/hub", "a//b"]
)
def test_what_is_no_reference_is_refused(text: str) -> None:
    with pytest.raises(ImagesError, match="is not the name of an image"):
        source.parse_reference(text)


names = st.from_regex(r"[a-z0-9]+(-[a-z0-9]+)?", fullmatch=True)


@given(names, names, st.from_regex(r"v?[0-9]\.[0-9]+-[0-9a-f]{12}", fullmatch=True))
def test_own_references_can_be_taken_apart_again(folder: str, name: str, tag: str) -> None:
    parsed = source.parse_reference(source.own_reference(f"registry.example.edu/{folder}/", name, tag))
    assert (parsed.host, parsed.repository, parsed.tag) == ("registry.example.edu", f"{folder}/campus-{name}", tag)
    local = source.parse_reference(source.local_reference("localhost:5001", name, tag))
    assert local.plain_http
    assert local.repository == f"campus/{name}"


def test_underscores_become_hyphens_in_names_for_others() -> None:
    assert source.own_reference("quay.io/us", "csi_resizer", "1") == "quay.io/us/campus-csi-resizer:1"


OWN = "registry.example.edu/campus-hub:1"
UPSTREAM = "docker.io/library/registry:3"


@pytest.mark.parametrize(
    ("wish", "candidates", "answers", "named", "choice"),
    [
        ("build", [OWN], {OWN: source.THERE}, [], ""),
        ("auto", [], {}, [], ""),
        ("auto", [OWN], {OWN: source.THERE}, [], OWN),
        ("auto", [OWN, UPSTREAM], {OWN: source.MISSING, UPSTREAM: source.THERE}, [], UPSTREAM),
        ("auto", [OWN, UPSTREAM], {OWN: source.THERE, UPSTREAM: source.THERE}, [], OWN),
        ("auto", [OWN], {OWN: source.MISSING}, ["registry.example.edu"], ""),
        ("auto", [OWN], {OWN: source.SILENT}, ["registry.example.edu"], ""),
        # Docker Hub answers 401 for what it does not have.
        ("auto", [UPSTREAM], {UPSTREAM: source.REFUSED}, ["registry.example.edu"], ""),
        ("registry", [OWN, UPSTREAM], {OWN: source.REFUSED, UPSTREAM: source.THERE}, [], UPSTREAM),
    ],
)
def test_the_choice(wish: str, candidates: list[str], answers: dict[str, str], named: list[str], choice: str) -> None:
    assert source.choose_source(wish, "hub", candidates, answers, named) == choice


@pytest.mark.parametrize(
    ("wish", "candidates", "answer", "said"),
    [
        ("auto", [OWN], source.REFUSED, "registry.example.edu answers 401 for .*: it wants a login"),
        ("registry", [UPSTREAM], source.REFUSED, "answers 401 .* set images_source to build"),
        ("registry", [OWN, UPSTREAM], source.MISSING, "does not have registry.example.edu/campus-hub:1; put"),
        ("registry", [OWN], source.SILENT, "registry.example.edu does not answer"),
        ("registry", [], source.SILENT, "no registry has the image hub; set images_registry"),
    ],
)
def test_a_wish_that_cannot_be_met_is_refused(wish: str, candidates: list[str], answer: str, said: str) -> None:
    with pytest.raises(ImagesError, match=said):
        source.choose_source(wish, "hub", candidates, dict.fromkeys(candidates, answer), ["registry.example.edu"])


@pytest.mark.parametrize(
    ("version", "wanted", "enough"),
    [
        ("v1.36.3", "v1.29.0", True),
        ("1.29.0", "v1.29.0", True),
        ("v1.29.0-eks-1234", "v1.29.0", True),
        ("v1.28.9", "v1.29.0", False),
        ("v1.9.0", "v1.29", False),
        ("", "v1.29.0", False),
        ("unknown", "v1.29.0", False),
    ],
)
def test_versions_are_compared_by_number(version: str, wanted: str, enough: bool) -> None:
    assert source.newer_or_same(version, wanted) is enough
