"""The pod that shows a snapshot: to whom, what, and that nothing leads out of it."""

from __future__ import annotations

import errno
import http.client
import io
import json
import os
import socket
import threading
import zipfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from campus_jobs import reader
from campus_jobs.archive import Archive
from campus_jobs.hashes import names_in
from campus_jobs.reader import Server, proof_of
from campus_jobs.trees import FOLDER, below

TOKEN = "a token"

Answer = tuple[int, bytes]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """The disk of a snapshot, and beside it what is nobody's business."""
    (tmp_path / "outside.txt").write_text("not yours")
    home = tmp_path / "home"
    (home / "hw").mkdir(parents=True)
    (home / "hw" / "lab3.ipynb").write_text("work")
    (home / "to-file").symlink_to("../outside.txt")
    (home / "to-folder").symlink_to("..")
    (home / "to-root").symlink_to("/")
    (home / "to-own").symlink_to("hw")
    os.mkfifo(home / "pipe")
    (home / "lost+found").mkdir()
    return home


@pytest.fixture
def server(home: Path) -> Iterator[Server]:
    """A reader that shows it."""
    running = Server(0, os.open(home, FOLDER), proof_of(TOKEN))
    thread = threading.Thread(target=running.serve_forever, args=(0.05,))
    thread.start()
    yield running
    running.shutdown()
    thread.join()
    running.server_close()
    os.close(running.top)


def ask(server: Server, what: str, path: str = "", token: str = TOKEN, method: str = "GET") -> Answer:
    with closing(http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=10)) as connection:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        connection.request(method, f"/{what}?path={quote(os.fsencode(path), safe='')}", headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.read()


def asked(server: Server, what: str, path: str = "") -> Any:
    status, body = ask(server, what, path)
    assert status == 200, body
    return json.loads(body)


def test_a_folder_is_listed_and_a_file_is_sent(server: Server, home: Path) -> None:
    found = asked(server, "list", "hw")
    (entry,) = found["entries"]
    assert entry == {
        "name": "lab3.ipynb",
        "kind": "file",
        "size": 4,
        "changed": (home / "hw" / "lab3.ipynb").stat().st_mtime,
    }
    assert found["more"] == 0
    assert ask(server, "file", "hw/lab3.ipynb") == (200, b"work")


def test_at_the_top_is_what_the_student_has_there(server: Server) -> None:
    kinds = {each["name"]: each["kind"] for each in asked(server, "list")["entries"]}
    assert kinds == {
        "hw": "folder", "pipe": "fifo", "to-file": "link", "to-folder": "link", "to-own": "link", "to-root": "link",
    }  # fmt: skip


@pytest.mark.parametrize("token", ["", "another", proof_of(TOKEN)])
@pytest.mark.parametrize("what", ["list", "file", "archive", "x"])
def test_nobody_else_learns_anything(server: Server, token: str, what: str) -> None:
    status, body = ask(server, what, "hw", token)
    assert status == 401
    assert b"lab3" not in body


@pytest.mark.parametrize("what", ["list", "file", "archive"])
@pytest.mark.parametrize(
    "path",
    [
        "..", "../outside.txt", "hw/../..", "hw/../../outside.txt", "/", "/etc/passwd", "//etc/passwd", "to-file",
        "to-folder", "to-folder/outside.txt", "to-root/etc/passwd", "to-root/etc", "to-own/lab3.ipynb", "to-own",
        "pipe", "pipe/x", "hw\0", "hw/lab3.ipynb/x", "nothing", "nothing/x",
    ],
)  # fmt: skip
def test_nothing_leads_out(server: Server, what: str, path: str) -> None:
    status, body = ask(server, what, path)
    assert status == 404
    assert json.loads(body)["error"]
    assert b"not yours" not in body


@pytest.mark.parametrize("path", ["hw", ""])
def test_a_folder_is_no_file(server: Server, path: str) -> None:
    assert ask(server, "file", path)[0] == 404


def test_it_starts_without_a_name_server(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_answer(_name: str = "") -> str:
        raise AssertionError("it would wait for a name server")

    monkeypatch.setattr(socket, "getfqdn", no_answer)
    top = os.open(home, FOLDER)
    server = Server(0, top, "x")
    assert server.server_port > 0
    server.server_close()
    os.close(top)


def test_nothing_can_be_written(server: Server) -> None:
    assert {ask(server, "file", "hw/lab3.ipynb", method=method)[0] for method in ("POST", "PUT", "DELETE")} == {501}


def test_a_folder_is_packed(server: Server) -> None:
    status, body = ask(server, "archive", "hw")
    assert status == 200
    assert zipfile.ZipFile(io.BytesIO(body)).namelist() == ["hw/", "hw/lab3.ipynb"]
    names = zipfile.ZipFile(io.BytesIO(ask(server, "archive")[1])).namelist()
    assert {"home/", "home/hw/lab3.ipynb", "home/to-root"} <= set(names)
    assert not [name for name in names if "outside" in name or "passwd" in name]


def test_a_folder_that_cannot_be_packed_to_its_end_is_not_taken_for_whole(
    server: Server, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def broken(self: Archive) -> None:
        raise OSError("the disk is gone")

    monkeypatch.setattr(Archive, "close", broken)
    with pytest.raises(http.client.IncompleteRead):
        ask(server, "archive", "hw")
    seen = "".join(capfd.readouterr())
    assert ("broke off" in seen, "the disk is gone" in seen) == (True, False)


def test_names_that_are_no_text(server: Server, home: Path) -> None:
    name = b"caf\xe9 %2e #?&=\n"
    Path(os.fsdecode(os.path.join(os.fsencode(home / "hw"), name))).write_text("old")
    found = [each["name"] for each in asked(server, "list", "hw")["entries"]]
    assert os.fsencode(found[0]) == name
    assert ask(server, "file", f"hw/{found[0]}") == (200, b"old")


def test_of_very_many_entries_the_first_are_listed(server: Server, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "MOST_ENTRIES", 3)
    found = asked(server, "list")
    assert ([each["name"] for each in found["entries"]], found["more"]) == (["hw", "pipe", "to-file"], 3)


def test_who_lists_a_folder_takes_no_names_from_another(home: Path) -> None:
    top = os.open(home, FOLDER)
    with os.scandir(top) as another:
        next(another)
        folder = below(top, [], "the disk")
        assert {b"hw", b"pipe"} <= set(names_in(folder, top=True))
    os.close(folder)
    os.close(top)


def test_each_answer_is_the_last_of_its_connection(server: Server) -> None:
    with closing(http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=10)) as connection:
        for what, status in (("list", 200), ("file", 404), ("archive", 200)):
            connection.request("GET", f"/{what}?path=hw", headers={"Authorization": f"Bearer {TOKEN}"})
            answer = connection.getresponse()
            assert (answer.status, answer.headers["Connection"]) == (status, "close")
            answer.read()


def test_a_disk_that_fails_is_an_answer(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_words: Any, **_options: Any) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(reader, "_entry", broken)
    status, body = ask(server, "list", "hw")
    assert (status, json.loads(body)) == (
        404,
        {"error": "What is in the folder 'hw' cannot be read: Input/output error."},
    )
