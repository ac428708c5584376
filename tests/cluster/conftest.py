"""Fixtures of the tests that need a running hub; JUPYTERHUB_SITE is the path of its site.json."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace

import pytest
from ansible_collections.campus.jupyterhub.tests.browser.student import chromium
from ansible_collections.campus.jupyterhub.tests.cluster import fixtures
from ansible_collections.campus.jupyterhub.tests.cluster.support import SITE, Kube, Site, Student
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
def course(site: Site, kube: Kube) -> Site:
    """The second hub, reached directly at its own port on a node."""
    (port,) = kube.core.read_namespaced_service("hub-direct", "course").spec.ports
    addresses = kube.core.list_node().items[0].status.addresses
    (address,) = [each.address for each in addresses if each.type == "InternalIP"]
    url = f"http://{address}:{port.node_port}"
    return replace(site, facts={**site.facts, "url": url, "namespace": "course"})


@pytest.fixture(scope="session")
def course_kube(course: Site) -> Kube:
    """Kubernetes, seen from the second hub's namespace."""
    return Kube(course)


@pytest.fixture(scope="session")
def eve(course: Site, course_kube: Kube) -> Student:
    """A student of the second hub, without a server."""
    return Student(course.url, "eve", course_kube.secret("hub-secret", "student_password"))


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
