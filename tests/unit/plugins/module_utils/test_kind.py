# Copyright: campus.jupyterhub contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What follows from the kind cluster that is there and the one that is wanted."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from ansible_collections.campus.jupyterhub.plugins.module_utils import _kind as kind
from hypothesis import given
from hypothesis import strategies as st

PORT = kind.HostPort("127.0.0.1", 8000, 30080)
WANTED = kind.Wanted("lab", 2, "kindest/node:v1.36.3", (PORT,), 5001)
RUNNING = {"lab-control-plane": "running", "lab-worker": "running", "lab-worker2": "running"}
COMPLETE = kind.Found(RUNNING, WANTED.mark(), "uid")


@pytest.mark.parametrize(
    ("wanted", "found", "plan"),
    [
        (WANTED, kind.Found({}), kind.Plan(create=True, registry=True)),
        (replace(WANTED, registry_port=0), kind.Found({}), kind.Plan(create=True)),
        (WANTED, COMPLETE, kind.Plan()),
        # A port that the cluster itself holds is not taken.
        (WANTED, replace(COMPLETE, taken=[PORT]), kind.Plan()),
        (replace(WANTED, registry_port=5002), COMPLETE, kind.Plan(registry=True)),
        (replace(WANTED, image=""), COMPLETE, kind.Plan()),
    ],
)
def test_what_is_to_be_done(wanted: kind.Wanted, found: kind.Found, plan: kind.Plan) -> None:
    assert kind.decide(wanted, found, "podman") == plan


REMOVE = "podman rm --force --volumes $(podman ps --all --quiet --filter label=io.x-k8s.kind.cluster=lab)"


@pytest.mark.parametrize(
    ("wanted", "found", "said"),
    [
        (WANTED, kind.Found({}, taken=[PORT]), "Port 8000 of 127.0.0.1 is taken by another program"),
        (
            WANTED,
            kind.Found({**RUNNING, "lab-worker": "exited"}, WANTED.mark()),
            f"not running: lab-worker stopped. Start it with 'podman start lab-worker', or remove it with '{REMOVE}'",
        ),
        (WANTED, kind.Found(RUNNING, None, "uid"), "was not made by this collection: choose another"),
        (WANTED, kind.Found(RUNNING, None, "uid", begun=True), "was begun by an earlier run"),
        (WANTED, kind.Found(RUNNING, WANTED.mark()), "its API server does not answer"),
        (replace(WANTED, workers=1), COMPLETE, "was made with cluster_workers 2, not 1, which cannot be changed later"),
        (replace(WANTED, host_ports=()), COMPLETE, "cluster_host_ports 127.0.0.1:8000→30080, not none"),
    ],
)
def test_what_must_not_be_touched_is_refused(wanted: kind.Wanted, found: kind.Found, said: str) -> None:
    with pytest.raises(kind.KindError) as error:
        kind.decide(wanted, found, "podman")
    assert said in str(error.value)


def test_nodes_of_another_image_are_kept_with_a_warning() -> None:
    plan = kind.decide(replace(WANTED, image="localhost:5001/campus/node:2"), COMPLETE, "podman")
    assert not plan.create
    (warning,) = plan.warnings
    assert warning.startswith("The nodes of lab were made from kindest/node:v1.36.3; a new cluster would be made from")


states = st.dictionaries(st.sampled_from(sorted(RUNNING)), st.sampled_from(["running", "exited", "paused", "created"]))
marks = st.none() | st.just(WANTED.mark()) | st.just({"workers": 1})


@given(states, marks, st.sampled_from(["", "uid"]), st.lists(st.just(PORT), max_size=1))
def test_a_cluster_that_is_there_is_never_made_again(
    containers: dict[str, str], mark: Any, uid: str, taken: list[kind.HostPort]
) -> None:
    try:
        plan = kind.decide(WANTED, kind.Found(containers, mark, uid, taken), "podman")
    except kind.KindError:
        return
    assert plan.create == (not containers)
    assert not plan.create or not taken
    assert plan.create or (mark and uid and set(containers.values()) == {"running"})


def test_the_mark_survives_being_written() -> None:
    assert json.loads(json.dumps(WANTED.mark())) == WANTED.mark()


def test_the_configuration_of_kinds_own_image_names_no_versions() -> None:
    config = kind.config(WANTED)
    assert [node["role"] for node in config["nodes"]] == ["control-plane", "worker", "worker"]
    assert config["nodes"][0]["extraPortMappings"] == [
        {"containerPort": 30080, "hostPort": 8000, "listenAddress": "127.0.0.1", "protocol": "TCP"}
    ]
    cluster, kubelet, kube_proxy = (json.loads(patch) for patch in config["kubeadmConfigPatches"])
    assert kubelet["kind"] == "KubeletConfiguration"
    assert kube_proxy["kind"] == "KubeProxyConfiguration"
    assert cluster["kind"] == "ClusterConfiguration"
    assert not {"etcd", "dns", "kubernetesVersion"} & cluster.keys()


@pytest.mark.parametrize("built", [(), (("coredns", "v1.13.2"), ("etcd", "v3.6.10"))])
def test_the_only_control_plane_elects_no_leader(built: tuple[tuple[str, str], ...]) -> None:
    patches = [json.loads(patch) for patch in kind.config(replace(WANTED, built=built))["kubeadmConfigPatches"]]
    (cluster,) = [patch for patch in patches if patch["kind"] == "ClusterConfiguration"]
    # kind turns a mapping into kubeadm's newer list, but only for a patch of no version.
    assert "apiVersion" not in cluster
    for component in ("scheduler", "controllerManager"):
        assert cluster[component] == {"extraArgs": {"leader-elect": "false"}}


def test_what_one_cluster_adds_is_not_in_the_next() -> None:
    kind.config(replace(WANTED, built=(("coredns", "v1.13.2"), ("etcd", "v3.6.10"))))
    assert "imageTag" not in json.dumps(kind.config(WANTED))


def test_an_image_that_was_built_tells_kubeadm_its_versions() -> None:
    built = replace(WANTED, built=(("coredns", "v1.13.2"), ("etcd", "v3.6.10")), limited=True)
    cluster, kubelet, kube_proxy = (json.loads(patch) for patch in kind.config(built)["kubeadmConfigPatches"])
    assert cluster["etcd"]["local"]["imageTag"] == "v3.6.10"
    assert cluster["dns"]["imageTag"] == "v1.13.2"
    assert kubelet["featureGates"] == {"KubeletInUserNamespace": True}
    assert kube_proxy["conntrack"] == {"tcpCloseWaitTimeout": "1m0s"}
