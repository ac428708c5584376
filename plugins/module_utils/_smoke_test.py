# Copyright: campus.jupyterhub contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The smoke test: what a student does on the first morning, step by step, through the public address."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urljoin, urlsplit

from ansible_collections.campus.jupyterhub.plugins.module_utils._smoke_test_client import Client, Deadline, Refused

POLL_SECONDS = 0.2
CLEAN_UP_SECONDS = 20.0


class StepFailed(Exception):
    """A step of the smoke test did not succeed.

    Attributes:
        step: its name.
        reason: one sentence.
    """

    def __init__(self, step: str, reason: str) -> None:
        super().__init__(f"{step}: {reason}")
        self.step = step
        self.reason = reason


@dataclass
class SmokeTest:
    """The canary student's visit.

    Attributes:
        url: the hub's public address.
        user: name of the canary student.
        token: API token of the canary service.
        password: password for the hub's login form; empty: the token alone is used.
        seconds: time allowed for all steps together, in seconds.
        validate_certs: check the certificate of an https address.
        ca_path: certificates to check with instead of the machine's own.
        connect_to: address of the hub's host and every name below it; empty: as name servers say.
        steps: name and duration in seconds of each step done.
    """

    url: str
    user: str
    token: str
    password: str = ""
    seconds: float = 120.0
    validate_certs: bool = True
    ca_path: str | None = None
    connect_to: str = ""
    steps: list[dict[str, Any]] = field(default_factory=list)
    _started: bool = False

    def __post_init__(self) -> None:
        deadline = Deadline(self.seconds)
        self._deadline = deadline
        self._api = self._client(deadline, self.token)
        self._browser = self._client(deadline, "") if self.password else self._api
        self._user_api = f"hub/api/users/{quote(self.user, safe='')}"
        self._home = ""
        self._kernel = ""

    def _client(self, deadline: Deadline, token: str) -> Client:
        return Client(self.url, deadline, token, self.validate_certs, self.ca_path, connect_to=self.connect_to)

    def run(self) -> None:
        """Do every step; raises StepFailed at the first that does not succeed."""
        everything: list[tuple[str, Callable[[], None]]] = [
            ("log in", self._log_in),
            ("start the server", self._start_server),
            ("open the server", self._open_server),
            ("start a kernel", self._start_kernel),
            ("run 1+1", self._run_cell),
            ("stop the server", self._stop_server),
        ]
        for name, step in everything:
            begun = time.monotonic()
            try:
                step()
            except Refused as refused:
                raise StepFailed(name, str(refused)) from refused
            self.steps.append({"name": name, "seconds": round(time.monotonic() - begun, 2)})

    def clean_up(self) -> None:
        """Stop the canary's server after a failed step, as far as that is possible."""
        if not self._started:
            return
        api = self._client(Deadline(CLEAN_UP_SECONDS), self.token)
        with contextlib.suppress(Refused):
            api.ask("DELETE", f"{self._user_api}/server", expected=(202, 204))

    def _log_in(self) -> None:
        if self.password:
            self._browser.ask("GET", "hub/login")
            form = {"username": self.user, "password": self.password, "_xsrf": self._browser.cookie("_xsrf")}
            home = quote(f"{urlsplit(self._browser.url).path}hub/home", safe="")
            answer = self._browser.ask("POST", f"hub/login?next={home}", form=form, expected=(200, 403))
            if answer.status == 403 or "/hub/login" in answer.url:
                raise Refused(f"the login form refused {self.user!r} with the shared password")
        user = self._api.ask("GET", self._user_api, expected=(200, 404))
        if user.status == 404:
            self._api.ask("POST", self._user_api, expected=(201, 409))

    def _start_server(self) -> None:
        if self._servers():
            self._stop_server()
        self._started = True
        answer = self._api.ask("POST", f"{self._user_api}/server", payload={}, expected=(201, 202))
        if answer.status == 201:
            return
        said = "none"
        try:
            for event in self._api.events(f"{self._user_api}/server/progress"):
                said = str(event.get("message") or said)
                if event.get("ready"):
                    return
        except Refused as refused:
            raise Refused(f"{refused}; the hub's last words: {said}") from refused
        raise Refused(f"the hub's last words: {said}")

    def _open_server(self) -> None:
        # Where each student has a host of their own, the hub alone knows which.
        home = self._servers().get("", {}).get("url", "")
        if not home or not self._api.belongs(home):
            raise Refused(f"the hub says that the server is at {home or 'no address'}, which is not below its own")
        self._home = urljoin(self._api.url, home).rstrip("/")
        self._api.ask("GET", f"{self._home}/api/status")
        if self.password:
            page = self._browser.ask("GET", f"{self._home}/lab")
            if not page.url.startswith(f"{self._home}/"):
                raise Refused(f"the browser was sent to {page.url} instead of the student's own server")

    def _start_kernel(self) -> None:
        kernel = self._api.ask("POST", f"{self._home}/api/kernels", payload={}, expected=(201,)).json()
        self._kernel = kernel["id"]

    def _run_cell(self) -> None:
        output = self._api.execute(f"{self._home}/api/kernels/{self._kernel}/channels", "1+1")
        if output.strip() != "2":
            raise Refused(f"the kernel answered {output.strip()!r} instead of '2'")

    def _stop_server(self) -> None:
        self._api.ask("DELETE", f"{self._user_api}/server", expected=(202, 204))
        while self._servers():
            self._deadline.left()
            time.sleep(POLL_SECONDS)
        self._started = False

    def _servers(self) -> dict[str, Any]:
        """The canary's running servers, as the hub reports them."""
        servers: dict[str, Any] = self._api.ask("GET", self._user_api).json().get("servers") or {}
        return servers
