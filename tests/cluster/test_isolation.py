"""What a student cannot do to others, and what a student's pod cannot do at all."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.campus.jupyterhub.plugins.module_utils._smoke_test_client import Client, Deadline
from ansible_collections.campus.jupyterhub.tests.browser.student import Student as BrowserStudent
from ansible_collections.campus.jupyterhub.tests.cluster.support import Kube, Site, Student
from kubernetes.client.exceptions import ApiException
from playwright.sync_api import Browser

POD = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "intruder"},
    "spec": {"containers": [{"name": "c", "image": "example.invalid/none", "securityContext": {"privileged": True}}]},
}


@pytest.mark.parametrize("path", ["api/status", "lab", "api/contents", "api/kernels"])
def test_a_second_student_is_refused_at_the_first_ones_server(ann: Student, ben: Student, path: str) -> None:
    ann.ask("GET", f"{ann.home}/{path}")
    ben.ask("GET", f"{ann.home}/{path}", expected=(403,))


def test_a_second_student_sees_403_in_the_browser(site: Site, browser: Browser, ann: Student, ben: Student) -> None:
    with BrowserStudent(browser, site.url, ben.name) as visitor:
        visitor.log_in(ben.password)
        response = visitor.page.goto(f"{site.url}/{ann.home}/lab")
        visitor.screenshot(site.folder / "screenshots", "refused")
        assert response is not None
        assert response.status == 403


def test_without_a_login_there_is_nothing_to_see(site: Site, ann: Student) -> None:
    stranger = Client(site.url, Deadline(30), token="wrong")
    stranger.ask("GET", f"{ann.home}/api/status", expected=(403,))


def test_a_students_pod_is_restricted(ann: Student, kube: Kube) -> None:
    pod = kube.pod_of(ann.name)
    assert pod.spec.automount_service_account_token is False
    assert not pod.spec.host_network
    for container in [*pod.spec.containers, *(pod.spec.init_containers or [])]:
        assert container.security_context.allow_privilege_escalation is False
        assert container.security_context.capabilities.drop == ["ALL"]
        assert not container.security_context.privileged
    assert pod.spec.security_context.seccomp_profile.type == "RuntimeDefault"
    assert pod.spec.security_context.run_as_non_root


def test_a_students_server_holds_no_key_to_kubernetes(ann: Student) -> None:
    code = "import os; print(os.getuid(), os.path.exists('/var/run/secrets/kubernetes.io'))"
    assert ann.run(code) == "1000 False\n"


def test_the_namespace_refuses_a_privileged_pod(kube: Kube) -> None:
    labels = kube.core.read_namespace(kube.namespace).metadata.labels
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"
    with pytest.raises(ApiException, match="violates PodSecurity"):
        kube.core.create_namespaced_pod(kube.namespace, POD, dry_run="All")


def test_every_pod_of_the_namespace_has_a_memory_limit_and_no_root(ann: Student, kube: Kube) -> None:
    pods: list[Any] = kube.pods("app=jupyterhub")
    components = {pod.metadata.labels["component"] for pod in pods}
    assert {"hub", "proxy", "singleuser-server"} <= components
    for pod in pods:
        assert pod.spec.security_context.run_as_non_root, pod.metadata.name
        assert all(each.resources.limits.get("memory") for each in pod.spec.containers), pod.metadata.name
