"""Fixtures of the tests that need a running hub; JUPYTERHUB_SITE is the path of its site.json."""

from __future__ import annotations

import base64
import os
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from ansible_collections.campus.jupyterhub.tests.browser.student import chromium, launched
from ansible_collections.campus.jupyterhub.tests.cluster import fixtures
from ansible_collections.campus.jupyterhub.tests.cluster.support import SITE, Kube, Site, Student, ready
from playwright.sync_api import Browser

collect_ignore_glob = [] if SITE in os.environ else ["test_*.py"]


site, kube, password = fixtures.site, fixtures.kube, fixtures.password


@pytest.fixture(scope="session")
def ann(site: Site, password: str) -> Student:
    """A student whose server runs."""
    student = Student(site.url, "ann", password)
    student.start()
    return student


@pytest.fixture(scope="session")
def ben(site: Site, password: str) -> Student:
    """A student without a server."""
    return Student(site.url, "ben", password)


@pytest.fixture(scope="session")
def course(site: Site) -> Site:
    """The second hub, whose host no name server knows, and whose students have hosts below it."""
    facts = {"url": "https://course.test", "namespace": "course", "proxy_namespace": "course-edge"}
    return replace(site, facts={**site.facts, **facts})


@pytest.fixture(scope="session")
def course_doors(kube: Kube) -> dict[str, str]:
    """Name of a replica of the second hub's proxy to the address of its node."""
    pods = kube.pods("component=proxy", "course-edge")
    return {pod.metadata.name: pod.status.host_ip for pod in pods if ready(pod)}


@pytest.fixture(scope="session")
def course_reach(kube: Kube, course_doors: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """How to get to the second hub: to which node, and whom to trust there."""
    certificate = kube.core.read_namespaced_secret("proxy-self-signed", "course-edge").data["tls.crt"]
    path = tmp_path_factory.mktemp("course") / "proxy.pem"
    path.write_bytes(base64.b64decode(certificate))
    return {"connect_to": min(course_doors.values()), "ca_path": str(path)}


@pytest.fixture(scope="session")
def course_browser(browser: Browser, course_reach: dict[str, Any]) -> Iterator[Browser]:
    """A real browser that finds the second hub, and was told to trust it."""
    address = course_reach["connect_to"]
    rules = f"--host-resolver-rules=MAP course.test {address}, MAP *.course.test {address}"
    with launched(browser.browser_type, rules, "--ignore-certificate-errors") as running:
        yield running


@pytest.fixture(scope="session")
def course_kube(course: Site) -> Kube:
    """Kubernetes, seen from the second hub's namespace."""
    return Kube(course)


@pytest.fixture(scope="session")
def course_password(course_kube: Kube) -> str:
    """The shared password of the second hub's students."""
    return course_kube.secret("hub-secret", "student_password")


@pytest.fixture(scope="session")
def eve(course: Site, course_password: str, course_reach: dict[str, Any]) -> Student:
    """A student of the second hub, without a server."""
    return Student(course.url, "eve", course_password, own_host=True, **course_reach)


@pytest.fixture(scope="session", autouse=True)
def idle_server(request: pytest.FixtureRequest) -> None:
    """A server that nobody uses, started before everything else: the culler of the second hub takes its minute."""
    if any(item.path.name == "test_second_hub.py" for item in request.session.items):
        request.getfixturevalue("eve").start("idle")


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """A real browser."""
    with chromium() as running:
        yield running
