"""A student who starts a server while something is broken, and looks whether every replica leads to it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from urllib.parse import urlsplit

from ansible_collections.campus.jupyterhub.plugins.module_utils._smoke_test_client import Client, Deadline, Refused
from ansible_collections.campus.jupyterhub.tests.cluster.support import Student, wait_until

ATTEMPT_SECONDS = 5.0
START_SECONDS = 300.0
LOOKS = 12
RIGHT = "its own"
SHOWN_BYTES = 200
"""How much of a wrong answer is shown."""


@dataclass
class Newcomer:
    """Starts and stops one student's server, patiently: a request that fails is sent again.

    Attributes:
        student: whose server it is; logged in before anything broke.
    """

    student: Student

    def reaches_hub(self) -> bool:
        """Whether the hub answers at all."""
        return self._hears("hub/health")

    def is_known(self) -> bool:
        """Whether the hub answers with what its database has of the student."""
        return self._hears(f"hub/api/users/{self.student.name}")

    def _hears(self, path: str) -> bool:
        try:
            self._client().ask("GET", path)
        except Refused:
            return False
        return True

    def start(self) -> float:
        """Start the server; returns after how many seconds the hub said that it is ready."""
        began = time.monotonic()
        wait_until(f"the server of {self.student.name} is ready", self._is_ready, START_SECONDS)
        return time.monotonic() - began

    def stop(self) -> None:
        """Stop the server, if it runs."""
        wait_until(f"the server of {self.student.name} is gone", self._is_gone, START_SECONDS)

    def wrong_answers(self) -> list[str]:
        """What was answered to a dozen requests over new connections, but not by the new server."""
        asked = f"something answers for the server of {self.student.name}"
        answers = [wait_until(asked, self._answer, START_SECONDS) for _unused in range(LOOKS)]
        return [answer for answer in answers if answer != RIGHT]

    def _answer(self) -> str:
        """Ask the server for its kernels; returns what answered, empty for nothing.

        A redirect is not followed: one to the hub and back is wrong as well.
        """
        parts = urlsplit(self.student.url)
        connection = HTTPConnection(parts.hostname or "", parts.port, timeout=ATTEMPT_SECONDS)
        try:
            path = f"{parts.path}/{self.student.home}/api/kernels"
            connection.request("GET", path, headers={"Authorization": f"token {self.student.token}"})
            answer = connection.getresponse()
            if answer.status == HTTPStatus.OK:
                return RIGHT
            text = answer.headers["Location"] or answer.read(SHOWN_BYTES).decode(errors="replace")
            return f"{answer.status} {' '.join(text.split())}"
        except (OSError, HTTPException):
            # No answer is no wrong one; the clients count those.
            return ""
        finally:
            connection.close()

    def _is_ready(self) -> bool:
        return bool(self._server("POST", (201, 202, 400, 503)).get("ready"))

    def _is_gone(self) -> bool:
        return self._server("DELETE", (202, 204, 400, 404, 503)) == {"gone": True}

    def _server(self, method: str, expected: tuple[int, ...]) -> dict[str, object]:
        """What the hub has of the server; asks for what is wanted unless it is on its way."""
        user = f"hub/api/users/{self.student.name}"
        try:
            servers = self._client().ask("GET", user).json()["servers"]
            found: dict[str, object] = servers.get("", {})
            wanted = found.get("ready") if method == "POST" else not found
            if not wanted and not found.get("pending"):
                self._client().ask(method, f"{user}/server", {} if method == "POST" else None, expected=expected)
        except Refused:
            return {}
        return found if found or method == "POST" else {"gone": True}

    def _client(self) -> Client:
        return Client(self.student.url, Deadline(ATTEMPT_SECONDS), self.student.token)
