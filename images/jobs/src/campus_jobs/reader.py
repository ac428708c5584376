"""Shows the disk made from a snapshot over HTTP, to the one who knows its token: folders, files, and folders packed.

    python -m campus_jobs.reader --snapshot=FOLDER --proof=HASH

``HASH`` is the SHA-256 of the token, so that who may look at the pod does not learn the token itself. Nothing is ever
written, and no link is followed.
"""

from __future__ import annotations

import argparse
import hashlib
import hmac
import json
import os
import shutil
import signal
import stat
import sys
from collections.abc import Callable
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler
from typing import Any, Final
from urllib.parse import unquote_to_bytes, urlsplit

from campus_jobs.archive import CHUNK, Archive
from campus_jobs.dual_stack import DualStackServer
from campus_jobs.hashes import kind_of, names_in
from campus_jobs.trees import FOLDER, READ, RefusedError, below, missing, parts_of

PORT: Final = 8080
SNAPSHOT: Final = "the snapshot"
MOST_ENTRIES: Final = 5000
QUERY: Final = "path="

Json = dict[str, Any]


def proof_of(token: str) -> str:
    """Return what the reader is told of its token."""
    return hashlib.sha256(token.encode()).hexdigest()


def names_of(path: str) -> list[bytes]:
    """Return the names of a path, none for the home itself; raises RefusedError when it leads out."""
    return parts_of(path) if path else []


def listing(top: int, path: str) -> Json:
    """Return what is in a folder, the first MOST_ENTRIES by name, and how many more there are.

    Raises:
        RefusedError: there is no such folder, or it cannot be read.
    """
    names = names_of(path)
    folder = below(top, names, SNAPSHOT)
    try:
        found = names_in(folder, top=not names)
        return {
            "entries": [_entry(folder, name) for name in found[:MOST_ENTRIES]],
            "more": max(0, len(found) - MOST_ENTRIES),
        }
    except OSError as error:
        # Such as one whose names may be listed and nothing in it opened: said, and not a reader that breaks off.
        raise RefusedError(f"What is in the folder '{path}' cannot be read: {error.strerror}.") from error
    finally:
        os.close(folder)


def _entry(folder: int, name: bytes) -> Json:
    status = os.lstat(name, dir_fd=folder)
    kind = kind_of(status.st_mode)
    # A name that is no UTF-8 gets through JSON as surrogates, of which the other side makes the same bytes.
    return {"name": os.fsdecode(name), "kind": kind, "size": status.st_size, "changed": status.st_mtime}


def open_file(top: int, path: str) -> int:
    """Open a file for reading and return its descriptor.

    Raises:
        RefusedError: there is none, or it may not be read.
    """
    names = parts_of(path)
    folder = below(top, names[:-1], SNAPSHOT)
    try:
        descriptor = os.open(names[-1], READ, dir_fd=folder)
        if stat.S_ISREG(os.fstat(descriptor).st_mode):
            return descriptor
        os.close(descriptor)
    except FileNotFoundError as error:
        raise RefusedError(missing(folder, names, SNAPSHOT)) from error
    except OSError as error:
        raise RefusedError(f"'{path}' is a link or cannot be read.") from error
    finally:
        os.close(folder)
    raise RefusedError(f"'{path}' is no file.")


class Chunks:
    """A body whose length nobody knows yet; without its end the other side sees that it is not whole."""

    def __init__(self, send: Callable[[bytes], Any]) -> None:
        self._send = send
        self.given_up = False
        """Whether nothing more is sent: a ZIP file that is forgotten still writes its end."""

    def write(self, data: bytes) -> int:
        """Send a chunk."""
        if data and not self.given_up:
            self._send(b"%x\r\n%b\r\n" % (len(data), data))
        return len(data)

    def flush(self) -> None:
        """Do nothing: each chunk was sent at once."""

    def close(self) -> None:
        """Send the end."""
        self._send(b"0\r\n\r\n")


class Server(DualStackServer):
    """Answers for one snapshot."""

    def __init__(self, port: int, top: int, proof: str) -> None:
        """``top`` is the open top folder of the disk; ``port`` may be 0 for any that is free."""
        self.top, self.proof = top, proof
        super().__init__(port, Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say that an answer broke off, without names of files: a student who goes away is nothing unusual."""
        print(f"An answer broke off: {sys.exc_info()[0]}", flush=True)


class Handler(BaseHTTPRequestHandler):
    """Answers one request."""

    protocol_version = "HTTP/1.1"
    timeout = 60
    server: Server

    def do_GET(self) -> None:
        """Answer /list, /file and /archive, each with ?path= in percent-encoding."""
        asked = urlsplit(self.path)
        if not self._trusted():
            self._answer(401, {"error": "Only the page of the students' files may ask."})
            return
        path = os.fsdecode(unquote_to_bytes(asked.query.removeprefix(QUERY)))
        try:
            if asked.path == "/list":
                self._answer(200, listing(self.server.top, path))
            elif asked.path == "/file":
                self._send_file(path)
            elif asked.path == "/archive":
                self._send_archive(path)
            else:
                self._answer(404, {"error": "There is nothing here."})
        except RefusedError as error:
            self._answer(404, {"error": str(error)})

    def _trusted(self) -> bool:
        token = self.headers.get("Authorization", "").removeprefix("Bearer ")
        return hmac.compare_digest(proof_of(token), self.server.proof)

    def _send_file(self, path: str) -> None:
        with os.fdopen(open_file(self.server.top, path), "rb") as file:
            self.send_response(200)
            self.send_header("Content-Length", str(os.fstat(file.fileno()).st_size))
            self.end_headers()
            shutil.copyfileobj(file, self.wfile, CHUNK)

    def _send_archive(self, path: str) -> None:
        names = names_of(path)
        with ExitStack() as opened:
            folder = below(self.server.top, names, SNAPSHOT)
            opened.callback(os.close, folder)
            self.send_response(200)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            body = Chunks(self.wfile.write)
            archive = Archive(body)
            try:
                archive.add_folder(folder, (names[-1] if names else b"home",), top=not names)
                archive.close()
            except BaseException:
                body.given_up = True
                raise
            body.close()

    def end_headers(self) -> None:
        """Say that each answer is the connection's last, so that nobody asks again on one that is about to end."""
        self.send_header("Connection", "close")
        super().end_headers()

    def _answer(self, status: int, body: Json) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing: names of files are nobody else's business."""


def main() -> None:
    """Run until told to end."""
    parser = argparse.ArgumentParser(description="Show the disk made from a snapshot over HTTP.")
    parser.add_argument("--snapshot", required=True)
    parser.add_argument("--proof", required=True)
    parser.add_argument("--port", type=int, default=PORT)
    options = parser.parse_args()
    # The first process of a container has to say itself what ends it.
    signal.signal(signal.SIGTERM, lambda *_unused: sys.exit(0))
    Server(options.port, os.open(options.snapshot, FOLDER), options.proof).serve_forever()


if __name__ == "__main__":
    main()
