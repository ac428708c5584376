# Copyright: campus.jupyterhub contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a build needs is said before it begins."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.campus.jupyterhub.plugins.module_utils import _build_needs as needs
from ansible_collections.campus.jupyterhub.plugins.module_utils._build_runtime import Runtime
from ansible_collections.campus.jupyterhub.plugins.module_utils._images import ImagesError
from ansible_collections.campus.jupyterhub.plugins.module_utils._images_plan import Step

TOOL, BASE, HUB = Step("tool", "kind"), Step("image", "base"), Step("image", "hub")


@pytest.mark.parametrize(
    ("steps", "unpack", "expected"),
    [
        ([], True, []),
        ([HUB], True, []),
        ([TOOL], True, ["go"]),
        ([BASE], True, ["mmdebstrap"]),
        ([BASE], False, []),
        ([TOOL, BASE, HUB], True, ["go", "mmdebstrap"]),
    ],
)
def test_programs(steps: list[Step], unpack: bool, expected: list[str]) -> None:
    assert needs.programs(steps, unpack) == expected


@pytest.mark.parametrize(
    ("needed", "free", "device", "said"),
    [
        ({"/a": 500, "/b": 500}, {"/a": 1000, "/b": 1000}, {"/a": 1, "/b": 1}, ""),
        ({"/a": 900, "/b": 900}, {"/a": 1000, "/b": 1000}, {"/a": 1, "/b": 2}, ""),
        (
            {"/a": 900, "/b": 900},
            {"/a": 1000, "/b": 1000},
            {"/a": 1, "/b": 1},
            "needs 1.8 GB in /a and /b, but only 1.0 GB",
        ),
        (
            {"/a": 100, "/b": 2000},
            {"/a": 500, "/b": 500},
            {"/a": 1, "/b": 2},
            "needs 2.0 GB in /b, but only 0.5 GB are free",
        ),
        ({"/a": 0}, {"/a": 0}, {"/a": 1}, ""),
    ],
)
def test_disk_space(needed: dict[str, int], free: dict[str, int], device: dict[str, int], said: str) -> None:
    problem = needs.space_problem(needed, free, device)
    assert said in problem
    assert bool(said) == bool(problem)


def test_a_folder_that_is_still_to_be_made_lies_on_the_disk_above(tmp_path: Path) -> None:
    assert needs.existing(tmp_path / "cache" / "bin") == tmp_path


def test_a_missing_program_is_said_with_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ImagesError, match="go is needed to compile what no registry has; install Go"):
        needs.check_needs([TOOL], Runtime("podman", {}), tmp_path, unpack_debian=False)


@pytest.mark.parametrize(
    ("says", "complaint"),
    [
        ("go1.19.8", "Go 1.19.8 is too old to compile what no registry has; install Go 1.26 or newer"),
        ("", "this Go says no version, so it may be too old"),
        ("go1.21.0", ""),
        ("go1.26.8", ""),
    ],
)
def test_an_old_go_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, says: str, complaint: str) -> None:
    go = tmp_path / "go"
    go.write_text(f"#!/bin/sh\necho {says}\n")
    go.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    if complaint:
        with pytest.raises(ImagesError, match=complaint):
            needs.check_go()
    else:
        needs.check_go()


def test_too_little_space_is_said_before_anything_is_built(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(Runtime, "storage", lambda _self: tmp_path / "storage")
    huge = [Step("image", "hub", megabytes=10**9)]
    with pytest.raises(ImagesError, match=r"needs 1000000.0 GB in .*storage, but only"):
        needs.check_needs(huge, Runtime("podman", {}), tmp_path / "cache", unpack_debian=False)
    needs.check_needs([], Runtime("podman", {}), tmp_path / "cache", unpack_debian=False)
