"""A second hub in the same cluster: on PostgreSQL, with profiles and named servers."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path

from ansible_collections.campus.jupyterhub.plugins.module_utils._smoke_test_client import Client, Deadline
from ansible_collections.campus.jupyterhub.tests.browser.student import Student as BrowserStudent
from ansible_collections.campus.jupyterhub.tests.cluster.support import (
    HUB,
    ROUTES,
    SERVER,
    SERVING_HUB,
    STUDENTS,
    USERNAME,
    Kube,
    Site,
    Student,
    ready,
    wait_until,
)
from ansible_collections.campus.jupyterhub.tests.snapshots.world import World
from playwright.sync_api import Browser, expect


def serving(kube: Kube) -> set[str]:
    """Names of the hub pods to which the Service leads."""
    return {pod.metadata.name for pod in kube.pods(SERVING_HUB) if pod.metadata.deletion_timestamp is None}


def routes_of(kube: Kube) -> set[str]:
    """The routes in the hub's namespace, each told apart from a later one of its name."""
    found = kube.discovery.list_namespaced_endpoint_slice(kube.namespace, label_selector=ROUTES).items
    return {item.metadata.uid for item in found}


def test_a_named_server_has_a_disk_of_its_own(eve: Student, course_kube: Kube) -> None:
    eve.start("thesis")
    (pod,) = [each for each in course_kube.pods(STUDENTS) if each.metadata.annotations[SERVER] == "thesis"]
    assert pod.metadata.annotations[USERNAME] == eve.name
    (claim,) = [each.persistent_volume_claim for each in pod.spec.volumes if each.persistent_volume_claim]
    assert "thesis" in claim.claim_name
    third = eve.ask("POST", f"hub/api/users/{eve.name}/servers/third", {}, (400,))
    assert "maximum of 2 named servers" in third.body


def test_the_hub_keeps_its_students_in_postgresql(eve: Student, course_kube: Kube) -> None:
    assert eve.name in course_kube.sql("select name from users").split()
    course_kube.replace_hub()
    wait_until("the hub answers", eve.reaches_hub, 30)
    # The token was kept as well, and so was the server, though the culler may have stopped it meanwhile.
    known = eve.ask("GET", f"hub/api/users/{eve.name}?include_stopped_servers=1").json()["servers"]
    assert "thesis" in known


def test_another_hub_takes_over_when_the_hub_dies(eve: Student, course_kube: Kube) -> None:
    eve.start("thesis")
    wait_until("a hub and a standby", lambda: len([pod for pod in course_kube.pods(HUB) if ready(pod)]) == 2, 120)
    (hub,) = filter(ready, course_kube.pods(SERVING_HUB))
    routes = routes_of(course_kube)
    assert routes
    # Else the culler might take it meanwhile.
    now = datetime.now(UTC).isoformat()
    eve.ask("POST", f"hub/api/users/{eve.name}/activity", {"servers": {"thesis": {"last_activity": now}}})
    began = time.monotonic()
    course_kube.core.delete_namespaced_pod(hub.metadata.name, course_kube.namespace, grace_period_seconds=0)
    # Most often the standby; on a busy machine the hub that is made for the lost one may be faster.
    others = wait_until("another hub serves", lambda: serving(course_kube) - {hub.metadata.name}, 120)
    wait_until("the hub answers", eve.reaches_hub, 30)
    print(f"Another hub answered {time.monotonic() - began:.1f} s after the hub had been deleted")
    assert eve.servers()["thesis"]["ready"]
    assert routes_of(course_kube) == routes
    wait_until("a new standby", lambda: len([pod for pod in course_kube.pods(HUB) if ready(pod)]) == 2, 120)
    assert serving(course_kube) == others


def test_the_password_of_the_database_is_in_no_configmap(course_kube: Kube) -> None:
    data = course_kube.core.read_namespaced_config_map("hub-config", course_kube.namespace).data
    assert "only-for-tests" not in str(data)


def test_its_database_and_the_certificate_of_its_proxy_are_kept(
    course: Site, course_kube: Kube, eve: Student, tmp_path: Path
) -> None:
    result = World(course, course_kube, tmp_path).run_schedule("hub-backup")
    assert result["file"].endswith("-scheduled.tar.gz")
    assert result["counts"]["users"] == int(course_kube.sql("select count(*) from users"))
    assert result["counts"]["secrets"] == 2


def test_the_profiles_are_offered(course: Site, course_browser: Browser, eve: Student) -> None:
    with BrowserStudent(course_browser, course.url, eve.name) as visitor:
        visitor.fill_in_login(eve.password).click()
        form = visitor.page.locator("#kubespawner-profiles-list")
        expect(form).to_contain_text("Small, for reading")
        expect(form).to_contain_text("Large, for the project weeks")
        visitor.screenshot(course.folder / "screenshots", "profiles")


def test_a_student_of_one_hub_is_unknown_to_the_other(site: Site, eve: Student) -> None:
    Client(site.url, Deadline(30), eve.token).ask("GET", f"hub/api/users/{eve.name}", expected=(403,))


def test_an_idle_server_is_stopped(eve: Student) -> None:
    wait_until("the culler has stopped the idle server", lambda: "idle" not in eve.servers(), 150)
