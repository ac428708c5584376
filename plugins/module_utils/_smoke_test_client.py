# Copyright: campus.jupyterhub contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a browser does, without a browser: cookies, forms, redirects, event streams and a kernel's websocket."""

from __future__ import annotations

import json
import socket
import ssl
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlencode, urljoin, urlsplit

from ansible.module_utils.urls import Request

try:
    import websocket
except ImportError:  # the module says so before it gets here
    websocket = None

BODY_SHOWN = 300


class Refused(Exception):
    """The hub, the proxy or the student's server did not do what was asked; the text is for staff."""


@dataclass
class Deadline:
    """The moment by which everything must be done.

    Attributes:
        seconds: time allowed from now, in seconds.
        clock: a monotonic clock in seconds.
    """

    seconds: float
    clock: Callable[[], float] = time.monotonic
    end: float = field(init=False)

    def __post_init__(self) -> None:
        self.end = self.clock() + self.seconds

    def left(self) -> float:
        """Seconds left, never none; raises Refused when the time is up."""
        left = self.end - self.clock()
        if left <= 0:
            raise Refused(f"not done within {self.seconds:g} s")
        return left


@dataclass
class Answer:
    """A whole HTTP answer.

    Attributes:
        status: HTTP status.
        url: address after redirects.
        body: the text.
    """

    status: int
    url: str
    body: str

    def json(self) -> Any:
        """The body as JSON; raises Refused when it is none."""
        try:
            return json.loads(self.body)
        except ValueError:
            raise Refused(f"{self.url} did not answer with JSON but with: {shown(self.body)}") from None


def shown(body: str) -> str:
    """The words of an answer that are worth showing: its JSON message, or its beginning."""
    try:
        message = json.loads(body)["message"]
    except (ValueError, KeyError, TypeError):
        message = body
    text = " ".join(str(message).split())
    return text[:BODY_SHOWN] or "nothing"


def is_below(host: str, domain: str) -> bool:
    """Say whether a host is that of a domain or has a name below it."""
    return f".{host}".lower().endswith(f".{domain}".lower())


class Client:
    """A visitor of the hub's public address, with a token or with the cookies of a login.

    Attributes:
        url: the hub's public address, ending in "/".
    """

    def __init__(
        self,
        url: str,
        deadline: Deadline,
        token: str = "",
        validate_certs: bool = True,
        ca_path: str | None = None,
        *,
        connect_to: str = "",
    ) -> None:
        """``connect_to`` is the address at which the hub's host, and every name below it, is to be found."""
        self.url = url.rstrip("/") + "/"
        self._host = urlsplit(self.url).hostname or ""
        self._connect_to = connect_to
        self._deadline = deadline
        self._headers = {"Authorization": f"token {token}"} if token else {}
        self._validate_certs = validate_certs
        self._ca_path = ca_path
        # A cookie that names no domain goes back to its own host alone, as with every browser.
        self.cookies = CookieJar(DefaultCookiePolicy(strict_ns_domain=DefaultCookiePolicy.DomainStrictNonDomain))
        self._request = Request(
            cookies=self.cookies,
            follow_redirects="all",
            validate_certs=validate_certs,
            ca_path=ca_path,
            use_netrc=False,
            use_proxy=not self._goes_direct(),
        )

    def _goes_direct(self) -> bool:
        """Whether no web proxy in between could find the way."""
        return bool(self._address(self._host)) or self._host in ("127.0.0.1", "::1")

    def _address(self, host: str) -> str:
        """The address of a host that no name server is to be asked for; empty for all others."""
        if self._connect_to and is_below(host, self._host):
            return self._connect_to
        # As browsers have it, without asking anybody.
        return "127.0.0.1" if is_below(host, "localhost") else ""

    @contextmanager
    def _finding_hosts(self) -> Iterator[None]:
        """Let this process find the hub's hosts where `_address` says, for as long as the block runs."""
        asked = socket.getaddrinfo
        if not self._address(self._host):
            yield
            return

        def answer(host: Any, *arguments: Any, **options: Any) -> Any:
            return asked(self._address(host) or host if isinstance(host, str) else host, *arguments, **options)

        socket.getaddrinfo = answer
        try:
            yield
        finally:
            socket.getaddrinfo = asked

    def cookie(self, name: str) -> str:
        """Value of the first cookie of that name, or an empty string."""
        return next((cookie.value or "" for cookie in self.cookies if cookie.name == name), "")

    def belongs(self, url: str) -> bool:
        """Say whether an address is the hub's own, or at a host below it, so that it may see the token."""
        there, here = urlsplit(urljoin(self.url, url)), urlsplit(self.url)
        usual = 443 if here.scheme == "https" else 80
        same_door = (there.scheme, there.port or usual) == (here.scheme, here.port or usual)
        return same_door and is_below(there.hostname or "", self._host)

    def ask(
        self,
        method: str,
        path: str,
        payload: Any = None,
        form: dict[str, str] | None = None,
        expected: tuple[int, ...] = (200,),
    ) -> Answer:
        """One request under the public address.

        Args:
            method: HTTP method.
            path: path below the public address, or a whole address.
            payload: sent as JSON.
            form: sent as a form.
            expected: statuses that are fine.

        Raises:
            Refused: another status, no connection, or no time left.
        """
        with self._open(method, path, payload, form) as response:
            answer = Answer(response.status, response.geturl(), response.read().decode(errors="replace"))
        if answer.status not in expected:
            raise Refused(f"{method} {answer.url} was answered with {answer.status}: {shown(answer.body)}")
        return answer

    def events(self, path: str) -> Iterator[dict[str, Any]]:
        """The JSON events of a text/event-stream until it ends; raises Refused as `ask` does."""
        with self._open("GET", path) as response:
            if response.status != 200:
                body = response.read().decode(errors="replace")
                raise Refused(f"GET {response.geturl()} was answered with {response.status}: {shown(body)}")
            while line := self._line(response):
                self._deadline.left()
                if line.startswith(b"data:"):
                    yield json.loads(line[len(b"data:") :])

    def _line(self, response: Any) -> bytes:
        try:
            return bytes(response.readline())
        except OSError as error:
            self._deadline.left()
            raise Refused(f"the connection broke off: {error}") from error

    def _open(self, method: str, path: str, payload: Any = None, form: dict[str, str] | None = None) -> Any:
        url = urljoin(self.url, path.lstrip("/"))
        headers = dict(self._headers)
        data = None
        if payload is not None:
            headers["Content-Type"] = "application/json"
            data = json.dumps(payload)
        if form is not None:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
            data = urlencode(form)
        try:
            with self._finding_hosts():
                return self._request.open(method, url, data=data, headers=headers, timeout=self._deadline.left())
        except HTTPError as error:
            return error
        except (URLError, OSError, ValueError) as error:
            self._deadline.left()
            raise Refused(f"{method} {url}: {getattr(error, 'reason', error)}") from error

    def execute(self, path: str, code: str) -> str:
        """Run code on the kernel whose channels are at that path, over a websocket as the browser does.

        Returns:
            What the cell printed and its result, as text.

        Raises:
            Refused: no connection, an error raised by the code, or no time left.
        """
        session = uuid.uuid4().hex
        url = urljoin(self.url, path.lstrip("/")) + f"?session_id={session}"
        channels = self._connect("ws" + url[len("http") :])
        try:
            message = uuid.uuid4().hex
            channels.send(json.dumps(execute_request(session, message, code)))
            return self._output(channels, message)
        except (OSError, websocket.WebSocketException) as error:
            self._deadline.left()
            raise Refused(f"the kernel's websocket broke off: {error or type(error).__name__}") from error
        finally:
            channels.close()

    def _connect(self, url: str) -> Any:
        sslopt: dict[str, Any] = {}
        if not self._validate_certs:
            sslopt = {"cert_reqs": ssl.CERT_NONE, "check_hostname": False}
        elif self._ca_path:
            sslopt = {"ca_certs": self._ca_path}
        no_proxy = ["*"] if self._goes_direct() else None
        try:
            with self._finding_hosts():
                return websocket.create_connection(
                    url, timeout=self._deadline.left(), header=self._headers, sslopt=sslopt, http_no_proxy=no_proxy
                )
        except (OSError, websocket.WebSocketException) as error:
            self._deadline.left()
            raise Refused(f"no websocket to {url.partition('?')[0]}: {error}") from error

    def _output(self, channels: Any, message: str) -> str:
        """Collect what the kernel says to one request until it is idle again."""
        output: list[str] = []
        idle = replied = False
        while not (idle and replied):
            channels.settimeout(self._deadline.left())
            text = channels.recv()
            if not text:
                raise Refused("the kernel's websocket was closed before the cell was done")
            received = json.loads(text)
            if received.get("parent_header", {}).get("msg_id") != message:
                continue
            content = received["content"]
            kind = received["header"]["msg_type"]
            if kind == "stream":
                output.append(content["text"])
            elif kind == "execute_result":
                output.append(content["data"]["text/plain"])
            elif kind == "error":
                raise Refused(f"the cell failed with {content['ename']}: {content['evalue']}")
            idle = idle or (kind == "status" and content["execution_state"] == "idle")
            replied = replied or kind == "execute_reply"
        return "".join(output)


def execute_request(session: str, message: str, code: str) -> dict[str, Any]:
    """Jupyter's message that asks a kernel to run a cell."""
    return {
        "header": {
            "msg_id": message,
            "username": "",
            "session": session,
            "msg_type": "execute_request",
            "version": "5.3",
            "date": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        },
        "parent_header": {},
        "metadata": {},
        "content": {"code": code, "silent": False, "store_history": False, "allow_stdin": False, "stop_on_error": True},
        "channel": "shell",
    }
