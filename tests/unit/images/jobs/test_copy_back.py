"""A path comes back beside what is there, and nothing that the student put in the way leads anywhere else."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from campus_jobs import copies, copy_back
from campus_jobs.trees import DEEPEST, RefusedError, parts_of
from hypothesis import given
from hypothesis import strategies as st

INTO = "restored/2026-11-25 0900"


class Disks:
    """A snapshot and a home, and the program that copies between them."""

    def __init__(self, path: Path) -> None:
        self.snapshot = path / "snapshot"
        self.home = path / "home"
        self.outside = path / "outside"
        for folder in (self.snapshot, self.home, self.outside):
            folder.mkdir()

    @property
    def restored(self) -> Path:
        return self.home / INTO

    def put(self, name: str, text: str = "old") -> Path:
        """A file in the snapshot."""
        path = self.snapshot / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def run(self, path: str, into: str = INTO) -> dict[str, Any]:
        return copy_back.copy_back(str(self.snapshot), str(self.home), path, into, "a1")

    def refused(self, path: str, into: str = INTO) -> str:
        """The sentence of a refusal, after which the home is as it was."""
        before = everything(self.home)
        with pytest.raises(RefusedError) as raised:
            self.run(path, into)
        assert everything(self.home) == before
        assert list(self.outside.iterdir()) == []
        return str(raised.value)


def everything(folder: Path) -> dict[str, bytes | str]:
    """Files and links below a folder."""
    found: dict[str, bytes | str] = {}
    for path in folder.rglob("*"):
        if path.is_symlink():
            found[str(path)] = os.readlink(path)
        elif path.is_file():
            found[str(path)] = path.read_bytes()
    return found


@pytest.fixture
def disks(tmp_path: Path) -> Disks:
    return Disks(tmp_path)


def test_a_file_comes_back_beside_the_one_that_is_there(disks: Disks) -> None:
    disks.put("hw/lab3.ipynb", "old")
    (disks.home / "hw").mkdir()
    (disks.home / "hw" / "lab3.ipynb").write_text("new")
    answer = disks.run("hw/lab3.ipynb")
    assert answer["target"] == f"{INTO}/hw/lab3.ipynb"
    assert (answer["files"], answer["bytes"]) == (1, 3)
    assert (disks.restored / "hw" / "lab3.ipynb").read_text() == "old"
    assert (disks.home / "hw" / "lab3.ipynb").read_text() == "new"


def test_nothing_is_overwritten(disks: Disks) -> None:
    disks.put("hw/lab.tar.gz", "old")
    targets = [disks.run("hw/lab.tar.gz")["target"] for _time in range(3)]
    (disks.restored / "hw" / "lab.tar.gz").write_text("mine")
    assert targets == [f"{INTO}/hw/{name}" for name in ("lab.tar.gz", "lab.tar (2).gz", "lab.tar (3).gz")]
    folders = [disks.run("hw")["target"] for _time in range(2)]
    assert folders == [f"{INTO}/hw (2)", f"{INTO}/hw (3)"]
    assert (disks.restored / "hw" / "lab.tar.gz").read_text() == "mine"
    assert sorted(path.name for path in (disks.restored / "hw").iterdir()) == [
        "lab.tar (2).gz",
        "lab.tar (3).gz",
        "lab.tar.gz",
    ]


def test_a_folder_comes_back_as_it_was(disks: Disks) -> None:
    data = disks.put("work/data", "x" * 5000)
    disks.put("work/übung\n2.py")
    os.link(data, data.with_name("again"))
    (data.parent / "link").symlink_to("/etc/passwd")
    (data.parent / "dangling").symlink_to("nowhere")
    os.mkfifo(data.parent / "pipe")
    locked = data.parent / "locked"
    locked.mkdir()
    (locked / "in").write_text("kept")
    locked.chmod(0o500)
    data.chmod(0o751)
    os.utime(data, ns=(1_000_000_001, 2_000_000_002))
    answer = disks.run("work")
    copy = disks.restored / "work"
    status = (copy / "data").stat()
    assert (status.st_mode & 0o7777, status.st_mtime_ns) == (0o751, 2_000_000_002)
    assert status.st_ino == (copy / "again").stat().st_ino
    assert os.readlink(copy / "link") == "/etc/passwd"
    assert os.readlink(copy / "dangling") == "nowhere"
    assert (copy / "pipe").is_fifo()
    assert ((copy / "locked").stat().st_mode & 0o777, (copy / "locked" / "in").read_text()) == (0o500, "kept")
    assert (copy / "übung\n2.py").read_text() == "old"
    assert (answer["files"], answer["folders"], answer["links"]) == (4, 2, 2)


def test_a_name_that_is_no_text(disks: Disks) -> None:
    name = b"caf\xe9"
    with open(os.fsencode(disks.snapshot) + b"/" + name, "wb") as file:
        file.write(b"latin")
    answer = disks.run(os.fsdecode(name))
    assert json.dumps(answer).isascii()
    with open(os.fsencode(disks.restored) + b"/" + name, "rb") as file:
        assert file.read() == b"latin"


def test_holes_stay_holes(disks: Disks) -> None:
    path = disks.put("sparse", "")
    with path.open("r+b") as file:
        file.seek(200 << 20)
        file.write(b"end")
        file.truncate(300 << 20)
    if path.stat().st_blocks * 512 > 1 << 20:
        pytest.skip("this file system has no holes")
    disks.run("sparse")
    status = (disks.restored / "sparse").stat()
    assert status.st_size == 300 << 20
    assert status.st_blocks * 512 < 1 << 20


def test_extended_attributes(disks: Disks) -> None:
    path = disks.put("marked")
    try:
        os.setxattr(path, "user.tag", b"lab")
    except OSError:
        pytest.skip("this file system has no extended attributes")
    disks.run("marked")
    assert os.getxattr(disks.restored / "marked", "user.tag") == b"lab"


@pytest.mark.parametrize("path", ["", "/", "/etc/passwd", "..", "a/../../b", ".", "a\0b"])
def test_paths_that_lead_out(disks: Disks, path: str) -> None:
    disks.put("a/b")
    assert "is no path inside the home folder" in disks.refused(path)
    assert "is no path inside the home folder" in disks.refused("a/b", path)


@given(st.text(st.sampled_from("./ab\0"), max_size=12))
def test_what_counts_as_inside(path: str) -> None:
    names = path.split("/")
    inside = not path.startswith("/") and ".." not in names and "\0" not in path and any(set(n) - {"."} for n in names)
    if inside or set(names) - {"", ".", ".."}:
        try:
            found = parts_of(path)
        except RefusedError:
            assert not inside
        else:
            assert b"/".join(found).decode() == os.path.normpath(path)
    else:
        with pytest.raises(RefusedError):
            parts_of(path)


def test_a_path_that_is_not_there_names_those_near_it(disks: Disks) -> None:
    disks.put("hw/lab3.ipynb")
    assert disks.refused("hw/lab4.ipynb") == "'hw/lab4.ipynb' is not in the snapshot; did you mean lab3.ipynb?"
    assert disks.refused("hx/lab3.ipynb").startswith("'hx' is not in the snapshot; did you mean hw?")
    assert disks.refused("hw/zzz").startswith("'hw/zzz' is not in the snapshot; look at")
    assert disks.refused("hw/lab3.ipynb/x") == "'hw/lab3.ipynb' is no folder in the snapshot."


def test_a_link_on_the_way_in_the_snapshot_leads_nowhere(disks: Disks) -> None:
    (disks.snapshot / "way").symlink_to("/etc")
    assert disks.refused("way/passwd").startswith("'way' is a link in the snapshot;")
    disks.run("way")
    assert os.readlink(disks.restored / "way") == "/etc"


@pytest.mark.parametrize("at", ["restored", INTO, f"{INTO}/hw"])
def test_a_link_on_the_way_in_the_home_leads_nowhere(disks: Disks, at: str) -> None:
    disks.put("hw/lab")
    place = disks.home / at
    place.parent.mkdir(parents=True, exist_ok=True)
    place.symlink_to(disks.outside)
    assert disks.refused("hw/lab").startswith(f"'{at}' is a link in the home folder;")


@pytest.mark.parametrize("target", ["file", "nowhere"])
def test_a_link_in_the_place_of_the_copy_stays(disks: Disks, target: str) -> None:
    disks.put("lab")
    disks.put("work/lab")
    disks.restored.mkdir(parents=True)
    for name in ("lab", "work"):
        (disks.restored / name).symlink_to(disks.outside / target)
    assert disks.run("lab")["target"] == f"{INTO}/lab (2)"
    assert disks.run("work")["target"] == f"{INTO}/work (2)"
    assert list(disks.outside.iterdir()) == []


def test_what_a_killed_run_left_behind_is_replaced(disks: Disks) -> None:
    disks.put("work/lab", "whole")
    left = disks.restored / ".restoring-a1" / "work"
    left.mkdir(parents=True)
    (left / "half").write_text("ha")
    (left / "out").symlink_to(disks.outside)
    (disks.outside / "safe").write_text("safe")
    disks.run("work")
    assert sorted(path.name for path in disks.restored.iterdir()) == ["work"]
    assert everything(disks.restored) == {str(disks.restored / "work" / "lab"): b"whole"}
    assert (disks.outside / "safe").read_text() == "safe"


def test_no_room(disks: Disks, monkeypatch: pytest.MonkeyPatch) -> None:
    disks.put("big", "x" * 10_000)
    space = SimpleNamespace(f_bavail=300, f_frsize=4096, f_files=0, f_favail=0)
    monkeypatch.setattr(os, "fstatvfs", lambda _descriptor: space)
    disks.run("big")
    space.f_bavail = 100
    assert disks.refused("big").startswith("There is no room for the restore: it takes ")
    space.f_bavail, space.f_files, space.f_favail = 300, 1000, 0
    assert "it has 1 files and the disk takes 0 more" in disks.refused("big")


def test_a_disk_that_becomes_full_keeps_no_half(
    disks: Disks, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    disks.put("work/a")
    disks.put("work/b")

    def full(_here: int, _there: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(copies, "copy_content", full)
    options = {"snapshot": disks.snapshot, "home": disks.home, "path": "work", "into": INTO, "run": "a1"}
    assert copy_back.main([f"--{key}={value}" for key, value in options.items()]) == 1
    assert "there is no room for the restore; nothing was kept" in json.loads(capsys.readouterr().out)["error"]
    assert everything(disks.home) == {}
    assert list(disks.restored.iterdir()) == []


ENDLESS = """
import runpy, signal
from campus_jobs import copies
copies.copy_content = lambda _here, _there: (print("copying", flush=True), signal.pause())
runpy.run_module("campus_jobs.copy_back", run_name="__main__")
"""
"""The program, with a file that takes for ever."""


def test_a_copy_that_is_told_to_end_keeps_no_half(disks: Disks) -> None:
    disks.put("work/a")
    options = {"snapshot": disks.snapshot, "home": disks.home, "path": "work", "into": INTO, "run": "a1"}
    command = [sys.executable, "-c", ENDLESS, *(f"--{key}={value}" for key, value in options.items())]
    package = Path(copy_back.__file__).parent.parent
    environment = {**os.environ, "PYTHONPATH": str(package)}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as program:
        assert program.stdout is not None
        assert program.stdout.readline() == "copying\n"
        assert (disks.restored / ".restoring-a1" / "a").exists()
        program.terminate()
        said = program.stdout.read()
    assert list(disks.restored.iterdir()) == []
    assert program.returncode == 1
    assert json.loads(said)["error"].startswith("The copy was ended before it was complete; run again")


def test_a_copy_that_differs_is_not_kept(disks: Disks, monkeypatch: pytest.MonkeyPatch) -> None:
    disks.put("work/a", "right")
    monkeypatch.setattr(copies, "copy_content", lambda _here, there: os.write(there, b"wrong"))
    assert "is not what the snapshot holds; nothing was kept" in disks.refused("work")


def test_a_socket_is_nothing_to_bring_back(disks: Disks) -> None:
    os.mknod(disks.snapshot / "socket", 0o140600)
    disks.put("work/a")
    os.mknod(disks.snapshot / "work" / "socket", 0o140600)
    assert disks.refused("socket") == "'socket' is no file or folder."
    disks.run("work")
    assert [path.name for path in (disks.restored / "work").iterdir()] == ["a"]


def test_many_files(disks: Disks) -> None:
    for number in range(2000):
        disks.put(f"many/{number % 20}/{number}", str(number))
    answer = disks.run("many")
    assert (answer["files"], answer["folders"]) == (2000, 21)


def test_too_deep(disks: Disks) -> None:
    disks.put("deep/" + "d/" * (DEEPEST + 2) + "lab")
    assert f"more than {DEEPEST} deep" in disks.refused("deep")


def test_the_program_says_it_in_one_line(disks: Disks, capsys: pytest.CaptureFixture[str]) -> None:
    disks.put("lab")
    options = {"snapshot": disks.snapshot, "home": disks.home, "path": "lab", "into": INTO, "run": "a1"}
    assert copy_back.main([f"--{key}={value}" for key, value in options.items()]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert json.loads(line)["target"] == f"{INTO}/lab"
    options["path"] = "none"
    assert copy_back.main([f"--{key}={value}" for key, value in options.items()]) == 1
    (line,) = capsys.readouterr().out.splitlines()
    assert "is not in the snapshot" in json.loads(line)["error"]
