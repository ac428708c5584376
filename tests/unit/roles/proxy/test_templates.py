# Copyright: campus.jupyterhub contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from ansible_collections.campus.jupyterhub.tests.unit.roles.rendered import Objects, by_name
from campus_proxy.settings import Settings

Render = Callable[..., list[dict[str, Any]]]

TEMPLATES = tuple(("proxy", f"{name}.yml.j2") for name in ("namespace", "rights", "config", "network", "workloads"))
# What role variables hold when they come from the command line, too: text.
EVERYTHING: dict[str, Any] = {
    "jupyterhub_name": "course",
    "jupyterhub_namespace": "course",
    "jupyterhub_url": "https://uni.example.org:8443/jupyter/",
    "proxy_image_pull_secrets": ["registry"],
    "proxy_replicas": "3",
    "proxy_service_annotations": {"example.org/balancer": "internal"},
    "proxy_external_traffic_policy": "Local",
    "proxy_https": "secret",
    "proxy_https_secret": "site-tls",
    "proxy_trusted_networks": ["10.0.0.0/8", "fd00::/8"],
    "proxy_drain_seconds": "60",
    "proxy_access_log": "true",
    "proxy_node_selector": {"pool": "core"},
    "proxy_tolerations": [{"key": "core", "operator": "Exists"}],
    "proxy_priority_class": "high",
    "proxy_student_port": 9999,
    "proxy_egress": [{"to": [{"ipBlock": {"cidr": "10.9.0.0/16"}}]}],
}


@pytest.fixture(scope="module")
def plain(render: Render) -> Objects:
    return by_name(render(*TEMPLATES))


@pytest.fixture(scope="module")
def full(render: Render) -> Objects:
    return by_name(render(*TEMPLATES, **EVERYTHING))


@pytest.fixture(params=["plain", "full"])
def objects(request: pytest.FixtureRequest) -> Objects:
    found: Objects = request.getfixturevalue(request.param)
    return found


def pod(objects: Objects) -> dict[str, Any]:
    spec: dict[str, Any] = objects["Deployment", "proxy"]["spec"]["template"]["spec"]
    return spec


def containers(objects: Objects) -> list[dict[str, Any]]:
    return [*pod(objects)["initContainers"], *pod(objects)["containers"]]


def environment(container: dict[str, Any]) -> dict[str, str]:
    return {item["name"]: item["value"] for item in container["env"] if "value" in item}


def test_the_objects_of_the_proxy(plain: Objects, full: Objects) -> None:
    assert set(plain) == {
        ("ServiceAccount", "proxy"),
        ("Role", "proxy"),
        ("RoleBinding", "proxy"),
        ("NetworkPolicy", "proxy"),
        ("Service", "proxy-public"),
        ("Service", "proxy-agent"),
        ("PodDisruptionBudget", "proxy"),
        ("Deployment", "proxy"),
    }
    assert set(full) == set(plain)


def test_every_object_is_labelled(objects: Objects) -> None:
    for item in objects.values():
        labels = {"app": "jupyterhub", "component": "proxy", "app.kubernetes.io/managed-by": "campus.jupyterhub"}
        assert item["metadata"]["labels"] == labels


def test_the_proxy_may_only_look(objects: Objects) -> None:
    rules = objects["Role", "proxy"]["rules"]
    assert {verb for rule in rules for verb in rule["verbs"]} == {"get", "list", "watch"}
    assert sorted(resource for rule in rules for resource in rule["resources"]) == ["endpointslices", "pods"]


def test_pod_security_restricted(objects: Objects) -> None:
    assert pod(objects)["securityContext"]["runAsNonRoot"] is True
    assert pod(objects)["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    for container in containers(objects):
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        }
    assert {kind for volume in pod(objects)["volumes"] for kind in volume if kind != "name"} <= {"emptyDir", "secret"}


def test_quality_of_service_is_guaranteed(objects: Objects) -> None:
    for container in containers(objects):
        assert set(container["resources"]["limits"]) == {"cpu", "memory"}
        assert container["resources"]["limits"] == container["resources"]["requests"]


def test_the_agent_outlives_haproxy(objects: Objects) -> None:
    assert [container["name"] for container in containers(objects)] == ["agent", "haproxy"]
    assert pod(objects)["initContainers"][0]["restartPolicy"] == "Always"


def test_replacing_and_draining_leave_no_gap(objects: Objects) -> None:
    strategy = objects["Deployment", "proxy"]["spec"]["strategy"]["rollingUpdate"]
    assert strategy == {"maxSurge": 1, "maxUnavailable": 0}
    budget = objects["PodDisruptionBudget", "proxy"]["spec"]
    assert budget["maxUnavailable"] == 1
    assert budget["selector"] == objects["Deployment", "proxy"]["spec"]["selector"]
    hook = pod(objects)["containers"][0]["lifecycle"]["preStop"]["exec"]["command"]
    assert hook == ["campus-proxy-drain"]


@pytest.mark.parametrize(("which", "seconds"), [("plain", 300), ("full", 60)])
def test_the_pod_outlives_its_drain(request: pytest.FixtureRequest, which: str, seconds: int) -> None:
    found = request.getfixturevalue(which)
    assert pod(found)["terminationGracePeriodSeconds"] > seconds + 30


def test_what_hangs_is_not_waited_for_as_if_it_drained(objects: Objects) -> None:
    for container in containers(objects):
        assert container["livenessProbe"]["terminationGracePeriodSeconds"] < 10


def test_a_node_takes_no_two_replicas_along(objects: Objects) -> None:
    host, zone = pod(objects)["topologySpreadConstraints"]
    assert (host["topologyKey"], host["whenUnsatisfiable"]) == ("kubernetes.io/hostname", "DoNotSchedule")
    assert host["nodeTaintsPolicy"] == "Honor"
    assert zone["whenUnsatisfiable"] == "ScheduleAnyway"


def test_the_image_takes_the_settings(plain: Objects, full: Objects) -> None:
    for container in containers(plain):
        settings = Settings.from_env(environment(container))
        assert (settings.name, settings.https, settings.public_port, settings.access_log) == (
            "jupyterhub",
            "disabled",
            443,
            False,
        )
    for container in containers(full):
        settings = Settings.from_env(environment(container))
        assert (settings.name, settings.https, settings.public_port, settings.access_log) == (
            "course",
            "secret",
            8443,
            True,
        )
        assert settings.trusted_networks == ("10.0.0.0/8", "fd00::/8")
        assert settings.drain_seconds == 60


@pytest.mark.parametrize(("expose", "kind"), [("load_balancer", "LoadBalancer"), ("cluster_ip", "ClusterIP")])
def test_how_people_reach_it(render: Render, plain: Objects, expose: str, kind: str) -> None:
    assert plain["Service", "proxy-public"]["spec"]["type"] == "NodePort"
    assert plain["Service", "proxy-public"]["spec"]["ports"][0]["nodePort"] == 30080
    service = by_name(render(TEMPLATES[-1], proxy_expose=expose))["Service", "proxy-public"]["spec"]
    assert service["type"] == kind
    assert "nodePort" not in service["ports"][0]
    assert ("externalTrafficPolicy" in service) is (expose != "cluster_ip")


def certificate_of(objects: Objects) -> dict[str, Any]:
    """The volume of the certificate; both containers have it, and only to read."""
    for container in containers(objects):
        (mount,) = [mount for mount in container["volumeMounts"] if mount["name"] == "certificate"]
        settings = Settings.from_env(environment(container))
        assert (mount["mountPath"], mount["readOnly"]) == (str(settings.tls_dir), True)
    (volume,) = [volume for volume in pod(objects)["volumes"] if volume["name"] == "certificate"]
    secret: dict[str, Any] = volume["secret"]
    return secret


def test_https_has_its_port_and_its_certificate(full: Objects) -> None:
    ports = full["Service", "proxy-public"]["spec"]["ports"]
    assert [(port["port"], port["nodePort"]) for port in ports] == [(80, 30080), (443, 30443)]
    assert certificate_of(full)["secretName"] == "site-tls"
    assert {item["path"] for item in certificate_of(full)["items"]} == {"tls.crt", "tls.key"}
    template = full["Deployment", "proxy"]["spec"]["template"]
    assert "annotations" not in template["metadata"], "another certificate must not replace the replicas"


DATA = {"tls.crt": "eA==", "tls.key": "eQ=="}


def test_a_self_signed_certificate_is_part_of_it(render: Render) -> None:
    options = {"jupyterhub_url": "https://hub.example.org/", "__proxy_certificate_data": DATA}
    objects = by_name(render(*TEMPLATES, **options))
    secret = objects["Secret", "proxy-self-signed"]
    assert (secret["type"], secret["data"]) == ("kubernetes.io/tls", DATA)
    assert certificate_of(objects)["secretName"] == "proxy-self-signed"
    assert Settings.from_env(environment(containers(objects)[0])).https == "self_signed"


@pytest.mark.parametrize(
    ("options", "https"),
    [
        ({"jupyterhub_url": "http://hub.example.org/"}, "disabled"),
        ({"jupyterhub_url": "https://hub.example.org/", "proxy_expose": "cluster_ip"}, "disabled"),
        ({"jupyterhub_url": "https://hub.example.org/", "proxy_expose": "load_balancer"}, "self_signed"),
        ({"jupyterhub_url": "https://hub.example.org/", "proxy_https": "disabled"}, "disabled"),
    ],
)
def test_where_there_is_https_by_itself(render: Render, options: dict[str, Any], https: str) -> None:
    objects = by_name(render(TEMPLATES[-1], **options))
    assert Settings.from_env(environment(containers(objects)[0])).https == https
    ports = [port["name"] for port in objects["Service", "proxy-public"]["spec"]["ports"]]
    assert ports == (["http"] if https == "disabled" else ["http", "https"])


def test_the_options_arrive(full: Objects) -> None:
    assert full["Deployment", "proxy"]["spec"]["replicas"] == 3
    assert pod(full)["priorityClassName"] == "high"
    assert pod(full)["nodeSelector"] == {"pool": "core"}
    assert pod(full)["tolerations"] == EVERYTHING["proxy_tolerations"]
    assert pod(full)["imagePullSecrets"] == [{"name": "registry"}]
    public = full["Service", "proxy-public"]
    assert public["metadata"]["annotations"] == {"example.org/balancer": "internal"}
    assert public["spec"]["externalTrafficPolicy"] == "Local"
    egress = full["NetworkPolicy", "proxy"]["spec"]["egress"]
    assert EVERYTHING["proxy_egress"][0] in egress
    assert [{"port": 9999, "protocol": "TCP"}] in [rule.get("ports") for rule in egress]


HOST_PORT: dict[str, Any] = {"proxy_expose": "host_port", "proxy_https": "secret", "proxy_https_secret": "tls"}
EDGE = "jupyterhub-edge"


@pytest.fixture(scope="module")
def on_nodes(render: Render) -> list[dict[str, Any]]:
    return render(*TEMPLATES, **HOST_PORT, proxy_host_http_port=8080, jupyterhub_url="https://hub.example.org/")


def in_namespace(objects: list[dict[str, Any]], namespace: str) -> Objects:
    """The objects of a namespace."""
    return by_name([item for item in objects if item["metadata"].get("namespace") == namespace])


def test_ports_of_nodes_have_a_namespace_of_their_own(on_nodes: list[dict[str, Any]]) -> None:
    (namespace,) = [item for item in on_nodes if item["kind"] == "Namespace"]
    assert namespace["metadata"]["name"] == EDGE
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "privileged"
    assert namespace["metadata"]["labels"]["app.kubernetes.io/managed-by"] == "campus.jupyterhub", (
        "teardown finds it so"
    )
    assert set(in_namespace(on_nodes, "jupyterhub")) == {("Role", "proxy-edge"), ("RoleBinding", "proxy-edge")}
    assert in_namespace(on_nodes, EDGE)["NetworkPolicy", "default-deny"]["spec"] == {
        "podSelector": {},
        "policyTypes": ["Ingress", "Egress"],
    }


def test_the_pods_there_are_as_restricted_as_before(on_nodes: list[dict[str, Any]], plain: Objects) -> None:
    found = in_namespace(on_nodes, EDGE)
    test_pod_security_restricted(found)
    assert pod(found)["securityContext"] == pod(plain)["securityContext"]
    assert not pod(found).get("hostNetwork")


def test_the_ports_of_the_nodes_lead_to_haproxy(on_nodes: list[dict[str, Any]], plain: Objects) -> None:
    found = in_namespace(on_nodes, EDGE)
    (haproxy,) = pod(found)["containers"]
    ports = {port["name"]: (port["containerPort"], port.get("hostPort")) for port in haproxy["ports"]}
    assert ports == {"http": (8080, 8080), "https": (8443, 443), "monitor": (8404, None)}
    assert all("hostPort" not in port for container in containers(plain) for port in container["ports"])
    assert found["Service", "proxy-public"]["spec"]["type"] == "ClusterIP"


def test_a_port_that_is_taken_is_not_waited_for_for_ever(on_nodes: list[dict[str, Any]]) -> None:
    strategy = in_namespace(on_nodes, EDGE)["Deployment", "proxy"]["spec"]["strategy"]["rollingUpdate"]
    assert strategy == {"maxSurge": 0, "maxUnavailable": 1}


def test_the_proxy_looks_into_the_hubs_namespace_from_its_own(on_nodes: list[dict[str, Any]]) -> None:
    theirs, ours = in_namespace(on_nodes, "jupyterhub"), in_namespace(on_nodes, EDGE)
    proxy = {"kind": "ServiceAccount", "name": "proxy", "namespace": EDGE}
    assert theirs["RoleBinding", "proxy-edge"]["subjects"] == [proxy]
    test_the_proxy_may_only_look({("Role", "proxy"): theirs["Role", "proxy-edge"]})
    hub = {"kind": "ServiceAccount", "name": "hub", "namespace": "jupyterhub"}
    rights = {
        name: [(rule["resources"], rule["verbs"]) for rule in item["rules"]]
        for (kind, name), item in ours.items()
        if kind == "Role"
    }
    look = (["endpointslices"], ["get", "list", "watch"])
    assert rights == {"hub": [look, (["pods"], ["delete"])]}
    assert ours["RoleBinding", "hub"]["subjects"] == [hub]
    for container in containers(ours):
        fields = {
            item["name"]: item["valueFrom"]["fieldRef"]["fieldPath"] for item in container["env"] if "valueFrom" in item
        }
        assert fields["CAMPUS_NAMESPACE"] == "metadata.namespace"
        assert Settings.from_env(environment(container)).hub_namespace == "jupyterhub"
