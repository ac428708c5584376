# Copyright: campus.jupyterhub contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Whole builds, with programs in place of podman, Go and mmdebstrap that only note what they were asked for."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import certifi
import pytest
from ansible_collections.campus.jupyterhub.plugins.module_utils import _build as build
from ansible_collections.campus.jupyterhub.plugins.module_utils import _build_local_registry as local_registry
from ansible_collections.campus.jupyterhub.plugins.module_utils._images import ImagesError

PODMAN = """\
#!{python}
import json, pathlib, sys
state = pathlib.Path("{state}")
args = sys.argv[1:]
with (state / "calls").open("a") as calls:
    calls.write(" ".join(["podman", *args]) + "\\n")
held = state / "held"
held.mkdir(exist_ok=True)
names = {path.name.replace("!", "/") for path in held.iterdir()}
hold = lambda name: (held / name.replace("/", "!")).touch()
if args[0] == "images":
    print("\\n".join(sorted(names)))
elif args[:2] == ["image", "inspect"]:
    sys.exit(0 if args[-1] in names and not print("id") else 125)
elif args[0] == "info":
    print(state)
elif args[0] == "build":
    stage = pathlib.Path(args[-1])
    if "fail" in (stage / "Containerfile").read_text():
        print("E: Unable to locate package nothing")
        sys.exit(100)
    name = args[args.index("--tag") + 1]
    files = sorted(str(path.relative_to(stage)) for path in stage.rglob("*") if path.is_file())
    (state / name.split("/")[-1].split(":")[0]).write_text("\\n".join(files))
    hold(name)
elif args[0] == "import":
    hold(args[-1])
elif args[0] == "rmi":
    (held / args[1].replace("/", "!")).unlink()
elif args[0] == "tag":
    hold(args[2])
elif args[0] == "untag":
    (held / args[2].replace("/", "!")).unlink()
elif args[0] == "save":
    pathlib.Path(args[args.index("--output") + 1]).write_text("archive")
elif args[0] == "push":
    _host, _campus, rest = args[-1].rsplit("/", 2)
    name, tag = rest.split(":")
    repository = state / "cache/registry/docker/registry/v2/repositories/campus" / name
    link = repository / "_manifests/tags" / tag / "current/link"
    link.parent.mkdir(parents=True)
    link.write_text("sha256:0")
"""
GO = """\
#!{python}
import os, pathlib, sys
if sys.argv[1] == "env":
    sys.exit(print("go1.26.8"))
with pathlib.Path("{state}/calls").open("a") as calls:
    calls.write(" ".join(["go", *sys.argv[1:]]) + "\\n")
for name in pathlib.Path("programs").read_text().split():
    (pathlib.Path(os.environ["GOBIN"]) / name).write_text(name)
"""
MMDEBSTRAP = """\
#!{python}
import pathlib, sys
pathlib.Path(sys.argv[-1]).write_text("debian")
"""
RECIPES: dict[str, Any] = {
    "debian": {"suite": "bookworm", "packages": ["ca-certificates"], "image": "docker.io/library/debian:bookworm"},
    "tools": {
        "kubernetes": {"module": "k8s.io/kubernetes", "rename": {"server": "kubelet"}},
        "kind": {"module": "sigs.k8s.io/kind"},
        "registry": {"module": "example.org/registry"},
    },
    "images": {
        "base": None,
        "pause": None,
        "node": {
            "version": "kubernetes",
            "upstream": "docker.io/kindest/node:{kubernetes}",
            "binaries": [{"tool": "kubernetes", "names": ["kubelet"], "into": "bin/node"}],
            "archive": {"pause": "registry.k8s.io/pause:1"},
        },
        "registry": {"binaries": [{"tool": "registry", "names": ["registry"], "into": "bin"}]},
        "hub": None,
    },
}
PROGRAMS = {"kubernetes": "server", "kind": "kind", "registry": "registry"}


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with the three programs; returns the folder of its state."""
    commands, images = tmp_path / "commands", tmp_path / "images"
    commands.mkdir()
    for name, text in {"podman": PODMAN, "go": GO, "mmdebstrap": MMDEBSTRAP}.items():
        path = commands / name
        path.write_text(text.replace("{python}", sys.executable).replace("{state}", str(tmp_path)))
        path.chmod(0o755)
    for name in RECIPES["images"]:
        (images / name).mkdir(parents=True)
        first = "FROM scratch\n" if name in {"base", "registry"} else "ARG BASE\nFROM ${BASE}\nRUN true\n"
        (images / name / "Containerfile").write_text(first)
    for name, recipe in RECIPES["tools"].items():
        (images / "tools" / name).mkdir(parents=True)
        (images / "tools" / name / "go.mod").write_text(f"require {recipe['module']} v1.2.3\n")
        (images / "tools" / name / "programs").write_text(PROGRAMS[name])
    monkeypatch.setenv("PATH", str(commands))
    for name in ("SSL_CERT_FILE", "HTTPS_PROXY", "HTTP_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("CONTAINERS_CONF", "/dev/null")
    started: list[str] = []
    monkeypatch.setattr(local_registry.LocalRegistry, "state", lambda _self: "serving" if started else "absent")
    monkeypatch.setattr(local_registry.LocalRegistry, "start", lambda _self, image: started.append(image))
    return tmp_path


def options(machine: Path, **changes: Any) -> dict[str, Any]:
    return {
        "recipes": RECIPES,
        "collections": {},
        "folder": str(machine / "images"),
        "version": "0.1.0",
        "images": ["hub", "pause"],
        "kind": True,
        "source": "build",
        "registry": "",
        "references": {},
        "runtime": "podman",
        "cache": str(machine / "cache"),
        "logs": str(machine / "logs"),
        "registry_port": 5001,
        "ca_bundle": "",
        "debian_mirror": "",
        "jobs": 2,
        "progress": str(machine / "progress"),
        **changes,
    }


def names(result: dict[str, Any]) -> set[str]:
    return {f"{step['action']} {step['name']}" for step in result["steps"]}


EVERYTHING = {
    *(f"tool {name}" for name in ("kubernetes", "kind", "registry")),
    *(f"image {name}" for name in ("base", "pause", "node", "registry", "hub")),
    "serve registry",
    "push hub",
    "push pause",
}


def test_everything_is_built_once(machine: Path) -> None:
    expected = build.build(options(machine), check_mode=True)
    assert names(expected) == EVERYTHING
    assert not (machine / "logs").exists()

    result = build.build(options(machine), check_mode=False)
    assert names(result) == EVERYTHING
    assert result["changed"]
    assert result["images"]["hub"].startswith("localhost:5001/campus/hub:0.1.0-")
    assert result["images"]["node"].startswith("localhost:5001/campus/node:v1.2.3-")
    assert Path(result["tools"]["kind"]).read_text() == "kind"
    assert (machine / "node").read_text().split() == ["Containerfile", "bin/node/kubelet", "images.tar"]
    assert f"[{len(EVERYTHING)}/{len(EVERYTHING)} " in (machine / "progress").read_text()
    # The names that the node's archive needed are gone again.
    assert not list((machine / "held").glob("registry.k8s.io*"))

    again = build.build(options(machine), check_mode=False)
    assert (again["changed"], again["steps"], again["images"]) == (False, [], result["images"])


def test_a_change_builds_only_what_is_made_of_it(machine: Path) -> None:
    first = build.build(options(machine), check_mode=False)
    (machine / "images" / "hub" / "config.py").write_text("new = True\n")
    second = build.build(options(machine), check_mode=False)
    assert names(second) == {"image hub", "push hub"}
    assert second["images"]["hub"] != first["images"]["hub"]
    assert second["images"]["pause"] == first["images"]["pause"]
    hubs = [path.name.replace("!", "/") for path in (machine / "held").glob("*hub*")]
    assert hubs == [second["images"]["hub"]]


def test_a_failed_build_shows_the_end_of_its_log(machine: Path) -> None:
    (machine / "images" / "hub" / "Containerfile").write_text("ARG BASE\nFROM ${BASE}\nRUN fail\n")
    with pytest.raises(ImagesError, match=r"hub: podman ended with 100. The log is .*/logs/hub.log; its end:") as error:
        build.build(options(machine, jobs=1), check_mode=False)
    assert str(error.value).endswith("E: Unable to locate package nothing")


def test_a_bundle_is_mounted_for_the_build_alone(machine: Path) -> None:
    bundle = certifi.where()
    build.build(options(machine, ca_bundle=bundle), check_mode=False)
    calls = (machine / "calls").read_text().splitlines()
    hub = next(call for call in calls if "--label campus.jupyterhub=hub" in call)
    assert f"--volume {bundle}:/etc/ssl/certs/ca-certificates.crt:ro" in hub
    assert "--build-arg PIP_CERT=/etc/ssl/certs/ca-certificates.crt" in hub


def test_images_for_a_cluster_elsewhere_are_pushed_to_its_registry(machine: Path) -> None:
    remote = options(machine, kind=False, registry="registry.invalid/hubs")
    result = build.build(remote, check_mode=False)
    assert names(result) == {"image base", "image hub", "image pause", "push hub", "push pause"}
    assert result["images"]["hub"].startswith("registry.invalid/hubs/campus-hub:0.1.0-")
    with pytest.raises(ImagesError, match="images hub, pause have to be built, but the cluster's nodes cannot pull"):
        build.build(options(machine, kind=False), check_mode=True)


def test_what_a_registry_has_is_not_built(machine: Path) -> None:
    known = {name: f"registry.invalid/{name}:1" for name in ("hub", "pause", "node")}
    (machine / "cache").mkdir()
    (machine / "cache" / "published.json").write_text(json.dumps(sorted(known.values())))
    result = build.build(options(machine, source="auto", references=known), check_mode=False)
    assert result["images"] == known
    assert names(result) == {"tool kind"}
    elsewhere = build.build(options(machine, source="registry", references=known, kind=False), check_mode=True)
    assert (elsewhere["runtime"], elsewhere["steps"]) == ("", [])


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"images": ["hub", "lab"]}, "There is no image lab; choose from base, hub, node, pause, registry."),
        ({"references": {"hub": "Not A Name"}}, "'Not A Name' is not the name of an image"),
        ({"runtime": "docker"}, "docker does not run on this machine"),
        ({"ca_bundle": "/dev/null"}, "images_ca_bundle is /dev/null, which is no file of certificates"),
        ({"source": "registry"}, "no registry has the image hub; set images_registry"),
    ],
)
def test_bad_options_are_refused(machine: Path, changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ImagesError, match=said):
        build.build(options(machine, **changes), check_mode=True)


def test_a_machine_without_a_runtime_is_told_what_to_do(machine: Path) -> None:
    os.unlink(machine / "commands" / "podman")
    with pytest.raises(ImagesError, match="No container runtime was found: install podman"):
        build.build(options(machine, runtime="auto"), check_mode=True)
