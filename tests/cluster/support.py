"""What the cluster tests share: the site under test, its Kubernetes, and students who use the hub's REST API."""

from __future__ import annotations

import base64
import json
import os
import re
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

import websocket
from ansible_collections.campus.jupyterhub.plugins.module_utils._smoke_test_client import (
    Answer,
    Client,
    Deadline,
    Refused,
    execute_request,
)
from kubernetes import client, config
from kubernetes.stream import stream

SITE = "JUPYTERHUB_SITE"
CHECKOUT = Path(__file__).resolve().parents[2]
TOOLS = Path(sys.executable).parent
INVENTORIES = ("inventories/kind", "molecule/inventory")
REQUEST_SECONDS = 120.0
PLAYBOOK_SECONDS = 1200.0
POLL_SECONDS = 0.2
STUDENTS = "app=jupyterhub,component=singleuser-server"
ROUTES = "app=jupyterhub,component=route"
USERNAME = "hub.jupyter.org/username"
SERVER = "hub.jupyter.org/servername"
HUB = "app=jupyterhub,component=hub"
SERVING_HUB = f"{HUB},hub-active=true"
POSTGRES = "app=postgres"
Json = dict[str, Any]
T = TypeVar("T")


def wait_until(what: str, condition: Callable[[], T], seconds: float) -> T:
    """Return the condition's first true value; fails after that many seconds, naming what was awaited."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < end, f"not within {seconds:g} s: {what}"
        time.sleep(POLL_SECONDS)


def run_playbook(name: str, *options: str) -> subprocess.CompletedProcess[str]:
    """Run a playbook with the inventories of the tests, and return how it ended and what it said."""
    sources = [f"--inventory={each}" for each in INVENTORIES]
    command = [str(TOOLS / "ansible-playbook"), *sources, name, *options]
    return subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=False, timeout=PLAYBOOK_SECONDS)


def playbook(name: str, *options: str) -> dict[str, int]:
    """Run a playbook with the inventories of the tests; returns its recap's numbers, fails when it fails."""
    run = run_playbook(name, *options)
    assert run.returncode == 0, run.stdout[-6000:] + run.stderr[-2000:]
    return recap_of(run.stdout)


def recap_of(output: str) -> dict[str, int]:
    """The numbers of a play recap: ok, changed, failed and so on."""
    (recap,) = re.findall(r"^localhost +: (ok=.*)$", output, re.MULTILINE)
    return {key: int(number) for key, number in re.findall(r"(\w+)=(\d+)", recap)}


@dataclass
class Site:
    """The hub under test, as its site.json describes it.

    Attributes:
        facts: the file's content.
        folder: the build folder that it lies in.
    """

    facts: Json
    folder: Path

    @classmethod
    def load(cls) -> Site:
        """Read the file that the environment names."""
        path = Path(os.environ[SITE])
        return cls(json.loads(path.read_text()), path.parent)

    @property
    def url(self) -> str:
        return str(self.facts["url"]).rstrip("/")

    @property
    def namespace(self) -> str:
        return str(self.facts["namespace"])


class Kube:
    """The cluster of a site, with the client that Kubernetes ships."""

    def __init__(self, site: Site) -> None:
        self.namespace = site.namespace
        api = config.new_client_from_config(site.facts["kubeconfig"], site.facts["context"])
        self.core = client.CoreV1Api(api)
        self.apps = client.AppsV1Api(api)
        self.discovery = client.DiscoveryV1Api(api)
        self._exec_api = config.new_client_from_config(site.facts["kubeconfig"], site.facts["context"])

    def pods(self, selector: str, namespace: str | None = None) -> list[Any]:
        """Pods that match a label selector."""
        pods: list[Any] = self.core.list_namespaced_pod(namespace or self.namespace, label_selector=selector).items
        return pods

    def pod_of(self, student: str) -> Any:
        """The pod of a student's own server."""
        found = [pod for pod in self.pods(STUDENTS) if pod.metadata.annotations[USERNAME] == student]
        assert len(found) == 1, f"{student} has {len(found)} pods"
        return found[0]

    def secret(self, name: str, key: str) -> str:
        """One value of a Secret, as text."""
        data = self.core.read_namespaced_secret(name, self.namespace).data
        return base64.b64decode(data[key]).decode()

    def scale_hub(self, replicas: int) -> None:
        """Set the number of hub pods and wait until that many run and are ready."""
        self.apps.patch_namespaced_deployment_scale("hub", self.namespace, {"spec": {"replicas": replicas}})
        wait_until(f"{replicas} hub pods", lambda: len(self.pods(HUB)) == replicas, 120)
        wait_until("the hub is ready", lambda: all(ready(pod) for pod in self.pods(HUB)), 120)
        wait_until("a hub serves", lambda: not replicas or self.pods(SERVING_HUB), 30)

    def replace_hub(self) -> None:
        """Delete the pod of the hub that serves and wait until another one does."""
        (pod,) = filter(ready, self.pods(SERVING_HUB))
        self.core.delete_namespaced_pod(pod.metadata.name, self.namespace)
        wait_until("another hub serves", lambda: [each for each in self.pods(SERVING_HUB) if ready(each)], 120)

    def run_in(self, pod: Any, *command: str) -> str:
        """Output of a command in the first container of a pod."""
        core = client.CoreV1Api(self._exec_api)
        return str(
            stream(
                core.connect_get_namespaced_pod_exec,
                pod.metadata.name,
                pod.metadata.namespace,
                container=pod.spec.containers[0].name,
                command=list(command),
                stdout=True,
                stderr=True,
            )
        )

    def sql(self, query: str, database: str = "postgres") -> str:
        """The answer of the PostgreSQL beside the hub."""
        (pod,) = filter(ready, self.pods(POSTGRES))
        psql = 'PGPASSWORD=$POSTGRES_PASSWORD /usr/lib/postgresql/15/bin/psql -h /tmp -U hub -Atc "$0" "$1"'
        return self.run_in(pod, "sh", "-c", psql, query, database)

    def log_of(self, pod: str) -> str:
        """What a pod has written so far; empty before its container runs."""
        try:
            return str(self.core.read_namespaced_pod_log(pod, self.namespace))
        except client.ApiException as error:
            if error.status != 400:
                raise
            return ""

    def events_of(self, name: str) -> str:
        """Messages of the events about an object, as one text."""
        events = self.core.list_namespaced_event(self.namespace, field_selector=f"involvedObject.name={name}").items
        return "\n".join(f"{event.reason}: {event.message}" for event in events)


def ready(pod: Any) -> bool:
    """Say whether a pod is ready and not on its way out."""
    conditions = {each.type: each.status for each in pod.status.conditions or []}
    return conditions.get("Ready") == "True" and pod.metadata.deletion_timestamp is None


class Student:
    """A student who logged in by the form and goes on with an API token of their own.

    Attributes:
        home: where the student's server is, below the hub's address or, with ``own_host``, at a host of its own.
    """

    def __init__(
        self, url: str, name: str, password: str, *, own_host: bool = False, typed: str = "", **reach: Any
    ) -> None:
        """``typed`` is typed at the login where that is not the name; ``reach`` is how to get there, as for Client."""
        self.url = url
        self.name = name
        self._typed = typed or name
        self.password = password
        scheme, _colon, host = url.partition("://")
        # As JupyterHub writes it: a student's server knows its own address in this form alone.
        path = f"user/{quote(name, safe='@~')}"
        self.home = f"{scheme}://{name}.{host}/{path}" if own_host else path
        self._reach = reach
        self._user_api = f"hub/api/users/{quote(name)}"
        self.token = self._log_in()

    def _log_in(self) -> str:
        browser = Client(self.url, Deadline(REQUEST_SECONDS), **self._reach)
        browser.ask("GET", "hub/login")
        form = {"username": self._typed, "password": self.password, "_xsrf": browser.cookie("_xsrf")}
        browser.ask("POST", "hub/login?next=%2Fhub%2Fhome", form=form)
        payload = {"note": "test", "expires_in": 3600}
        path = f"{self._user_api}/tokens?_xsrf={quote(browser.cookie('_xsrf'))}"
        return str(browser.ask("POST", path, payload=payload, expected=(201,)).json()["token"])

    def log_in_again(self) -> None:
        """Go on with a token of a new login, where the hub has forgotten the old one."""
        self.token = self._log_in()

    @property
    def client(self) -> Client:
        """A client with the student's token, good for one request or one stream of events."""
        return Client(self.url, Deadline(REQUEST_SECONDS), self.token, **self._reach)

    def ask(self, method: str, path: str, payload: Any = None, expected: tuple[int, ...] = (200,)) -> Answer:
        """One request below the hub's public address."""
        return self.client.ask(method, path, payload=payload, expected=expected)

    def reaches_hub(self) -> bool:
        """Say whether the hub answers."""
        try:
            self.ask("GET", "hub/health")
        except Refused:
            return False
        return True

    def servers(self) -> Json:
        """The student's servers that run, start or stop, by name."""
        servers: Json = self.ask("GET", self._user_api).json()["servers"]
        return servers

    def start(self, server: str = "") -> None:
        """Start the student's own or a named server, unless it runs, and wait until it is ready."""
        if self.servers().get(server, {}).get("ready"):
            return
        path = f"{self._user_api}/servers/{server}" if server else f"{self._user_api}/server"
        self.ask("POST", path, {}, (201, 202))
        events = list(self.client.events(f"{path}/progress"))
        assert events, "the hub reported no progress"
        assert events[-1].get("ready"), events[-1]

    def stop(self, server: str = "") -> None:
        """Stop a server and wait until it is gone."""
        path = f"{self._user_api}/servers/{server}" if server else f"{self._user_api}/server"
        self.ask("DELETE", path, expected=(202, 204))
        wait_until(f"the server of {self.name} is stopped", lambda: server not in self.servers(), 60)

    def kernel(self) -> str:
        """Start a kernel and return the path of its channels."""
        identity = self.ask("POST", f"{self.home}/api/kernels", {}, (201,)).json()["id"]
        return f"{self.home}/api/kernels/{identity}/channels"

    def run(self, code: str) -> str:
        """Run code in a kernel of its own and return what it printed."""
        channels = self.kernel()
        try:
            return self.client.execute(channels, code)
        finally:
            self.ask("DELETE", channels.removesuffix("/channels"), expected=(204,))

    def write(self, name: str, text: str) -> None:
        """Write a text file into the home folder as Lab saves one."""
        payload = {"type": "file", "format": "text", "content": text}
        self.ask("PUT", f"{self.home}/api/contents/{quote(name)}", payload, (200, 201))

    def read(self, name: str) -> str:
        """Content of a text file of the home folder."""
        return str(self.ask("GET", f"{self.home}/api/contents/{quote(name)}?type=file&format=text").json()["content"])


COUNT = """
import os, time
n = 0
while not os.path.exists('{stop}'):
    print(n, flush=True)
    n += 1
    time.sleep(0.2)
print('end', flush=True)
"""


class Counter(threading.Thread):
    """A kernel that counts aloud, five numbers a second, and the one websocket that listens to it.

    Attributes:
        lines: what was heard so far.
        broken: why the websocket ended too early; empty while it has not.
    """

    def __init__(self, student: Student) -> None:
        super().__init__(daemon=True)
        self.lines: list[str] = []
        self.broken = ""
        self._student = student
        self._stop_file = f"stop-counting-{uuid.uuid4().hex}"
        self._channels = student.kernel()
        address = f"ws{student.url.removeprefix('http')}/{self._channels}?session_id={uuid.uuid4().hex}"
        self._socket = websocket.create_connection(
            address, timeout=REQUEST_SECONDS, header={"Authorization": f"token {student.token}"}, http_no_proxy=["*"]
        )
        self.start()

    def run(self) -> None:
        """Listen until the kernel says that it has ended."""
        code = COUNT.format(stop=self._stop_file)
        self._socket.send(json.dumps(execute_request(uuid.uuid4().hex, uuid.uuid4().hex, code)))
        text = ""
        try:
            while "end\n" not in text:
                received = self._socket.recv()
                if not received:
                    self.broken = "the websocket was closed"
                    return
                message = json.loads(received)
                if message["header"]["msg_type"] == "stream":
                    text += message["content"]["text"]
                    self.lines = text.split("\n")[:-1]
        except (OSError, websocket.WebSocketException) as error:
            self.broken = f"the websocket broke off: {error}"

    def more(self, count: int, seconds: float = 30.0) -> None:
        """Wait for that many more numbers."""
        wanted = len(self.lines) + count
        wait_until(f"{count} more numbers", lambda: self.broken or len(self.lines) >= wanted, seconds)
        assert not self.broken

    def end(self) -> list[str]:
        """Ask the kernel to end, through the student's server, and return everything heard but the last word."""
        self._student.write(self._stop_file, "")
        self.join(REQUEST_SECONDS)
        self._student.ask("DELETE", f"{self._student.home}/api/contents/{self._stop_file}", expected=(204,))
        self._socket.close()
        self._student.ask("DELETE", self._channels.removesuffix("/channels"), expected=(204,))
        assert not self.broken
        assert self.lines[-1] == "end"
        return self.lines[:-1]
