"""Two trees have the same hash when, and only when, the same things are in them."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from campus_jobs.hashes import LONGEST_PART, MOST_PARTS, main
from campus_jobs.trees import DEEPEST


def home(path: Path) -> Path:
    """A home folder with one of everything."""
    (path / "hw").mkdir(parents=True)
    (path / "hw" / "lab1.ipynb").write_text("one")
    (path / "hw" / "übung\n2.py").write_text("two")
    (path / "empty").mkdir()
    (path / "link").symlink_to("hw/lab1.ipynb")
    os.mkfifo(path / "pipe")
    return path


def report(folder: Path, capsys: pytest.CaptureFixture[str], code: int = 0) -> dict[str, Any]:
    """What the program says about a folder."""
    assert main([str(folder)]) == code
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_equal_trees(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first, second = home(tmp_path / "a"), home(tmp_path / "b")
    os.utime(second / "hw" / "lab1.ipynb", (1, 1))
    (second / "hw").chmod(0o700)
    (second / "lost+found").mkdir()
    found = report(first, capsys)
    assert found == report(second, capsys)
    assert (found["files"], found["folders"], found["links"], found["bytes"]) == (2, 2, 1, 6)
    assert sorted(found["parts"]) == ["empty", "hw", "link", "pipe"]


def another_target(path: Path) -> None:
    (path / "link").unlink()
    (path / "link").symlink_to("hw")


def a_file_for_a_folder(path: Path) -> None:
    (path / "empty").rmdir()
    (path / "empty").touch()


CHANGES: dict[str, Callable[[Path], object]] = {
    "content": lambda path: (path / "hw" / "lab1.ipynb").write_text("One"),
    "name": lambda path: (path / "hw" / "lab1.ipynb").rename(path / "hw" / "lab2.ipynb"),
    "gone": lambda path: (path / "empty").rmdir(),
    "new": lambda path: (path / "hw" / "new").touch(),
    "another place": lambda path: (path / "hw" / "lab1.ipynb").rename(path / "empty" / "lab1.ipynb"),
    "another target": another_target,
    "a file for a folder": a_file_for_a_folder,
    "lost+found of the student": lambda path: (path / "hw" / "lost+found").mkdir(),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_any_difference_shows(
    change: Callable[[Path], object], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = report(home(tmp_path), capsys)
    change(tmp_path)
    after = report(tmp_path, capsys)
    assert after["root"] != before["root"]
    assert after["parts"] != before["parts"]


def test_a_link_is_not_followed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    outside = tmp_path / "outside"
    outside.write_text("secret")
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "link").symlink_to(outside)
    (tmp_path / "home" / "loop").symlink_to(".")
    before = report(tmp_path / "home", capsys)
    outside.write_text("another")
    assert report(tmp_path / "home", capsys) == before


def test_too_much_at_the_top_is_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number in range(MOST_PARTS):
        (tmp_path / str(number)).touch()
    assert len(report(tmp_path, capsys)["parts"]) == MOST_PARTS
    (tmp_path / "one more").touch()
    found = report(tmp_path, capsys)
    assert found["parts"] == {}
    assert found["files"] == MOST_PARTS + 1


def test_a_long_name_at_the_top_is_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / ("x" * (LONGEST_PART + 1))).touch()
    assert report(tmp_path, capsys)["parts"] == {}


def test_too_deep(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    deep = tmp_path / "deep"
    for _level in range(DEEPEST + 2):
        deep = deep / "d"
    deep.mkdir(parents=True)
    found = report(tmp_path, capsys)
    assert (found["folders"], found["unreadable"]) == (DEEPEST + 1, 1)


def test_no_such_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "No such file" in report(tmp_path / "none", capsys, 1)["error"]
