"""The hub's database is lost, or an older copy is put in its place, while students work."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from ansible_collections.campus.jupyterhub.tests.browser.student import Student as BrowserStudent
from ansible_collections.campus.jupyterhub.tests.cluster.support import (
    SERVING_HUB,
    STUDENTS,
    USERNAME,
    Counter,
    Kube,
    Site,
    Student,
    ready,
    wait_until,
)
from playwright.sync_api import Browser

DATABASE = "/srv/jupyterhub/jupyterhub.sqlite"
COPY = "/srv/jupyterhub/copy.sqlite"
# sqlite's own way to copy a file that is being written to.
BACKUP = f"import sqlite3; sqlite3.connect('{DATABASE}').backup(sqlite3.connect('{COPY}'))"


def in_hub(kube: Kube, *command: str) -> None:
    """Run a command in the hub's pod; it must say nothing."""
    (pod,) = filter(ready, kube.pods(SERVING_HUB))
    assert kube.run_in(pod, *command) == ""


def put_back(kube: Kube, student: Student) -> None:
    """Let a hub start from the copy of the database."""
    in_hub(kube, "mv", COPY, DATABASE)
    kube.replace_hub()
    wait_until("the hub answers", student.reaches_hub, 60)


@pytest.fixture
def frida(site: Site, password: str) -> Student:
    """A student whose server runs."""
    student = Student(site.url, "frida", password)
    student.start()
    return student


@pytest.fixture
def copy(kube: Kube, frida: Student) -> Iterator[None]:
    """A copy of the database, which is put back afterwards: other tests are logged in."""
    in_hub(kube, "python3", "-c", BACKUP)
    yield
    put_back(kube, frida)


@pytest.mark.usefixtures("copy")
def test_a_lost_database_costs_a_working_student_one_login(
    site: Site, browser: Browser, kube: Kube, frida: Student
) -> None:
    before = kube.pod_of(frida.name).metadata.uid
    counter = Counter(frida)
    counter.more(5)

    in_hub(kube, "rm", DATABASE)
    kube.replace_hub()
    wait_until("the hub answers", frida.reaches_hub, 60)
    counter.more(5)
    # Who was logged in is forgotten, ...
    frida.ask("GET", "hub/api/user", expected=(403,))
    # ... and what was running is not.
    frida.log_in_again()
    wait_until("the server is known", lambda: frida.servers().get("", {}).get("ready"), 60)
    with BrowserStudent(browser, site.url, frida.name) as window:
        window.log_in_at_server(frida.password)
        counter.more(5)
        heard = counter.end()
        assert heard == [str(number) for number in range(len(heard))]
        assert kube.pod_of(frida.name).metadata.uid == before
        window.stop_server()
    assert frida.name not in {pod.metadata.annotations[USERNAME] for pod in kube.pods(STUDENTS)}


def test_an_older_database_learns_of_a_server_that_was_started_since(
    site: Site, browser: Browser, kube: Kube, frida: Student
) -> None:
    in_hub(kube, "python3", "-c", BACKUP)
    frida.stop()
    frida.start()
    before = kube.pod_of(frida.name).metadata.uid
    counter = Counter(frida)
    counter.more(5)

    put_back(kube, frida)
    counter.more(5)
    wait_until("the server is known", lambda: frida.servers().get("", {}).get("ready"), 60)
    with BrowserStudent(browser, site.url, frida.name) as window:
        window.log_in_at_server(frida.password)
    heard = counter.end()
    assert heard == [str(number) for number in range(len(heard))]
    assert kube.pod_of(frida.name).metadata.uid == before
    frida.stop()
