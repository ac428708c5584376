"""A folder as a ZIP file: all that can be read is in it, and what cannot is named."""

from __future__ import annotations

import io
import os
import stat
import zipfile
from pathlib import Path

import pytest
from campus_jobs import archive
from campus_jobs.archive import LEFT_OUT, Archive
from campus_jobs.trees import FOLDER


class Pipe:
    """Takes bytes and cannot go back."""

    def __init__(self) -> None:
        self.data = b""

    def write(self, data: bytes) -> int:
        self.data += data
        return len(data)

    def flush(self) -> None:
        """Nothing is held back."""


def packed(folder: Path, top: bool = False) -> zipfile.ZipFile:
    target = Pipe()
    opened = os.open(folder, FOLDER)
    whole = Archive(target)
    whole.add_folder(opened, (b"hw",), top)
    whole.close()
    os.close(opened)
    return zipfile.ZipFile(io.BytesIO(target.data))


def test_files_folders_and_links_are_in_it(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "lab 3.ipynb").write_text("work")
    (tmp_path / "lab 3.ipynb").chmod(0o640)
    (tmp_path / "übung").mkdir()
    (tmp_path / "übung" / "a.txt").write_text("a" * 100_000)
    (tmp_path / "secret").symlink_to("/etc/passwd")
    os.mkfifo(tmp_path / "pipe")
    os.utime(tmp_path / "lab 3.ipynb", (0, 0))
    found = packed(tmp_path)
    assert found.testzip() is None
    assert set(found.namelist()) == {
        "hw/", "hw/empty/", "hw/lab 3.ipynb", "hw/secret", "hw/übung/", "hw/übung/a.txt",
    }  # fmt: skip
    assert found.read("hw/übung/a.txt") == b"a" * 100_000
    assert found.read("hw/secret") == b"/etc/passwd"
    assert stat.S_ISLNK(found.getinfo("hw/secret").external_attr >> 16)
    about = found.getinfo("hw/lab 3.ipynb")
    assert (about.external_attr >> 16 & 0o777, about.date_time[0]) == (0o640, 1980)


def test_what_the_file_system_keeps_at_the_top_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "lost+found").mkdir()
    assert packed(tmp_path, top=True).namelist() == ["hw/"]
    assert packed(tmp_path).namelist() == ["hw/", "hw/lost+found/"]


def test_what_cannot_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "closed").write_text("x")
    (tmp_path / "open").write_text("y")
    real = os.open

    def refusing(path: bytes, *arguments: int, **options: int) -> int:
        if path == b"closed":
            raise PermissionError
        return real(path, *arguments, **options)

    monkeypatch.setattr(os, "open", refusing)
    found = packed(tmp_path)
    assert found.namelist() == ["hw/", "hw/open", LEFT_OUT]
    assert found.read(LEFT_OUT).decode().splitlines()[1:] == ["hw/closed"]


def test_a_large_file_is_written_in_the_large_form(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "large").write_text("x" * 100)
    monkeypatch.setattr(archive, "LARGE", 50)
    found = packed(tmp_path)
    assert found.getinfo("hw/large").extract_version >= zipfile.ZIP64_VERSION
    assert found.read("hw/large") == b"x" * 100


@pytest.mark.parametrize(("moment", "year"), [(-(2**40), 1980), (2**60, 2107)])
def test_a_time_that_zip_cannot_write(tmp_path: Path, moment: int, year: int) -> None:
    status = os.stat_result((0o100644, *[0] * 6, moment, moment, moment))
    assert archive._info((b"lab",), status).date_time[0] == year


def test_a_large_file_is_sent_in_pieces_that_a_slow_line_can_take(tmp_path: Path) -> None:
    (tmp_path / "data").write_bytes(os.urandom(1 << 20))
    pieces: list[int] = []

    class Line(Pipe):
        def write(self, data: bytes) -> int:
            pieces.append(len(data))
            return super().write(data)

    opened = os.open(tmp_path, FOLDER)
    whole = Archive(Line())
    whole.add_folder(opened, (b"hw",))
    whole.close()
    os.close(opened)
    assert sum(pieces) > 1 << 20
    assert max(pieces) < 1 << 18
