"""Days of work that a clock moved from snapshot to snapshot makes, and what is left of them; in the full form alone."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta

import pytest
from ansible_collections.campus.jupyterhub.tests.browser.student import Student as BrowserStudent
from ansible_collections.campus.jupyterhub.tests.browser.student import chromium
from ansible_collections.campus.jupyterhub.tests.cluster.support import Kube, Site, Student
from ansible_collections.campus.jupyterhub.tests.snapshots.conftest import together
from ansible_collections.campus.jupyterhub.tests.snapshots.page import SECONDS, address, close
from ansible_collections.campus.jupyterhub.tests.snapshots.world import FULL, World
from playwright.sync_api import Page, expect

pytestmark = FULL

DAYS = 6
KEPT = 3
LOST_ON = DAYS - 1
"""The day, counted from 1, in whose evening the thesis of the first student is gone."""


@pytest.fixture(scope="module")
def students(site: Site, kube: Kube, password: str) -> Iterator[list[Student]]:
    """Three students of whom there are no snapshots yet, and whose servers run."""
    own = uuid.uuid4().hex[:6]
    students = [Student(site.url, f"{name}{own}", password) for name in ("olga", "paul", "rosa")]
    together(students, Student.start)
    yield students
    close(kube)
    together(students, Student.stop)


@pytest.fixture(scope="module")
def days(world: World, students: list[Student]) -> list[date]:
    """The days on which they worked; each ended with a run that took snapshots and removed what the policy lets go."""
    names = [student.name for student in students]
    first = students[0]
    evening = datetime.now(UTC).replace(microsecond=0)
    for day in range(1, DAYS + 1):
        for student in students:
            student.write("notes.txt", f"{student.name} on day {day}")
        if day < LOST_ON:
            first.write("thesis.txt", f"{day} pages")
        elif day == LOST_ON:
            first.ask("DELETE", f"{first.home}/api/contents/thesis.txt", expected=(204,))
        run = world.module(
            "student_disk_snapshot", students=names, keep_daily=KEPT, max_delete_fraction=0.5, timezone="UTC"
        )
        assert run["taken"] == len(names)
        assert [len(row["removed"]) for row in run["disks"]] == [int(day > KEPT)] * len(names)
        for name in names:
            evenings_ago(world, name, evening, int(day < DAYS))
    return [(evening - timedelta(days=back)).date() for back in reversed(range(DAYS))]


def evenings_ago(world: World, name: str, evening: datetime, days: int) -> None:
    """Let a student's newest snapshot have been taken so many days before that evening, and each other a day before."""
    for back, snapshot in enumerate(reversed(world.snapshots(name)), start=days):
        world.date(snapshot, evening - timedelta(days=back))


def test_the_policy_keeps_the_last_days_of_each_student(
    world: World, students: list[Student], days: list[date]
) -> None:
    for student in students:
        kept = world.snapshots(student.name)
        assert all(snapshot.ready for snapshot in kept)
        assert [snapshot.taken.astimezone(UTC).date() for snapshot in kept] == days[-KEPT:]
    world.nothing_leaks()
    world.lists_agree()


def test_a_student_gets_a_file_back_from_the_day_before_it_was_lost(
    site: Site, students: list[Student], days: list[date], password: str
) -> None:
    first = students[0]
    last_seen = days[LOST_ON - 2]
    with chromium() as browser, BrowserStudent(browser, site.url, first.name) as window:
        window.log_in(password)
        page = window.page
        page.goto(address(site))
        expect(page.locator(".month a")).to_have_count(KEPT)
        window.screenshot(site.folder / "screenshots", "files-history-days")
        choose(page, last_seen)
        page.locator(".times a").first.click()
        button = page.get_by_role("button", name="Put back thesis.txt")
        expect(button).to_be_visible(timeout=SECONDS * 1000)
        button.click()
        expect(page.locator(".alert-success")).to_be_visible(timeout=SECONDS * 1000)
        target = page.locator(".target").inner_text()
    assert target.startswith(f"restored/{last_seen.isoformat()} ")
    assert first.read(target) == f"{LOST_ON - 1} pages"
    assert first.read("notes.txt") == f"{first.name} on day {DAYS}"
    for other in students[1:]:
        assert other.run("import os; print(os.path.exists('restored'))") == "False\n"


def choose(page: Page, day: date) -> None:
    """Click a day of the calendar."""
    page.locator(f'.month a[href$="?day={day.isoformat()}"]').click()
    expect(page.locator('.month [aria-current="date"]')).to_have_text(str(day.day))
