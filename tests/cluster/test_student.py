"""The story of the first morning, in a real browser."""

from __future__ import annotations

import json
import re

from ansible_collections.campus.jupyterhub.tests.browser.student import Student as BrowserStudent
from ansible_collections.campus.jupyterhub.tests.cluster.support import Kube, Site, Student
from playwright.sync_api import Browser, expect

PLOT = """import numpy as np
import matplotlib.pyplot as plt

x = np.linspace(0, 10, 500)
plt.figure(figsize=(7, 3.6))
plt.plot(x, np.sin(x), label="sin x")
plt.plot(x, np.cos(x), label="cos x")
plt.legend()
plt.title("My first plot");"""


def test_a_student_works_stops_and_finds_everything_again(
    site: Site, kube: Kube, browser: Browser, password: str
) -> None:
    pictures = site.folder / "screenshots"
    seconds = {}
    with BrowserStudent(browser, site.url, "carol") as carol:
        seconds["first start, with a new disk"] = carol.first_output(password)
        expect(carol.page.locator("#campus-disk")).to_have_text(re.compile("^Disk: .+ used, .+ free$"))
        expect(carol.run(PLOT).locator("img")).to_be_visible()
        carol.save("first.ipynb")
        carol.screenshot(pictures, "student-lab")
        volume = disk_of(kube, "carol")
        carol.stop_server()
        carol.screenshot(pictures, "stopped")
        carol.open_lab()
        carol.open_file("first.ipynb")
        expect(carol.page.locator(".jp-NotebookPanel:visible .jp-OutputArea-output").first).to_have_text("42\n")
        carol.screenshot(pictures, "found-again")
        carol.stop_server()
    with BrowserStudent(browser, site.url, "carol") as carol:
        seconds["start with a disk"] = carol.first_output(password)
        carol.stop_server()
    assert disk_of(kube, "carol") == volume
    (site.folder / "login_to_first_output.json").write_text(json.dumps(seconds, indent=2))


def disk_of(kube: Kube, student: str) -> str:
    """Name of the volume behind a student's disk."""
    claims = kube.core.list_namespaced_persistent_volume_claim(
        kube.namespace, label_selector="component=singleuser-storage"
    ).items
    (volume,) = [
        each.spec.volume_name for each in claims if each.metadata.annotations["hub.jupyter.org/username"] == student
    ]
    return str(volume)


def test_a_file_written_over_the_api_survives_a_restart_of_the_server(site: Site, password: str) -> None:
    dave = Student(site.url, "dave", password)
    dave.start()
    dave.write("work.txt", "three weeks of it")
    dave.stop()
    dave.start()
    assert dave.read("work.txt") == "three weeks of it"
    dave.stop()
