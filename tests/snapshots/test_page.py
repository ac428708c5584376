"""The students' own page on a real cluster, in a real browser: what is lost comes back, and only to its owner."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import pytest
from ansible_collections.campus.jupyterhub.plugins.module_utils._side_disk import LABELS, Template, pod, side_claim
from ansible_collections.campus.jupyterhub.tests.browser.student import Student as BrowserStudent
from ansible_collections.campus.jupyterhub.tests.browser.student import chromium
from ansible_collections.campus.jupyterhub.tests.cluster.support import Kube, Site, Student
from ansible_collections.campus.jupyterhub.tests.snapshots.conftest import at_work
from ansible_collections.campus.jupyterhub.tests.snapshots.page import MARK, SECONDS, address, close
from ansible_collections.campus.jupyterhub.tests.snapshots.world import World, refused
from kubernetes import client
from kubernetes.client.exceptions import ApiException
from playwright.sync_api import Browser, Page, expect

Json = dict[str, Any]
Enter = Callable[[Student], AbstractContextManager[BrowserStudent]]

FILES = """
import pathlib
folder = pathlib.Path('hw/übung 1')
folder.mkdir(parents=True, exist_ok=True)
(folder / 'lab3.ipynb').write_text('three weeks of work')
pathlib.Path('hw/trap').symlink_to('/etc')
"""
LOSE = "import os; os.remove('hw/übung 1/lab3.ipynb')"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A browser for all tests of this file."""
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def enter(site: Site, browser: Browser, password: str) -> Enter:
    """enter(student): the student's browser, logged in at the hub."""

    @contextmanager
    def enter(student: Student) -> Iterator[BrowserStudent]:
        with BrowserStudent(browser, site.url, student.name) as window:
            window.log_in(password)
            yield window

    return enter


@pytest.fixture(scope="module")
def ida(site: Site, password: str) -> Student:
    """A student with work, whose server runs."""
    student = at_work(site, password, "ida")
    student.run(FILES)
    return student


@pytest.fixture(scope="module")
def kept(world: World, ida: Student, mia: Student) -> str:
    """The snapshot of that work; another student has one as well."""
    rows = world.module("student_disk_snapshot", students=[ida.name, mia.name])["disks"]
    return next(str(row["snapshot"]) for row in rows if row["student"] == ida.name)


@pytest.fixture(scope="module", autouse=True)
def nothing_left(kube: Kube) -> Iterator[None]:
    """When the page ends, it takes away what it made."""
    yield
    close(kube)


def test_a_student_gets_back_a_lost_file(site: Site, ida: Student, kept: str, enter: Enter) -> None:
    ida.run(LOSE)
    with enter(ida) as window:
        page = window.page
        page.get_by_role("button", name="Services").click()
        page.get_by_role("link", name="files-history").click()
        expect(page.get_by_role("heading", name="Your files as they were")).to_be_visible()
        window.screenshot(site.folder / "screenshots", "files-history")
        page.locator(".month a").first.click()
        page.locator(f'.times a[href*="{kept}"]').click()
        into(page, "hw")
        into(page, "übung 1")
        with page.expect_download() as download:
            page.get_by_role("link", name="lab3.ipynb").click()
        assert download.value.path().read_text() == "three weeks of work"
        page.get_by_role("button", name="Put back lab3.ipynb").click()
        expect(page.locator(".alert-success")).to_be_visible(timeout=SECONDS * 1000)
        target = page.locator(".target").inner_text()
        window.screenshot(site.folder / "screenshots", "put-back")
    assert re.fullmatch(r"restored/\d{4}-\d\d-\d\d \d{4}/hw/übung 1/lab3\.ipynb", target)
    assert ida.read(target) == "three weeks of work"
    assert ida.run("import os; print(os.listdir('hw/übung 1'))") == "[]\n"


def into(page: Page, folder: str) -> None:
    """Click a folder, waiting for the snapshot where it is still being opened."""
    link = page.locator(".files th.folder a", has_text=folder)
    expect(link).to_be_visible(timeout=SECONDS * 1000)
    link.click()
    expect(page.locator(".steps [aria-current]")).to_have_text(folder)


@pytest.mark.parametrize("what", ["files/", "files/hw", "file/hw/%C3%BCbung%201/lab3.ipynb", "folder/"])
def test_another_student_does_not(site: Site, mia: Student, kept: str, enter: Enter, what: str) -> None:
    with enter(mia) as window:
        answer = window.page.goto(address(site, f"snapshot/{kept}/{what}"))
        assert answer is not None
        assert answer.status == 404
        expect(window.page.get_by_text("You have no such snapshot")).to_be_visible()


@pytest.mark.parametrize("path", ["hw/trap/passwd", "..%2F..%2Fetc%2Fpasswd", "%2Fetc%2Fpasswd"])
def test_nothing_leads_out_of_a_snapshot(site: Site, ida: Student, kept: str, enter: Enter, path: str) -> None:
    with enter(ida) as window:
        window.page.goto(address(site, f"snapshot/{kept}/files/"))
        expect(window.page.locator(".files")).to_be_visible(timeout=SECONDS * 1000)
        answer = window.page.goto(address(site, f"snapshot/{kept}/file/{path}"))
        assert answer is not None
        assert answer.status == 404


def test_who_is_not_logged_in_comes_to_the_login(site: Site, kept: str, browser: Browser) -> None:
    page = browser.new_page()
    page.goto(address(site, f"snapshot/{kept}/files/"))
    expect(page.locator("#username_input")).to_be_visible()
    page.close()


# What the page's account may do; nothing is really changed.


@pytest.fixture(scope="module")
def account(world: World) -> client.CoreV1Api:
    """The API as the page's account has it."""
    return client.CoreV1Api(world.as_account("files-history"))


@pytest.fixture(scope="module")
def reader(world: World) -> Json:
    """A pod as the page makes it."""
    job = world.batch.read_namespaced_cron_job("snapshots", world.namespace)
    image = job.spec.job_template.spec.template.spec.containers[0].image
    arguments = ["campus_jobs.reader", "--snapshot=/snapshot", "--proof=x"]
    return marked(
        pod("history-x", world.namespace, template=Template(image), arguments=arguments, side="x", seconds=60)
    )


def marked(item: Json) -> Json:
    item["metadata"]["labels"] = {**LABELS, MARK: "reader"}
    return item


def test_a_reader_can_be_made(world: World, account: client.CoreV1Api, reader: Json) -> None:
    assert refused(account.create_namespaced_pod, world.namespace, reader) == ""


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"image": "docker.io/library/busybox:1"}, "makes pods of the image"),
        ({"command": ["sh", "-c", "true"]}, "read a snapshot or copy out of one"),
        ({"command": ["python3", "-m", "http.server"]}, "read a snapshot or copy out of one"),
        ({"args": ["--x"]}, "read a snapshot or copy out of one"),
        (
            {"env": [{"name": "X", "valueFrom": {"secretKeyRef": {"name": "hub-secret", "key": "cookie_secret"}}}]},
            "read a snapshot or copy out of one",
        ),
    ],
)
def test_a_pod_that_does_something_else_cannot(
    world: World, account: client.CoreV1Api, reader: Json, change: Json, says: str
) -> None:
    (container,) = reader["spec"]["containers"]
    item = {**reader, "spec": {**reader["spec"], "containers": [{**container, **change}]}}
    assert says in refused(account.create_namespaced_pod, world.namespace, item)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"automountServiceAccountToken": True}, "pods without an account"),
        ({"serviceAccountName": "hub"}, "pods without an account"),
        ({"volumes": [{"name": "snapshot", "secret": {"secretName": "hub-secret"}}]}, "disks of students"),
        (
            {"volumes": [{"name": "snapshot", "persistentVolumeClaim": {"claimName": "hub-db"}}]},
            "disks of students",
        ),
        (
            {"volumes": [{"name": "snapshot", "persistentVolumeClaim": {"claimName": "hub-backups"}}]},
            "disks of students",
        ),
    ],
)
def test_a_pod_with_more_than_disks_of_students_cannot(
    world: World, account: client.CoreV1Api, reader: Json, change: Json, says: str
) -> None:
    item = {**reader, "spec": {**reader["spec"], **change}}
    assert says in refused(account.create_namespaced_pod, world.namespace, item)


def test_disks_come_from_snapshots_in_the_class_for_it(world: World, account: client.CoreV1Api, kept: str) -> None:
    (snapshot,) = [each for each in world.snapshots("ida") if each.name == kept]
    create = account.create_namespaced_persistent_volume_claim
    item = marked(side_claim("history-x", snapshot, snapshot.size, "jupyterhub-scratch"))
    assert refused(create, world.namespace, item) == ""
    other = marked(side_claim("history-x", snapshot, snapshot.size, "jupyterhub"))
    assert "of the class jupyterhub-scratch alone" in refused(create, world.namespace, other)
    empty = {**item, "spec": {key: value for key, value in item["spec"].items() if key != "dataSource"}}
    assert "out of snapshots alone" in refused(create, world.namespace, empty)


def test_what_the_page_did_not_make_is_not_its_own_to_delete(
    world: World, account: client.CoreV1Api, kube: Kube, ida: Student
) -> None:
    claim = world.disk(ida.name).metadata.name
    server = kube.pod_of(ida.name).metadata.name
    delete = account.delete_namespaced_persistent_volume_claim
    assert "what has its own label" in refused(delete, claim, world.namespace)
    assert "what has its own label" in refused(account.delete_namespaced_pod, server, world.namespace)

    with pytest.raises(ApiException, match="403"):
        account.list_namespaced_secret(world.namespace)
    with pytest.raises(ApiException, match="403"):
        account.patch_namespaced_persistent_volume_claim(claim, world.namespace, {"metadata": {"labels": {MARK: "x"}}})
