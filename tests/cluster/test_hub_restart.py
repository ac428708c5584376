"""The hub goes away while students work."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from ansible_collections.campus.jupyterhub.tests.browser.student import Student as BrowserStudent
from ansible_collections.campus.jupyterhub.tests.cluster.support import (
    HUB,
    SERVING_HUB,
    Counter,
    Kube,
    Site,
    Student,
    ready,
    wait_until,
)
from playwright.sync_api import Browser, expect


@pytest.fixture
def hub_comes_back(kube: Kube) -> Iterator[None]:
    """Leave a running hub behind, whatever the test found."""
    yield
    kube.scale_hub(1)


@pytest.mark.usefixtures("hub_comes_back")
def test_a_deleted_hub_is_not_noticed_by_a_running_kernel(ann: Student, kube: Kube) -> None:
    counter = Counter(ann)
    counter.more(5)
    kube.replace_hub()
    counter.more(25)
    heard = counter.end()
    assert heard == [str(number) for number in range(len(heard))]
    assert ann.servers()[""]["ready"]


@pytest.mark.usefixtures("hub_comes_back")
def test_without_a_hub_working_students_work_on_and_others_are_told(
    site: Site, browser: Browser, ann: Student, ben: Student, kube: Kube
) -> None:
    before = kube.pod_of(ann.name).metadata.uid
    pictures = site.folder / "screenshots"
    with BrowserStudent(browser, site.url, ann.name) as working, BrowserStudent(browser, site.url, ben.name) as waiting:
        working.log_in(ann.password)
        working.open_lab()
        counter = Counter(ann)
        kube.scale_hub(0)
        working.page.reload()
        expect(working.page.locator("#jp-main-dock-panel")).to_be_visible()
        ann.write("without-hub.txt", "still here")
        answer = waiting.page.goto(f"{site.url}/hub/login")
        waiting.screenshot(pictures, "hub-away")
        assert answer is not None
        assert answer.status == 503
        expect(waiting.page).to_have_title("The hub is away for a moment")
        kube.scale_hub(1)
        # The page asks again by itself.
        expect(waiting.page.locator("#username_input")).to_be_visible(timeout=60_000)
    counter.more(10)
    heard = counter.end()
    assert heard == [str(number) for number in range(len(heard))]
    assert ann.read("without-hub.txt") == "still here"
    assert kube.pod_of(ann.name).metadata.uid == before


@pytest.mark.usefixtures("hub_comes_back")
def test_a_second_hub_by_mistake_does_nothing(ann: Student, kube: Kube) -> None:
    (hub,) = filter(ready, kube.pods(SERVING_HUB))
    kube.apps.patch_namespaced_deployment_scale("hub", kube.namespace, {"spec": {"replicas": 2}})
    second = wait_until(
        "a second hub", lambda: {pod.metadata.name for pod in kube.pods(HUB)} - {hub.metadata.name}, 60
    ).pop()
    wait_until("it waits", lambda: "Waiting for the Lease" in kube.log_of(second), 120)
    (pod,) = [pod for pod in kube.pods(HUB) if pod.metadata.name == second]
    assert not ready(pod)
    assert [pod.metadata.uid for pod in kube.pods(SERVING_HUB)] == [hub.metadata.uid]
    assert ann.servers()[""]["ready"]
    kube.scale_hub(1)
    # The one that serves is the one that stays.
    assert [pod.metadata.uid for pod in kube.pods(HUB)] == [hub.metadata.uid]
    assert ann.servers()[""]["ready"]
