# Copyright: campus.jupyterhub contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The Job that orders the certificate."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from campus_proxy.letsencrypt import Order

Render = Callable[..., list[dict[str, Any]]]
Objects = dict[tuple[str, str], dict[str, Any]]

TEMPLATES = tuple(("proxy", f"{name}.yml.j2") for name in ("config", "network", "workloads", "letsencrypt"))
DATA = {"tls.crt": "eA==", "tls.key": "eQ==", "account.json": "eg=="}
OPTIONS: dict[str, Any] = {
    "jupyterhub_url": "https://hub.example.org/",
    "proxy_https": "letsencrypt",
    "proxy_letsencrypt_agree": True,
    "proxy_letsencrypt_email": "staff@example.org",
    "proxy_image_pull_secrets": ["registry", "other"],
    "__proxy_certificate_data": DATA,
}


@pytest.fixture(scope="module")
def objects(render: Render) -> Objects:
    return {(item["kind"], item["metadata"]["name"]): item for item in render(*TEMPLATES, **OPTIONS)}


def jobs(objects: Objects) -> list[dict[str, Any]]:
    """The first Job's pod, and that of the later ones."""
    (first,) = [item for (kind, _name), item in objects.items() if kind == "Job"]
    later = objects["CronJob", "proxy-letsencrypt"]["spec"]["jobTemplate"]
    return [each["spec"]["template"] for each in (first, later)]


def test_it_may_touch_one_secret_and_nothing_else(objects: Objects) -> None:
    rule = {
        "apiGroups": [""],
        "resources": ["secrets"],
        "resourceNames": ["proxy-letsencrypt"],
        "verbs": ["get", "patch"],
    }
    assert objects["Role", "proxy-letsencrypt"]["rules"] == [rule]
    (subject,) = objects["RoleBinding", "proxy-letsencrypt"]["subjects"]
    assert subject["name"] == "proxy-letsencrypt"
    assert objects["Secret", "proxy-letsencrypt"]["data"] == DATA, "what the Job wrote stays"


def test_the_first_job_and_the_later_ones_are_the_same(objects: Objects) -> None:
    first, later = jobs(objects)
    assert first == later
    spec = first["spec"]
    assert spec["serviceAccountName"] == "proxy-letsencrypt"
    assert spec["imagePullSecrets"] == [{"name": "registry"}, {"name": "other"}]
    assert spec["securityContext"]["runAsNonRoot"] is True
    (container,) = spec["containers"]
    restricted = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}, "readOnlyRootFilesystem": True}
    assert container["securityContext"] == restricted
    order = Order.from_env({item["name"]: item["value"] for item in container["env"]})
    assert (order.host, order.email, order.ca) == ("hub.example.org", "staff@example.org", "")
    assert order.server == "https://acme-v02.api.letsencrypt.org/directory"


def test_every_replica_finds_the_job(objects: Objects) -> None:
    service = objects["Service", "proxy-acme"]["spec"]
    labels = jobs(objects)[0]["metadata"]["labels"]
    assert service["selector"].items() <= labels.items()
    assert service["ports"][0]["port"] == 80
    assert not service["selector"].items() <= objects["Deployment", "proxy"]["spec"]["selector"]["matchLabels"].items()


def test_it_looks_twice_a_day(objects: Objects) -> None:
    schedule = objects["CronJob", "proxy-letsencrypt"]["spec"]["schedule"]
    found = re.fullmatch(r"(\d+) (\d+),(\d+) \* \* \*", schedule)
    assert found
    minute, early, late = (int(number) for number in found.groups())
    assert minute < 60
    assert late == early + 12 < 24


def test_a_job_with_other_settings_is_another(render: Render, objects: Objects) -> None:
    other = render(("proxy", "letsencrypt.yml.j2"), **OPTIONS, proxy_letsencrypt_ca="PEM")
    (name,) = [item["metadata"]["name"] for item in other if item["kind"] == "Job"]
    assert ("Job", name) not in objects
    assert [item["data"] for item in other if item["kind"] == "ConfigMap"] == [{"ca.pem": "PEM"}]
    (cron,) = [item for item in other if item["kind"] == "CronJob"]
    (container,) = cron["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    order = Order.from_env({item["name"]: item["value"] for item in container["env"]})
    (mount,) = [mount for mount in container["volumeMounts"] if mount["name"] == "ca"]
    assert order.ca == f"{mount['mountPath']}/ca.pem"
