"""The artifact holds what it should, and its playbooks are found without the checkout."""

from __future__ import annotations

import tarfile

import pytest
from ansible_collections.campus.jupyterhub.tests.packaging.artifact import Installed, install

PLAYBOOKS = ("site", "preflight", "verify", "teardown")
UNWANTED = ("tests/", "molecule/", "build/", ".venv/", ".git", "scripts/")


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """Build and install once."""
    return install(tmp_path_factory.mktemp("artifact"))


def test_what_is_in_the_artifact(installed: Installed) -> None:
    with tarfile.open(installed.artifact) as archive:
        names = archive.getnames()
    wanted = ["README.md", "LICENSE", "CHANGELOG.rst", "site.yml", "meta/runtime.yml", "plugins/modules/apply.py"]
    assert [name for name in [*wanted, "meta/ee-requirements.txt", "images/recipes.yml"] if name not in names] == []
    assert [name for name in names if name.startswith(UNWANTED) or name.endswith(".pyc")] == []


@pytest.mark.parametrize("name", PLAYBOOKS)
def test_playbooks_are_found(installed: Installed, name: str) -> None:
    done = installed.play(f"campus.jupyterhub.{name}", "--syntax-check")
    assert done.returncode == 0, done.stderr


def test_an_unreachable_cluster_is_refused_before_anything_changes(installed: Installed) -> None:
    options = [
        "cluster_provider=existing",
        "jupyterhub_url=http://127.0.0.1:1",
        f"jupyterhub_kubeconfig={installed.home}/none",
    ]
    done = installed.play("campus.jupyterhub.site", *[word for option in options for word in ("-e", option)])
    assert done.returncode != 0
    assert "changed=0" in done.stdout
    assert "cluster" in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
