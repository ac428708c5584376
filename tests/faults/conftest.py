"""Fixtures of the faults: a site in use, and who is at work on it."""

from __future__ import annotations

import os
import platform
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from ansible_collections.campus.jupyterhub.tests.cluster import fixtures
from ansible_collections.campus.jupyterhub.tests.cluster.support import SITE, Kube, Site, Student, wait_until
from ansible_collections.campus.jupyterhub.tests.faults.clients import SENTINEL, Clients, Desk, sentinel_of
from ansible_collections.campus.jupyterhub.tests.faults.fault import Runner
from ansible_collections.campus.jupyterhub.tests.faults.forms import FORM
from ansible_collections.campus.jupyterhub.tests.faults.page import write
from ansible_collections.campus.jupyterhub.tests.faults.proof import Proof
from ansible_collections.campus.jupyterhub.tests.faults.world import ADMIN, World

# Names that begin alike: a route to one of them must not be taken for another's.
AT_WORK = ("fran", "fran-1", "franz")
LISTEN_SECONDS = 60.0
TABLE = pytest.StashKey[list[str]]()

collect_ignore_glob = [] if SITE in os.environ else ["test_*.py"]

LogIn = Callable[[str], Student]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Show the table at the end of the run."""
    if lines := config.stash.get(TABLE, []):
        terminalreporter.section("proof under fire")
        for line in lines:
            terminalreporter.write_line(line)


site, kube = fixtures.site, fixtures.kube
password, admin_password = fixtures.password, fixtures.admin_password


@pytest.fixture(scope="session")
def log_in(site: Site, password: str, admin_password: str) -> LogIn:
    """Log somebody in, as a student or as the admin."""

    def as_somebody(name: str) -> Student:
        return Student(site.url, name, admin_password if name == ADMIN else password)

    return as_somebody


@pytest.fixture(scope="session")
def at_work(log_in: LogIn) -> list[Student]:
    """Students with a running server and a file that says whose it is."""
    nonce = uuid.uuid4().hex
    students = [log_in(name) for name in AT_WORK]
    for student in students:
        student.start()
        student.write(SENTINEL, sentinel_of(student.name, nonce))
    return students


@pytest.fixture(scope="session")
def folder(site: Site) -> Path:
    """Where log and report are left."""
    path = site.folder / "faults"
    path.mkdir(exist_ok=True)
    return path


@pytest.fixture(scope="session")
def clients(site: Site, at_work: list[Student], folder: Path) -> Iterator[Clients]:
    """The students' requests and websockets, which go on through everything."""
    log = folder / "requests.jsonl"
    log.write_text("")
    desks = [
        Desk(
            site.url,
            student.name,
            token=student.token,
            home=student.home,
            channels=student.kernel(),
            expected=student.read(SENTINEL),
        )
        for student in at_work
    ]
    clients = Clients(desks, log)
    clients.start()
    wait_until("every websocket is open", clients.listening, LISTEN_SECONDS)
    yield clients
    clients.stop()


@pytest.fixture(scope="session")
def world(site: Site, kube: Kube, clients: Clients, log_in: LogIn) -> World:
    """The site as faults see it."""
    world = World(site, kube, clients, log_in)
    world.settle()
    return world


@pytest.fixture(scope="session")
def runner(world: World) -> Iterator[Runner]:
    """Does the faults, and leaves none behind."""
    with Runner(world) as runner:
        yield runner


@pytest.fixture(scope="session")
def proof(request: pytest.FixtureRequest, world: World, runner: Runner, folder: Path) -> Iterator[Proof]:
    """What is found on the way; the report is written at the end, whatever was found."""
    proof = Proof(world, runner, f"{os.cpu_count()} processors, {platform.system()} {platform.release()}")
    yield proof
    report = proof.report(FORM)
    page = write(report, folder)
    request.config.stash[TABLE] = [*report.table(), f"All of it: {page}"]
