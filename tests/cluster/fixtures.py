"""Fixtures of every test that needs a running hub; each conftest.py beside such tests names those that it uses."""

from __future__ import annotations

import pytest
from ansible_collections.campus.jupyterhub.tests.cluster.support import Kube, Site


@pytest.fixture(scope="session")
def site() -> Site:
    """The hub under test."""
    return Site.load()


@pytest.fixture(scope="session")
def kube(site: Site) -> Kube:
    """The hub's Kubernetes."""
    return Kube(site)


@pytest.fixture(scope="session")
def password(site: Site, kube: Kube) -> str:
    """The students' shared password of the sample."""
    login = site.facts["login"]
    return kube.secret(login["secret"], login["key"])


@pytest.fixture(scope="session")
def admin_password(site: Site, kube: Kube) -> str:
    """The admin's password of the sample."""
    login = site.facts["login"]
    return kube.secret(login["secret"], login["admin_key"])
