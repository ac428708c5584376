"""The programs as the student's own user, who may not read everything that lies on a disk."""

from __future__ import annotations

import io
import json
import os
import shutil
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from campus_jobs import reader
from campus_jobs.archive import LEFT_OUT, Archive
from campus_jobs.copy_back import main as copy_back_program
from campus_jobs.hashes import main as hashes_program
from campus_jobs.trees import FOLDER, RefusedError

STUDENT = 1000
pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")


@pytest.fixture
def disks() -> Iterator[Path]:
    """Two disks of a student, as a file system and kubelet leave them, where everyone may look."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    for name in ("snapshot", "home"):
        disk = folder / name
        disk.mkdir()
        os.chown(disk, 0, STUDENT)
        disk.chmod(0o2775)
        lost = disk / "lost+found"
        lost.mkdir()
        lost.chmod(0o700)
    put(folder / "snapshot" / "work" / "lab")
    yield folder
    shutil.rmtree(folder)


def put(path: Path, text: str = "old") -> None:
    """A file of the student's."""
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    for each in (path.parent, path):
        os.chown(each, STUDENT, STUDENT)


def run(main: Callable[[list[str]], int], *words: str) -> dict[str, Any]:
    """What a program says, run as the student in a process of its own."""
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        try:
            os.setgroups([])
            os.setgid(STUDENT)
            os.setuid(STUDENT)
            sys.stdout = os.fdopen(writer, "w")
            main([*words])
            sys.stdout.flush()
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as said:
        (line,) = said.read().splitlines()
    os.waitpid(child, 0)
    answer: dict[str, Any] = json.loads(line)
    return answer


def copy_back(disks: Path, path: str) -> dict[str, Any]:
    options = {"snapshot": disks / "snapshot", "home": disks / "home", "path": path, "into": "restored", "run": "a"}
    return run(copy_back_program, *(f"--{key}={value}" for key, value in options.items()))


def test_a_folder_comes_back_as_the_students_own(disks: Path) -> None:
    assert copy_back(disks, "work")["target"] == "restored/work"
    status = (disks / "home" / "restored" / "work" / "lab").stat()
    assert (status.st_uid, status.st_gid) == (STUDENT, STUDENT)


def test_what_only_root_may_read_is_refused_by_name(disks: Path) -> None:
    secret = disks / "snapshot" / "work" / "secret"
    secret.write_text("root's")
    secret.chmod(0o600)
    assert copy_back(disks, "work") == {
        "error": "The student may not read 1 of the files, such as 'work/secret'; restore to a side disk."
    }
    assert not (disks / "home" / "restored").exists()


def test_hashes_count_what_cannot_be_read(disks: Path) -> None:
    found = run(hashes_program, str(disks / "snapshot"))
    assert (found["files"], found["unreadable"], sorted(found["parts"])) == (1, 0, ["work"])
    locked = disks / "snapshot" / "locked"
    locked.mkdir(mode=0o700)
    assert run(hashes_program, str(disks / "snapshot"))["unreadable"] == 1


def without_search(disks: Path) -> Path:
    """A folder of the student's whose names may be listed and nothing in it opened, as ``chmod -R 644`` leaves it."""
    listed = disks / "snapshot" / "work" / "listed"
    put(listed / "lab")
    listed.chmod(0o644)
    return listed


def listing(words: list[str]) -> int:
    """Print what a folder's page is told."""
    try:
        print(json.dumps(reader.listing(os.open(words[0], FOLDER), words[1])))
    except RefusedError as error:
        print(json.dumps({"error": str(error)}))
    return 0


def packing(words: list[str]) -> int:
    """Print the names in a ZIP file."""
    target = io.BytesIO()
    whole = Archive(target)
    whole.add_folder(os.open(words[0], FOLDER), (b"home",))
    whole.close()
    print(json.dumps({"names": zipfile.ZipFile(target).namelist()}))
    return 0


def test_a_folder_that_may_only_be_listed_is_explained(disks: Path) -> None:
    without_search(disks)
    assert run(listing, str(disks / "snapshot"), "work/listed") == {
        "error": "What is in the folder 'work/listed' cannot be read: Permission denied."
    }


def test_a_folder_that_may_only_be_listed_is_left_out_of_a_zip_file(disks: Path) -> None:
    listed = without_search(disks)
    assert run(packing, str(listed)) == {"names": ["home/", LEFT_OUT]}
    assert run(packing, str(listed.parent))["names"] == ["home/", "home/lab", "home/listed/", LEFT_OUT]


def test_a_folder_that_may_only_be_listed_is_refused_by_name(disks: Path) -> None:
    without_search(disks)
    assert copy_back(disks, "work") == {
        "error": "The student may not read 1 of the files, such as 'work/listed'; restore to a side disk."
    }
