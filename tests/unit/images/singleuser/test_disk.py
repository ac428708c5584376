"""A full home, and what goes elsewhere then."""

from __future__ import annotations

import errno
import os
import tempfile
from pathlib import Path

import pytest
from campus_singleuser import disk


def refuse(number: int) -> object:
    """Return a write that fails."""

    def write(*args: object) -> int:
        raise OSError(number, os.strerror(number))

    return write


def test_a_home_with_room_is_left_alone(tmp_path: Path) -> None:
    environment = {"HOME": str(tmp_path)}

    assert disk.make_room(environment) == []
    assert environment == {"HOME": str(tmp_path)}
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EROFS])
def test_a_full_home_sends_what_must_be_written_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    home, elsewhere = tmp_path / "home", tmp_path / "elsewhere"
    home.mkdir()
    elsewhere.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(elsewhere))
    monkeypatch.setattr(os, "write", refuse(number))
    environment = {"HOME": str(home), "JUPYTER_PATH": "/opt/more"}

    said = disk.make_room(environment)

    assert f"{home} is full" in said[0]
    for variable in ("IPYTHONDIR", "JUPYTER_DATA_DIR", "JUPYTER_CONFIG_DIR", "JUPYTERLAB_WORKSPACES_DIR"):
        assert Path(environment[variable]).is_dir()
        assert Path(environment[variable]).is_relative_to(elsewhere)
    assert environment["JUPYTER_PATH"] == f"{home}/.local/share/jupyter:/opt/more"
    assert environment["JUPYTER_CONFIG_PATH"] == f"{home}/.jupyter"
    assert environment["JUPYTERLAB_SETTINGS_DIR"] == f"{home}/.jupyter/lab/user-settings"
    assert list(home.iterdir()) == []


def test_another_error_is_not_taken_for_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "write", refuse(errno.EIO))

    assert disk.make_room({"HOME": str(tmp_path)}) == []
