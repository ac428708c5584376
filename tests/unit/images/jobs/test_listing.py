# Copyright: campus.jupyterhub contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What is kept and said while the API server answers, and while it does not."""

from __future__ import annotations

import tempfile
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.campus.jupyterhub.plugins.module_utils._cluster import ClusterError, connect
from ansible_collections.campus.jupyterhub.tests.unit.images.jobs import fake_api
from ansible_collections.campus.jupyterhub.tests.unit.plugins.module_utils.student_objects import claim, snapshot
from campus_jobs.listing import Lister
from campus_jobs.server import Server

Json = dict[str, Any]

OBJECTS = {"PersistentVolumeClaim": [claim("ann"), claim("bob")], "VolumeSnapshot": [snapshot(student="ann")]}


class FakeCluster:
    """A cluster that takes its time, by a clock that only it moves, and may be away."""

    def __init__(self) -> None:
        self.time, self.takes, self.away, self.connections = 0.0, 1.0, False, 0

    def connect(self) -> FakeCluster:
        self.connections += 1
        return self

    def each(
        self, kind: str, api_version: str = "v1", namespace: str | None = None, label_selector: str | None = None
    ) -> Iterator[Json]:
        assert namespace == "jupyterhub"
        assert label_selector
        if self.away:
            raise ClusterError("list", kind, "connection refused", "Check that the API server is up.")
        self.time += self.takes if kind == "VolumeSnapshot" else 0
        yield from OBJECTS.get(kind, [])


@pytest.fixture
def cluster() -> FakeCluster:
    return FakeCluster()


@pytest.fixture
def lister(cluster: FakeCluster) -> Lister:
    return Lister(cluster.connect, "jupyterhub", lambda: cluster.time)


def test_before_the_first_listing_nothing_is_believed(lister: Lister, cluster: FakeCluster) -> None:
    cluster.time = 5
    assert (lister.ready, lister.age, lister.figures) == (False, 5, None)
    lister.look()
    assert (lister.ready, lister.age) == (True, 0)
    assert lister.figures
    assert (lister.figures.disks, lister.figures.unprotected) == (2, 1)


def test_old_figures_stay_while_the_api_server_is_away(
    lister: Lister, cluster: FakeCluster, capsys: pytest.CaptureFixture[str]
) -> None:
    lister.look()
    before, cluster.away = lister.figures, True
    for _minute in range(3):
        cluster.time += 60
        lister.look()
        assert lister.figures is before
    assert (lister.ready, lister.age) == (True, 180)
    cluster.time += 1
    assert not lister.ready
    assert (
        capsys.readouterr().out
        == "Could not list VolumeSnapshot: connection refused. Check that the API server is up.\n"
    )
    cluster.away = False
    lister.look()
    assert (lister.ready, lister.age) == (True, 0)
    assert capsys.readouterr().out == "The cluster can be listed again.\n"


def test_a_connection_is_kept_until_it_fails(lister: Lister, cluster: FakeCluster) -> None:
    lister.look()
    lister.look()
    assert cluster.connections == 1
    cluster.away = True
    lister.look()
    lister.look()
    assert cluster.connections == 2


def test_a_large_cluster_is_listed_less_often(lister: Lister, cluster: FakeCluster) -> None:
    lister.look()
    assert lister.pause == 60
    cluster.takes = 20
    lister.look()
    assert lister.pause == 180
    cluster.time += 539
    assert lister.ready


@pytest.fixture
def url(lister: Lister) -> Iterator[str]:
    """A running server of that lister."""
    server = Server(0, lister, lambda: datetime(2026, 11, 25, 12, tzinfo=UTC))
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    thread.join()
    server.server_close()


def asked(address: str) -> tuple[int, str]:
    """Status and text of an answer."""
    try:
        with urllib.request.urlopen(address, timeout=30) as answer:
            return int(answer.status), answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_the_server_answers(lister: Lister, cluster: FakeCluster, url: str) -> None:
    cluster.time = 7
    assert asked(f"{url}/ready") == (503, "the last listing is 7 s old\n")
    assert asked(f"{url}/healthz") == (200, "ok\n")
    assert "campus_snapshots_listing_age_seconds 7\n" in asked(f"{url}/metrics")[1]
    lister.look()
    assert asked(f"{url}/ready") == (200, "ok\n")
    status, said = asked(f"{url}/metrics")
    assert status == 200
    assert "campus_snapshots_newest_age_seconds 10800\n" in said
    assert asked(f"{url}/students") == (404, "Look at /metrics.\n")


def test_a_real_client_lists_page_by_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # The client keeps there what kinds of objects a server has.
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    for name in ("KUBERNETES_SERVICE_HOST", "K8S_AUTH_KUBECONFIG", "K8S_AUTH_CONTEXT"):
        monkeypatch.delenv(name, raising=False)
    with fake_api.running() as api:
        monkeypatch.setenv("K8S_AUTH_HOST", api.url)
        monkeypatch.setenv("K8S_AUTH_API_KEY", "token")
        students = [f"student{number}" for number in range(5)]
        api.objects = {
            "persistentvolumeclaims": [claim(student) for student in students],
            "volumesnapshots": [snapshot(student=student) for student in students[:3]],
        }
        lister = Lister(lambda: connect(None), "jupyterhub")
        lister.look()
    assert lister.figures
    assert (lister.figures.disks, lister.figures.unprotected) == (5, 2)
    assert [plural for plural, _selector in api.asked] == [
        *["volumesnapshots"] * 2,
        *["persistentvolumeclaims"] * 3,
        "cronjobs",
        "jobs",
    ]
    assert dict(api.asked)["persistentvolumeclaims"] == "component=singleuser-storage"
    lister.look()
    assert lister.figures.disks == 5, "the server is gone, the figures are not"
