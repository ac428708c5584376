# Copyright: campus.jupyterhub contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Clusters are looked at, made and removed; a stand-in for podman and kind notes what it was asked for."""

from __future__ import annotations

import json
import socket
import sys
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.campus.jupyterhub.plugins.module_utils import _build_runtime as build_runtime
from ansible_collections.campus.jupyterhub.plugins.module_utils import _kind_cluster as kind_cluster
from ansible_collections.campus.jupyterhub.plugins.module_utils import _kind_run as kind_run
from ansible_collections.campus.jupyterhub.plugins.module_utils._images import ImagesError
from ansible_collections.campus.jupyterhub.plugins.module_utils._kind import HostPort, KindError

# The machine is a file: the containers with their states, the mark, whether the API server answers.
PODMAN = """\
#!{python}
import json, pathlib, sys
state = pathlib.Path("{state}/machine.json")
machine = json.loads(state.read_text())
args = sys.argv[1:]
machine["calls"].append(" ".join(args))
if args[0] == "ps":
    wanted = [a for a in args if a.startswith("label=") or a.startswith("name=")]
    if any(a == "label=io.x-k8s.kind.cluster" for a in wanted):
        print("\\n".join([*machine["nodes"], *machine["others"]]))
    elif any(a.startswith("label=io.x-k8s.kind.cluster") for a in wanted):
        print("\\n".join(f"{name} {status}" for name, status in machine["nodes"].items()))
    elif machine["registry"] and ("network=kind" not in args or machine["registry"] == "joined"):
        print("abc123")
elif args[0] == "cp" and machine["mark"] is not None:
    pathlib.Path(args[2]).write_text(json.dumps(machine["mark"]))
elif args[0] == "cp":
    sys.exit("no such file")
elif args[0] == "exec" and "namespace" in args:
    if not machine["uid"]:
        sys.exit("connection refused")
    print(machine["uid"], end="")
elif args[0] == "exec" and "customresourcedefinitions" in args:
    print("customresourcedefinition/it" if machine["known"] else "")
elif args[0] == "exec" and "--output=json" in args:
    lists = {"persistentvolumes": "volumes", "persistentvolumeclaims": "claims"}
    if machine["known"]:
        group = "snapshot.storage.k8s.io"
        lists |= {f"volumesnapshots.{group}": "snapshots", f"volumesnapshotcontents.{group}": "contents"}
    kind = args[args.index("get") + 1]
    if kind not in lists:
        sys.exit(f"error: no resource type {kind}")
    print(json.dumps({"items": machine[lists[kind]]}))
elif args[0] == "exec" and "/kind/campus.jupyterhub.json" in args[-1]:
    machine["mark"] = json.loads(sys.stdin.read())
elif args[:2] == ["network", "connect"]:
    machine["registry"] = "joined"
elif args[0] == "rm" and "abc123" in args:
    machine["registry"] = ""
elif args[0] == "rm":
    machine["nodes"] = {}
state.write_text(json.dumps(machine))
"""
KIND = """\
#!{python}
import json, pathlib, sys
state = pathlib.Path("{state}/machine.json")
machine = json.loads(state.read_text())
if sys.argv[1] == "get":
    print("apiVersion: v1")
else:
    config = json.loads(pathlib.Path(sys.argv[3].partition("=")[2]).read_text())
    names = ["control-plane", *(f"worker{n}" for n in range(len(config["nodes"]) - 1))]
    machine["nodes"] = {f"{config['name']}-{name}": "Up 1 second ago" for name in names}
    machine["uid"] = "new-uid"
    if machine["interrupted"]:
        state.write_text(json.dumps(machine))
        sys.exit("terminated")
state.write_text(json.dumps(machine))
"""
EMPTY: dict[str, Any] = {
    "nodes": {},
    "others": [],
    "mark": None,
    "uid": "",
    "registry": "running",
    "calls": [],
    "claims": [],
    "volumes": [],
    "known": False,
    "snapshots": [],
    "contents": [],
    "interrupted": False,
}
ANNS = {"metadata": {"name": "claim-ann", "annotations": {"hub.jupyter.org/username": "ann"}}}
CANARYS = {"metadata": {"name": "claim-canary", "annotations": {"hub.jupyter.org/username": "canary"}}}
BENS_LAST = {
    "metadata": {"name": "pvc-1"},
    "spec": {"claimRef": {"name": "claim-ben", "namespace": "jupyterhub"}},
    "status": {"phase": "Released"},
}
CLARAS_SNAPSHOT = {
    "metadata": {"name": "s-1", "uid": "1", "annotations": {"hub.jupyter.org/username": "clara"}},
    "spec": {"source": {"persistentVolumeClaimName": "claim-clara"}},
}
DORAS_CONTENT = {"metadata": {"name": "snapcontent-2"}, "spec": {"volumeSnapshotRef": {"name": "dora-1", "uid": "2"}}}
STOPPED = {"lab-control-plane": "Exited (137) 2 hours ago"}


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine without any cluster."""
    for name, text in {"podman": PODMAN, "kind": KIND}.items():
        path = tmp_path / name
        path.write_text(text.replace("{python}", sys.executable).replace("{state}", str(tmp_path)))
        path.chmod(0o755)
    (tmp_path / "machine.json").write_text(json.dumps(EMPTY))
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("CONTAINERS_CONF", "/dev/null")
    monkeypatch.setattr(kind_run, "MODULES", tmp_path / "modules")
    return tmp_path


def options(machine: Path, **changes: Any) -> dict[str, Any]:
    return {
        "name": "lab",
        "state": "present",
        "delete_disks": False,
        "canary": "canary",
        "workers": 1,
        "image": "kindest/node:v1.36.3",
        "built": {},
        "host_ports": [],
        "registry_port": 5001,
        "runtime": "podman",
        "environment": {},
        "kind": str(machine / "kind"),
        "kubeconfig": str(machine / "kubeconfig"),
        "cluster_uid": "",
        "cache": str(machine),
        "log": str(machine / "log"),
        **changes,
    }


def state_of(machine: Path) -> dict[str, Any]:
    return dict(json.loads((machine / "machine.json").read_text()))


def change(machine: Path, **changes: Any) -> None:
    (machine / "machine.json").write_text(json.dumps({**state_of(machine), **changes}))


def test_a_cluster_is_made_once(machine: Path) -> None:
    expected = kind_cluster.run(options(machine), check_mode=True)
    assert (expected["changed"], expected["exists"], state_of(machine)["nodes"]) == (True, False, {})

    made = kind_cluster.run(options(machine), check_mode=False)
    assert (made["changed"], made["uid"], made["context"]) == (True, "new-uid", "kind-lab")
    assert (machine / "kubeconfig").read_text() == "apiVersion: v1\n"
    assert (machine / "kubeconfig").stat().st_mode & 0o077 == 0
    calls = "\n".join(state_of(machine)["calls"])
    assert "network connect kind campus-registry" in calls
    assert "/etc/containerd/certs.d/localhost:5001/hosts.toml" in calls

    again = kind_cluster.run(options(machine), check_mode=False)
    assert (again["changed"], again["uid"]) == (False, "new-uid")


def test_a_kubeconfig_that_is_lost_is_written_again(machine: Path) -> None:
    kind_cluster.run(options(machine), check_mode=False)
    (machine / "kubeconfig").write_text("of another cluster")
    # Before kind itself is there, the file counts as it is.
    assert not kind_cluster.run(options(machine, kind="gone"), check_mode=True)["todo"]
    assert kind_cluster.run(options(machine), check_mode=True)["todo"]
    assert kind_cluster.run(options(machine), check_mode=False)["changed"]
    assert (machine / "kubeconfig").read_text() == "apiVersion: v1\n"
    (machine / "kubeconfig").unlink()
    assert kind_cluster.run(options(machine, kind="gone"), check_mode=True)["todo"]


def test_a_registry_that_was_started_anew_joins_again(machine: Path) -> None:
    kind_cluster.run(options(machine), check_mode=False)
    change(machine, registry="running")
    assert kind_cluster.run(options(machine), check_mode=True)["changed"]
    assert kind_cluster.run(options(machine), check_mode=False)["changed"]
    assert state_of(machine)["registry"] == "joined"


@pytest.mark.parametrize(
    ("changes", "wish", "said"),
    [
        ({"mark": None}, {}, "was not made by this collection"),
        ({"uid": ""}, {}, "its API server does not answer"),
        ({"nodes": STOPPED}, {}, "is not running: lab-control-plane stopped"),
        ({}, {"workers": 3}, "was made with cluster_workers 1, not 3"),
        ({}, {"cluster_uid": "other"}, "has the uid new-uid, not other"),
    ],
)
def test_what_stands_in_the_way_is_left_alone(
    machine: Path, changes: dict[str, Any], wish: dict[str, Any], said: str
) -> None:
    kind_cluster.run(options(machine), check_mode=False)
    change(machine, **changes)
    before = state_of(machine)["nodes"]
    with pytest.raises(KindError, match=said):
        kind_cluster.run(options(machine, **wish), check_mode=False)
    assert state_of(machine)["nodes"] == before


def test_removing_takes_the_registry_with_the_last_cluster(machine: Path) -> None:
    kind_cluster.run(options(machine), check_mode=False)
    absent = options(machine, state="absent")
    assert kind_cluster.run(absent, check_mode=True)["changed"]
    assert state_of(machine)["nodes"]
    change(machine, others=["other-control-plane"])
    assert kind_cluster.run(absent, check_mode=False)["changed"]
    assert (state_of(machine)["nodes"], state_of(machine)["registry"]) == ({}, "joined")
    change(machine, others=[])
    assert kind_cluster.run(absent, check_mode=False)["changed"]
    assert state_of(machine)["registry"] == ""
    assert not kind_cluster.run(absent, check_mode=False)["changed"]
    assert not (machine / "kubeconfig").exists()


def test_a_foreign_cluster_is_not_removed(machine: Path) -> None:
    change(machine, nodes={"lab-control-plane": "Up 1 hour ago"})
    with pytest.raises(KindError, match="left alone; remove it with 'podman rm --force --volumes"):
        kind_cluster.run(options(machine, state="absent", delete_disks=True), check_mode=False)
    assert state_of(machine)["nodes"]


@pytest.mark.parametrize(
    ("changes", "wish", "said"),
    [
        ({"claims": [CANARYS, ANNS]}, {}, r"snapshots here \(1\): ann. Nothing was removed. .*DELETE_DISKS=yes"),
        ({"volumes": [BENS_LAST]}, {}, r"disks or snapshots here \(1\): claim-ben. Nothing was removed"),
        ({"known": True, "snapshots": [CLARAS_SNAPSHOT]}, {}, r"here \(1\): clara. Nothing was removed"),
        ({"known": True, "contents": [DORAS_CONTENT]}, {}, r"here \(1\): dora-1. Nothing was removed"),
        ({"nodes": STOPPED}, {}, "Nothing was removed. Start it with 'podman start lab-control-plane'"),
        ({"uid": ""}, {}, "does not answer, so nobody can say which students have disks there. Nothing was removed"),
        ({}, {"cluster_uid": "other", "delete_disks": True}, "has the uid new-uid, not other"),
    ],
)
@pytest.mark.parametrize("check_mode", [True, False])
def test_disks_of_students_are_not_removed_by_the_way(
    machine: Path, changes: dict[str, Any], wish: dict[str, Any], said: str, check_mode: bool
) -> None:
    kind_cluster.run(options(machine), check_mode=False)
    change(machine, **changes)
    before = state_of(machine)["nodes"]
    with pytest.raises(KindError, match=said):
        kind_cluster.run(options(machine, state="absent", **wish), check_mode=check_mode)
    assert state_of(machine)["nodes"] == before
    if not wish:
        kind_cluster.run(options(machine, state="absent", delete_disks=True), check_mode=False)
        assert state_of(machine)["nodes"] == {}


def test_the_canarys_disk_holds_nobody_back(machine: Path) -> None:
    kind_cluster.run(options(machine), check_mode=False)
    change(machine, claims=[CANARYS])
    assert kind_cluster.run(options(machine, state="absent"), check_mode=False)["changed"]
    assert state_of(machine)["nodes"] == {}


def test_a_cluster_that_was_only_begun_is_said_to_be_and_can_be_removed(machine: Path) -> None:
    change(machine, interrupted=True)
    with pytest.raises(ImagesError, match="kind ended with 1"):
        kind_cluster.run(options(machine), check_mode=False)
    change(machine, interrupted=False)
    with pytest.raises(
        KindError, match="was begun by an earlier run that did not come to its end: remove it with `make"
    ):
        kind_cluster.run(options(machine), check_mode=False)
    assert kind_cluster.run(options(machine, state="absent"), check_mode=False)["changed"]
    assert kind_cluster.run(options(machine), check_mode=False)["changed"]
    # Once complete, a cluster without its mark is somebody else's.
    change(machine, mark=None)
    with pytest.raises(KindError, match="was not made by this collection"):
        kind_cluster.run(options(machine, state="absent"), check_mode=False)


def test_a_cluster_that_was_begun_and_removed_by_hand_is_forgotten(machine: Path) -> None:
    change(machine, interrupted=True)
    with pytest.raises(ImagesError, match="kind ended with 1"):
        kind_cluster.run(options(machine), check_mode=False)
    change(machine, nodes={})
    kind_cluster.run(options(machine, state="absent"), check_mode=True)
    change(machine, nodes={"lab-control-plane": "Up 1 hour ago"})
    with pytest.raises(KindError, match="was not made by this collection"):
        kind_cluster.run(options(machine, state="absent"), check_mode=False)


def test_a_creation_that_leaves_nothing_is_forgotten(machine: Path) -> None:
    with pytest.raises(ImagesError, match="could not run"):
        kind_cluster.run(options(machine, kind=str(machine / "no-kind")), check_mode=False)
    change(machine, nodes={"lab-control-plane": "Up 1 hour ago"})
    with pytest.raises(KindError, match="was not made by this collection"):
        kind_cluster.run(options(machine, state="absent"), check_mode=False)


def test_a_folder_that_cannot_be_made_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(kind_run, "MODULES", tmp_path / "gone" / "modules")
    with pytest.raises(ImagesError, match=r"kind needs the folder .*/gone/modules: make it with 'sudo mkdir"):
        kind_run.make_modules_folder()


def test_a_port_of_another_program_is_taken() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = HostPort("127.0.0.1", other.getsockname()[1], 30080)
        assert kind_run.taken_ports([port]) == [port]
    assert kind_run.taken_ports([port]) == []


@pytest.mark.parametrize(
    ("state", "word"),
    [
        ("running", "running"),
        ("Up 3 minutes ago", "running"),
        ("Up 3 minutes (Paused)", "up"),
        ("Exited (137) 2 hours ago", "exited"),
        ("Created", "created"),
    ],
)
def test_states_in_one_word(state: str, word: str) -> None:
    assert kind_run.plain_state(state) == word


def test_the_machines_own_podman_settings_are_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CONTAINERS_CONF", "/etc/mine.conf")
    assert build_runtime.podman_environment(tmp_path)["CONTAINERS_CONF"] == "/etc/mine.conf"
    assert not list(tmp_path.iterdir())
