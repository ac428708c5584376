"""Fixtures of the tests of snapshots; JUPYTERHUB_SITE is the path of the hub's site.json."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor

import pytest
from ansible_collections.campus.jupyterhub.tests.cluster import fixtures
from ansible_collections.campus.jupyterhub.tests.cluster.support import SITE, Kube, Site, Student
from ansible_collections.campus.jupyterhub.tests.snapshots.world import World

collect_ignore_glob = [] if SITE in os.environ else ["test_*.py"]

site, kube = fixtures.site, fixtures.kube
password, admin_password = fixtures.password, fixtures.admin_password


@pytest.fixture(scope="session")
def world(site: Site, kube: Kube, tmp_path_factory: pytest.TempPathFactory) -> World:
    """The hub with its snapshots."""
    return World(site, kube, tmp_path_factory.mktemp("arguments"))


EMPTY = """
import os, shutil
for name in os.listdir('.'):
    if not name.startswith('.'):
        os.remove(name) if os.path.islink(name) or os.path.isfile(name) else shutil.rmtree(name)
"""


def at_work(site: Site, password: str, name: str) -> Student:
    """A student whose server runs and whose home is empty, also when these tests ran before."""
    student = Student(site.url, name, password)
    student.start()
    assert student.run(EMPTY) == ""
    return student


def together(students: Iterable[Student], do: Callable[[Student], None]) -> None:
    """Let every one of these students do something at once."""
    with ThreadPoolExecutor() as pool:
        for done in [pool.submit(do, student) for student in students]:
            done.result()


@pytest.fixture(scope="session")
def mia(site: Site, password: str) -> Student:
    """A student at work."""
    return at_work(site, password, "mia")


@pytest.fixture(scope="session")
def noah(site: Site, password: str) -> Student:
    """Another one, whose name no Kubernetes object could have."""
    return at_work(site, password, "noah.o'zoë+1@uni.example")
