# Copyright: campus.jupyterhub contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the plays that take, fetch and restore backups make of the answers that they get."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from ansible_collections.campus.jupyterhub.tests.unit.roles.rendered import Json, by_name

Render = Callable[..., list[Json]]
Evaluate = Callable[[str, list[str], list[Json]], list[list[object]]]

ROLE = "hub_backup"
SCHEDULED = "hub-20261126T032300Z-scheduled.tar.gz"
ASKED = "hub-20261126T090000Z-asked.tar.gz"
BEGUN = {"result": {"metadata": {"name": "hub-backup-asked-x7k2p"}}}
EVENTS = {
    "resources": [
        {"involvedObject": {"name": "hub-7f"}, "message": "Readiness probe failed"},
        {"involvedObject": {"name": "hub-backup-asked-x7k2p-abcde"}, "message": "0/3 nodes are available"},
    ]
}
PLAN: Json = {
    "disks": [
        {"student": "ann", "disk": "claim-ann", "volume": "pvc-1", "state": "bound", "message": ""},
        {"student": "ben", "disk": "claim-ben", "volume": "pvc-2", "state": "bound", "message": ""},
        {"student": "eve", "disk": "claim-eve", "volume": "pvc-3", "state": "conflict", "message": "a new one"},
    ],
    "secrets": [{"name": "hub-secret", "namespace": "jupyterhub", "state": "replaced", "message": ""}],
    "snapshots": {"bound": 12, "there": 0, "conflict": 1, "lost": 0},
    "database": {"kind": "sqlite", "revision": "4621fec11365", "users": 214, "made": "2026-11-26T03:23:00Z"},
}


def test_archives_are_read_off_the_pod(evaluate: Evaluate) -> None:
    lines = [f"{'a' * 64}  /backups/{SCHEDULED}", f"{'b' * 64}  /backups/{ASKED}"]
    cases: list[Json] = [
        {"__hub_backup_listed": {"stdout": "\n".join(lines) + "\n"}, "hub_backup_name": SCHEDULED},
        {"__hub_backup_listed": {"stdout": ""}, "hub_backup_taken": {"file": f"/backups/{ASKED}"}},
    ]
    found = evaluate(ROLE, ["__hub_backup_archives", "__hub_backup_wanted"], cases)
    assert found == [[{SCHEDULED: "a" * 64, ASKED: "b" * 64}, SCHEDULED], [{}, ASKED]]


@pytest.mark.parametrize("reason", ["asked", "upgrade"])
def test_a_run_apart_from_the_schedule_differs_in_its_reason_alone(
    render: Render, evaluate: Evaluate, reason: str
) -> None:
    schedule = by_name(render((ROLE, "workloads.yml.j2")))["CronJob", "hub-backup"]
    facts = {"__hub_backup_schedule_found": {"resources": [schedule]}, "hub_backup_reason": reason}
    ((made,),) = evaluate(ROLE, ["__hub_backup_job"], [facts])
    job = json.loads(json.dumps(made))
    template = schedule["spec"]["jobTemplate"]
    assert job["metadata"]["generateName"] == f"hub-backup-{reason}-"
    assert job["metadata"]["labels"] == template["metadata"]["labels"]
    assert job["spec"].pop("ttlSecondsAfterFinished") == 86400
    (container,) = job["spec"]["template"]["spec"]["containers"]
    assert container["command"][-1] == f"/etc/campus-jobs/{reason}.json"
    container["command"][-1] = "/etc/campus-jobs/scheduled.json"
    assert job["spec"] == template["spec"]


def test_why_there_is_no_backup(evaluate: Evaluate) -> None:
    said = {"log_lines": ["a warning", json.dumps({"failed": True, "msg": "No room on the disk."})]}
    cases: list[tuple[Json, str]] = [
        (
            {"__hub_backup_log": said, "__hub_backup_begun": BEGUN, "__hub_backup_events": EVENTS},
            ": No room on the disk.",
        ),
        (
            {"__hub_backup_log": {}, "__hub_backup_begun": BEGUN, "__hub_backup_events": EVENTS},
            "about the pod of the Job hub-backup-asked-x7k2p is: 0/3 nodes are available",
        ),
        (
            {"__hub_backup_events": {"msg": "no"}, "ansible_failed_result": {"msg": "Forbidden: no Job for you"}},
            ": Forbidden: no Job for you",
        ),
    ]
    found = evaluate(ROLE, ["__hub_backup_failure"], [case for case, _says in cases])
    for (sentence,), (_case, says) in zip(found, cases, strict=True):
        assert str(sentence).startswith("Could not back up the hub of the namespace jupyterhub: ")
        assert str(sentence).endswith(says)


def test_what_a_restore_says(evaluate: Evaluate) -> None:
    empty = {"disks": [], "secrets": [], "snapshots": {"bound": 0, "lost": 2}, "database": {"kind": "none"}}
    cases: list[Json] = [{"__hub_backup_plan": PLAN}, {"__hub_backup_plan": PLAN, "__hub_backup_restored": empty}]
    (planned,), (done,) = evaluate(ROLE, ["__hub_backup_restore_words"], cases)
    assert planned == [
        "Secrets: hub-secret replaced",
        "Disks of students: bound: 2, conflict: 1",
        "Left out, since they have a new disk: eve",
        "Snapshots: bound: 12, there: 0, conflict: 1, lost: 0",
        "Database: sqlite, of 2026-11-26T03:23:00Z, with 214 users",
    ]
    assert isinstance(done, list)
    assert done[:3] == [
        "Secrets: none",
        "Disks of students: none",
        "Snapshots: bound: 0, lost: 2 (lost: pruned after the archive was made, so not in the storage any more)",
    ]


def test_between_the_first_disk_and_the_database_no_hub_runs(evaluate: Evaluate) -> None:
    cases: list[tuple[Json, bool]] = [
        ({}, False),
        ({"__hub_backup_restored": {"failed": True, "began": False}}, False),
        ({"__hub_backup_restored": {"failed": True, "began": True}}, True),
        ({"__hub_backup_restored": {"failed": True, "msg": "a traceback"}}, True),
        ({"__hub_backup_restored": {"failed": False}}, True),
        ({"__hub_backup_restored": {"failed": False}, "__hub_backup_whole": True}, False),
    ]
    found = evaluate(ROLE, ["__hub_backup_half | bool"], [case for case, _half in cases])
    assert [half for (half,) in found] == [half for _case, half in cases]


def test_what_the_module_in_the_pod_said(evaluate: Evaluate) -> None:
    said = 'a warning\n\n{"changed": true, "users": 3}\n'
    cases: list[Json] = [{"__hub_backup_put": {"stdout": said}}, {"__hub_backup_put": {"stderr": "killed"}}]
    assert evaluate(ROLE, ["__hub_backup_database_said"], cases) == [[{"changed": True, "users": 3}], [{}]]


def test_as_many_hubs_as_before_and_at_least_one(evaluate: Evaluate) -> None:
    cases: list[Json] = [
        {"__hub_backup_hub": {"resources": [{"spec": {"replicas": now}}]}, "hub_replicas": wanted}
        for now, wanted in ((1, 1), (0, 1), (0, 2), (2, 1))
    ]
    found = evaluate(ROLE, ["__hub_backup_replicas | int"], cases)
    assert [count for (count,) in found] == [1, 1, 2, 2]


def test_paths_begin_where_the_play_was_begun(evaluate: Evaluate) -> None:
    cases: list[Json] = [
        {"hub_restore_file": f"/safe/{ASKED}", "hub_backup_to": "~/safe", "__hub_backup_here": "/home/me/"},
        {"hub_restore_file": ASKED, "hub_backup_to": "safe", "__hub_backup_here": "/home/me/"},
    ]
    assert evaluate(ROLE, ["__hub_backup_file", "__hub_backup_to_folder"], cases) == [
        [f"/safe/{ASKED}", "~/safe"],
        [f"/home/me/{ASKED}", "/home/me/safe"],
    ]
