"""The page's pure parts, and what it makes on a cluster in memory."""

from __future__ import annotations

import os
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from ansible_collections.campus.jupyterhub.plugins.module_utils._disk_snapshots import (
    API,
    CLAIM_NAME,
    OURS,
    snapshot_of,
)
from ansible_collections.campus.jupyterhub.plugins.module_utils._side_disk import HOME_MOUNT, LABELS, SIDE_MOUNT
from ansible_collections.campus.jupyterhub.tests.unit.images.jobs.history_world import World, option, words
from ansible_collections.campus.jupyterhub.tests.unit.plugins.module_utils.fake_cluster import CLAIM, NAMESPACE, POD
from ansible_collections.campus.jupyterhub.tests.unit.plugins.module_utils.student_objects import snapshot
from campus_history import days, views
from campus_history.cluster import COPY, READER, READER_SECONDS
from campus_history.own import MARK, SNAPSHOT, Own
from campus_history.reading import quoted
from campus_history.settings import Settings, oauth_environment
from campus_jobs.reader import proof_of
from campus_jobs.trees import RefusedError
from hypothesis import given
from hypothesis import strategies as st

BERLIN = ZoneInfo("Europe/Berlin")
USERNAME = "hub.jupyter.org/username"
ANN = "claim-ann-20261125-090000"


def taken(*texts: str) -> list[Any]:
    return [snapshot_of(snapshot(text)) for text in texts]


# The calendar


def test_a_day_begins_where_the_student_is() -> None:
    found = days.by_day(taken("2026-11-24T22:59:00Z", "2026-11-24T23:00:00Z", "2026-11-25T12:00:00Z"), BERLIN)
    assert {day: len(each) for day, each in found.items()} == {date(2026, 11, 25): 2, date(2026, 11, 24): 1}
    assert list(found) == [date(2026, 11, 25), date(2026, 11, 24)]
    assert [each.taken.hour for each in found[date(2026, 11, 25)]] == [12, 23]


def test_months_are_weeks_from_monday_on() -> None:
    found = days.months(days.by_day(taken("2026-11-25T12:00:00Z", "2026-02-01T12:00:00Z"), BERLIN))
    assert [month.title for month in found] == ["November 2026", "February 2026"]
    february = found[1].weeks
    assert february[0][:6] == [None] * 6
    assert february[0][6] == days.Cell(date(2026, 2, 1), 1)
    assert february[-1][5] == days.Cell(date(2026, 2, 28), 0)


@given(st.lists(st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1)), max_size=30))
def test_every_snapshot_is_in_the_calendar_once(moments: list[datetime]) -> None:
    found = days.by_day(taken(*(f"{each:%Y-%m-%dT%H:%M:%S}Z" for each in moments)), BERLIN)
    cells = [cell for month in days.months(found) for week in month.weeks for cell in week if cell]
    assert sum(cell.count for cell in cells) == len(moments)
    assert len({cell.day for cell in cells}) == len(cells)
    for month in days.months(found):
        assert all(len(week) == 7 for week in month.weeks)


# Words


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0 bytes"), (1023, "1023 bytes"), (1024, "1.0 KiB"), (1536, "1.5 KiB"), (5 << 30, "5.0 GiB")],
)
def test_amounts(size: int, text: str) -> None:
    assert views.amount(size) == text


@pytest.mark.parametrize(("changed", "shown"), [(-(10.0**15), "1-01-02"), (10.0**15, "9999-12-30")])
def test_a_file_of_an_impossible_time_keeps_no_folder_from_being_shown(changed: float, shown: str) -> None:
    found = {"name": "lab", "kind": "file", "size": 1, "changed": changed}
    (entry,) = views.entries("/", taken("2026-11-25T09:00:00Z")[0], "", [found], BERLIN)
    assert entry.changed.startswith(shown)


def test_a_time_is_said_where_the_student_is() -> None:
    assert views.moment(datetime(2026, 11, 25, 23, 5, tzinfo=UTC), BERLIN) == "Thursday, 26 November 2026, 00:05"


@pytest.mark.parametrize(
    ("path", "normal"), [("", ""), ("/", ""), ("hw", "hw"), ("hw/", "hw"), ("./hw//a", "hw/a"), ("...", "...")]
)
def test_paths_have_one_spelling(path: str, normal: str) -> None:
    assert views.normal(path) == normal


@pytest.mark.parametrize("path", ["..", "a/../b", "/etc", "a\0"])
def test_paths_that_lead_out_are_refused(path: str) -> None:
    with pytest.raises(RefusedError):
        views.normal(path)


def test_the_way_to_a_folder() -> None:
    (chosen,) = taken("2026-11-25T09:00:00Z")
    steps = views.steps("/p/", chosen, "hw/über #1")
    assert [(step.title, step.href) for step in steps] == [
        ("Home", f"/p/snapshot/{ANN}/files/"),
        ("hw", f"/p/snapshot/{ANN}/files/hw"),
        ("über #1", f"/p/snapshot/{ANN}/files/hw/%C3%BCber%20%231"),
    ]


def test_folders_come_first_and_sockets_not_at_all() -> None:
    (chosen,) = taken("2026-11-25T09:00:00Z")
    found = [
        {"name": name, "kind": kind, "size": 5, "changed": 0.0}
        for name, kind in (("b", "file"), ("A", "file"), ("z", "folder"), ("l", "link"), ("s", ""), ("p", "fifo"))
    ]
    lines = views.entries("/p/", chosen, "hw", found, BERLIN)
    assert [(line.title, line.kind, bool(line.href), line.size) for line in lines] == [
        ("z", "Folder", True, ""), ("A", "File", True, "5 bytes"), ("b", "File", True, "5 bytes"),
        ("l", "Link", False, ""),
    ]  # fmt: skip
    assert lines[0].changed == "1970-01-01 01:00"


@given(st.binary(min_size=1, max_size=30))
def test_any_name_gets_through_an_address(name: bytes) -> None:
    assert quoted(os.fsdecode(name)).isascii()
    title = views.title(os.fsdecode(name))
    assert title.isprintable()
    title.encode()


def test_a_host_of_its_own() -> None:
    settings = Settings(NAMESPACE, BERLIN, "/x/", "https://hub.example.edu:8443")
    found = oauth_environment(settings, "files-history--service.hub.example.edu:8443")
    assert found["JUPYTERHUB_OAUTH_CALLBACK_URL"] == (
        "https://files-history--service.hub.example.edu:8443/x/services/files-history/oauth_callback"
    )
    assert found["JUPYTERHUB_HOST"] == "https://hub.example.edu:8443"


# What is made on the cluster


@pytest.fixture
def world(tmp_path: Path) -> World:
    made = World(tmp_path, Settings(NAMESPACE, BERLIN))
    made.student("ann", "2026-11-25T09:00:00Z", "2026-11-24T09:00:00Z", label="ann")
    made.student("ben", "2026-11-25T09:00:00Z", label="ben")
    return made


def test_only_the_students_own_are_listed_and_only_those_are_asked_for(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str | None] = []
    real = world.cluster.list

    def noting(kind: str, *arguments: Any) -> Any:
        asked.append(arguments[2] if kind == SNAPSHOT else None)
        return real(kind, *arguments)

    monkeypatch.setattr(world.cluster, "list", noting)
    assert {each.student for each in world.snapshots("ann")} == {"ann"}
    assert [each for each in asked if each] == [f"{OURS},{USERNAME}=ann"]


def test_without_a_label_or_a_disk_they_are_found_too(world: World) -> None:
    del world.cluster.found(CLAIM, "claim-ann")["metadata"]["labels"][USERNAME]
    assert len(world.snapshots("ann")) == 2
    del world.cluster.objects[CLAIM, NAMESPACE, "claim-ann"]
    assert len(world.snapshots("ann")) == 2
    assert world.snapshots("cem") == []


def test_one_that_was_made_known_again_is_still_the_students_alone(world: World) -> None:
    item = world.cluster.found(SNAPSHOT, world.snapshots("ann")[0].name)
    item["spec"]["source"] = {"volumeSnapshotContentName": "content"}
    item["metadata"]["annotations"][CLAIM_NAME] = "claim-ann"
    assert [each.disk for each in world.snapshots("ann")] == ["claim-ann"] * 2
    # A disk without a student goes by the claim's name, which somebody may have chosen as theirs.
    item["metadata"]["annotations"].update({USERNAME: "claim-lost", CLAIM_NAME: "claim-lost"})
    assert world.snapshots("claim-lost") == []


def test_what_is_made_is_marked_and_the_rest_passes_through(world: World) -> None:
    own = Own(world.cluster, "ann", COPY)
    made = own.create({"kind": "Secret", "metadata": {"name": "x", "namespace": NAMESPACE}})
    assert made["metadata"]["labels"] == {MARK: COPY}
    assert own.list(CLAIM, "v1", NAMESPACE, "component=singleuser-storage")[0]["metadata"]["name"] == "claim-ann"
    assert own.list(SNAPSHOT, API, NAMESPACE, OURS)[0]["spec"]["source"] == {"persistentVolumeClaimName": "claim-ann"}


def test_a_reader_sees_one_disk_read_only_and_has_no_rights(world: World) -> None:
    (chosen, *_older) = world.snapshots("ann")
    address = world.open("ann", chosen, "history-1", "a token")
    assert address.startswith("http://127.0.0.1:")
    pod = world.cluster.found(POD, "history-1")
    assert pod["metadata"]["labels"] == {**LABELS, MARK: READER}
    assert words(pod)[:4] == ["python3", "-m", "campus_jobs.reader", f"--snapshot={SIDE_MOUNT}"]
    assert option(pod, "proof") == proof_of("a token")
    assert "a token" not in str(pod)
    spec = pod["spec"]
    assert [each["persistentVolumeClaim"] for each in spec["volumes"]] == [{"claimName": "history-1", "readOnly": True}]
    assert (spec["automountServiceAccountToken"], spec["activeDeadlineSeconds"]) == (False, READER_SECONDS)
    assert "env" not in spec["containers"][0]
    claim = world.cluster.found(CLAIM, "history-1")
    assert (claim["spec"]["storageClassName"], claim["spec"]["dataSource"]["name"]) == (
        "jupyterhub-scratch",
        chosen.name,
    )
    world.close("history-1")
    assert world.left == []
    assert set(world.cluster.names(CLAIM)) == {"claim-ann", "claim-ben"}


def test_a_copy_is_that_of_the_module(world: World) -> None:
    (chosen, *_older) = world.snapshots("ann")
    (world.of(chosen.name) / "a.txt").write_text("old")
    names: list[str] = []
    answer = world.put_back("ann", chosen, "a.txt", names.append)
    assert (answer["target"], answer["files"]) == ("restored/2026-11-24 1000/a.txt", 1)
    (pod,) = world.cluster.pods_run
    assert (pod["metadata"]["name"], pod["metadata"]["labels"][MARK]) == (names[0], COPY)
    home = {each["mountPath"]: each["readOnly"] for each in pod["spec"]["containers"][0]["volumeMounts"]}
    assert home == {SIDE_MOUNT: True, HOME_MOUNT: False}
    assert world.left == []


def test_a_sweep_takes_what_is_lost_and_nothing_else(world: World) -> None:
    (chosen, *_older) = world.snapshots("ann")
    for name in ("history-lost", "history-known"):
        world.open("ann", chosen, name, "t")
    world.cluster.disk("side", name="restore-by-staff")
    for name, phase in (
        ("restore-by-staff", "Running"),
        ("restore-running", "Running"),
        ("restore-ended", "Succeeded"),
    ):
        labels = dict(LABELS) if name == "restore-by-staff" else {**LABELS, MARK: COPY}
        world.cluster.found(CLAIM, "restore-by-staff")["metadata"]["labels"] = dict(LABELS)
        volumes = [{"persistentVolumeClaim": {"claimName": f"claim-{name}"}}]
        meta = {"name": name, "namespace": NAMESPACE, "labels": labels}
        world.cluster.put({"kind": POD, "metadata": meta, "spec": {"volumes": volumes}, "status": {"phase": phase}})
        if name != "restore-by-staff":
            world.cluster.disk("side", name=f"claim-{name}")["metadata"]["labels"] = labels
    world.sweep(lambda: {"history-known"})
    assert set(world.left) == {"history-known", "restore-by-staff", "restore-running", "claim-restore-running"}
    world.stop("history-lost")
    world.close("history-known")


def test_what_does_not_go_holds_up_nothing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    (chosen, *_older) = world.snapshots("ann")
    for name in ("history-1", "history-2"):
        world.open("ann", chosen, name, "t")
        world.stop(name)
    real = world.cluster._end
    monkeypatch.setattr(
        world.cluster, "_end", lambda item: None if item["metadata"]["name"] == "history-1" else real(item)
    )
    before = world.cluster.seconds
    world.sweep(set)
    assert set(world.left) == {"history-1"}
    assert timedelta(seconds=world.cluster.seconds - before) < timedelta(minutes=5)
