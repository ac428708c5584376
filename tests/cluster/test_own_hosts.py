"""The second hub: each student has a host of their own, and the proxy listens at ports of its nodes."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest
from ansible_collections.campus.jupyterhub.plugins.module_utils._smoke_test_client import Client, Deadline
from ansible_collections.campus.jupyterhub.tests.browser.student import Student as BrowserStudent
from ansible_collections.campus.jupyterhub.tests.cluster.support import Kube, Site, Student
from kubernetes.client.exceptions import ApiException
from playwright.sync_api import Browser, BrowserContext, Page

LOGIN, SESSION = "jupyterhub-hub-login", "jupyterhub-session-id"
ON_NODE = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "at-a-port-of-its-node"},
    "spec": {
        "containers": [{"name": "c", "image": "example.invalid/none", "ports": [{"containerPort": 80, "hostPort": 80}]}]
    },
}


def sent_to(context: BrowserContext, url: str) -> set[str]:
    """Names of the cookies that the browser would send there; tokens against forgery are worth nothing elsewhere."""
    return {cookie["name"] for cookie in context.cookies(url)} - {"_xsrf"}


def status(page: Page, url: str) -> int:
    """What a page is answered with, in the end."""
    response = page.goto(url)
    assert response is not None
    return response.status


def test_a_student_works_at_a_host_of_their_own_and_nobody_else_does(
    course: Site, course_browser: Browser, course_kube: Kube, course_password: str
) -> None:
    # A disk that an earlier run left would open with its notebook and questions about that.
    name = f"finn{uuid.uuid4().hex[:6]}"
    home = f"https://{name}.course.test/user/{name}/"
    with BrowserStudent(course_browser, course.url, name) as finn:
        finn.first_output(course_password)
        assert finn.page.url.startswith(home)
        finn.screenshot(course.folder / "screenshots", "own-host")
        context = finn.page.context
        assert {LOGIN, SESSION} <= sent_to(context, f"{course.url}/hub/")
        assert sent_to(context, home) == {SESSION, f"jupyterhub-user-{name}"}
        assert sent_to(context, "https://gita.course.test/user/gita/") == {SESSION}
        assert f"jupyterhub-user-{name}" not in sent_to(context, f"{course.url}/user/{name}/")
        routes = course_kube.discovery.list_namespaced_endpoint_slice("course", label_selector="component=route").items
        specs = {json.loads(route.metadata.annotations["campus.jupyterhub/routespec"]) for route in routes}
        assert home.removeprefix("https://") in specs
        with BrowserStudent(course_browser, course.url, "gita") as gita:
            gita.log_in(course_password)
            assert status(gita.page, f"{home}lab") == 403
            # The path alone leads nowhere at another host.
            assert status(gita.page, f"https://gita.course.test/user/{name}/api/status") in (403, 404)


def test_a_token_is_good_at_the_own_host_alone(
    course: Site, course_password: str, course_reach: dict[str, Any]
) -> None:
    hana, ivo = (Student(course.url, name, course_password, own_host=True, **course_reach) for name in ("hana", "ivo"))
    hana.start()
    assert hana.run("print(6 * 7)") == "42\n"
    ivo.ask("GET", f"{hana.home}/api/status", expected=(403,))
    hana.stop()


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_the_hub_is_at_its_own_host_alone(scheme: str, course: Site, course_reach: dict[str, Any]) -> None:
    visitor = Client(f"{scheme}://course.test", Deadline(30), **course_reach)
    page = visitor.ask("GET", f"{scheme}://ann.course.test/hub/login?next=%2Fhub%2Fhome")
    assert page.url == f"{course.url}/hub/login?next=%2Fhub%2Fhome"
    assert {cookie.domain for cookie in visitor.cookies} == {"course.test"}


def test_every_replica_answers_at_the_ports_of_a_node_of_its_own(
    course: Site, course_doors: dict[str, str], course_reach: dict[str, Any]
) -> None:
    assert len(set(course_doors.values())) == len(course_doors) == 2
    for address in course_doors.values():
        Client(course.url, Deadline(30), **{**course_reach, "connect_to": address}).ask("GET", "hub/health")


def test_the_replicas_are_as_restricted_as_in_the_hubs_namespace(kube: Kube) -> None:
    for pod in kube.pods("component=proxy", "course-edge"):
        assert not pod.spec.host_network
        assert pod.spec.security_context.run_as_non_root
        assert pod.spec.security_context.seccomp_profile.type == "RuntimeDefault"
        for container in [*pod.spec.containers, *pod.spec.init_containers]:
            assert container.security_context.allow_privilege_escalation is False
            assert container.security_context.capabilities.drop == ["ALL"]
            assert container.security_context.read_only_root_filesystem


def test_ports_of_nodes_stay_forbidden_where_the_hub_is(kube: Kube) -> None:
    with pytest.raises(ApiException, match="hostPort"):
        kube.core.create_namespaced_pod("course", ON_NODE, dry_run="All")
    assert kube.pods("component=proxy", "course") == []
