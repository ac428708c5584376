# Copyright: campus.jupyterhub contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.campus.jupyterhub.plugins.module_utils import _hub_problems as hub_problems

ROLES = Path(__file__).parents[4] / "roles"
ROLE = ROLES / "hub"
SCHEMA = json.loads((ROLE / "files" / "schema" / "jupyterhub-6.1.1.json").read_text())
DEFAULTS = {
    name.removeprefix("jupyterhub_").removeprefix("hub_"): value
    for role in (ROLES / "jupyterhub", ROLE)
    for name, value in yaml.safe_load((role / "defaults" / "main.yml").read_text()).items()
}
GOOD = {
    **DEFAULTS,
    "image": "localhost:5001/campus/hub:1.0",
    "singleuser_image": "quay.io/campus/singleuser@sha256:" + "a" * 64,
    "pause_image": "pause",
    "proxy_namespace": "jupyterhub",
    "admin_users": ["admin"],
}


def problems(**options: Any) -> list[str]:
    return hub_problems.problems({**GOOD, **options}, SCHEMA)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"url": "http://127.0.0.1:8000"},
        {"url": "https://[::1]:8443/jupyter/"},
        {"url": "https://hub.example.org/jupyter/", "subdomain_host": "https://hub.example.org"},
        {"url": "https://hub.example.org:443", "subdomain_host": "https://HUB.example.org/"},
        {"url": "http://hub.localhost:8000", "subdomain_host": "http://hub.localhost:8000"},
        {"db_url": "postgresql://hub:p@db:5432/hub"},
        {"db_url": "sqlite:////srv/jupyterhub/other.sqlite"},
        {"replicas": 2, "db_url": "postgresql://hub:p@db:5432/hub"},
        {"student_memory_limit": "0", "student_cpu_limit": 0},
        {"admin_users": [], "allow_all": True},
        {"admin_users": [], "config": {"GitHubOAuthenticator": {"allowed_organizations": ["uni"]}}},
        {"admin_users": [], "extra_classes": ["MyAuthenticator"]},
        {"config": {"KubeSpawner": {"mem_limit": "2G", "extra_labels": {"a": "b"}, "delete_pvc": False}}},
        {"config": {"MyAuthenticator": {"anything": 1}}, "extra_classes": ["MyAuthenticator"]},
        {"config": {"JupyterHub": {"services": [{"name": "mine"}]}}},
        {"profiles": [{"display_name": "Big", "kubespawner_override": {"mem_limit": "8G"}}]},
        {"student_volumes": [{"name": "data"}], "student_volume_mounts": [{"name": "data", "mountPath": "/data"}]},
        {"student_egress": []},
        {"student_egress": [{"to": [{"podSelector": {}}]}]},
        {"extra_config": {"hook": "c.Spawner.pre_spawn_hook = lambda spawner: None"}},
        {"secrets": {"student_password": "long enough"}},
    ],
)
def test_sound_options_have_no_problem(options: dict[str, Any]) -> None:
    assert problems(**options) == []


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"name": "Hub"}, "jupyterhub_name is 'Hub'; use at most 63 lower-case"),
        ({"namespace": "n" * 64}, "jupyterhub_namespace is 'nnn"),
        ({"image": ""}, "hub_image is ''; give an image such as"),
        ({"singleuser_image": "UPPER/Case"}, "hub_singleuser_image is 'UPPER/Case'"),
        ({"student_disk_size": "ten"}, "hub_student_disk_size: 'ten' is not a Kubernetes quantity"),
        ({"student_disk_size": "0"}, "hub_student_disk_size: '0' is not a size above zero"),
        ({"db_size": "1GB"}, "hub_db_size: '1GB' is not a Kubernetes quantity"),
        ({"student_memory_limit": "lots"}, "hub_student_memory_limit: 'lots' is not"),
        ({"student_memory_limit": "-1"}, "hub_student_memory_limit: '-1' is not a size above zero"),
        ({"student_cpu_limit": "-1"}, "hub_student_cpu_limit: '-1' is below zero"),
        ({"student_memory_guarantee": "2Gi"}, "hub_student_memory_guarantee is above hub_student_memory_limit"),
        ({"student_cpu_guarantee": "3"}, "hub_student_cpu_guarantee is above hub_student_cpu_limit"),
        ({"named_servers": -1}, "hub_named_servers is -1; use 0 or more"),
        ({"replicas": 0}, "hub_replicas is 0; use 1, or 2"),
        ({"replicas": 3, "db_url": "postgresql://hub:p@db/hub"}, "hub_replicas is 3; use 1, or 2"),
        ({"replicas": 2}, "hub_replicas is 2, but sqlite serves one hub only"),
        ({"replicas": 2, "db_url": "sqlite:////srv/jupyterhub/a.sqlite"}, "hub_replicas is 2, but sqlite"),
        ({"cull_timeout": 5}, "hub_cull_timeout is 5; use 60 or more"),
        ({"url": "hub.example.org"}, "jupyterhub_url is 'hub.example.org'; give the hub's public address"),
        ({"url": "https://hub.example.org/?a=b"}, "jupyterhub_url is"),
        ({"subdomain_host": "hub.example.org"}, "hub_subdomain_host is 'hub.example.org'; give scheme and host alone"),
        ({"subdomain_host": "https://hub.example.org/jupyter"}, "give scheme and host alone, such as https://hub.ex"),
        ({"subdomain_host": "ftp://hub.example.org"}, "hub_subdomain_host is 'ftp://hub.example.org'; give scheme"),
        ({"subdomain_host": "http://127.0.0.1:8000"}, "but there are no names below an address; give a host name."),
        ({"subdomain_host": "https://hub.example.org"}, "but jupyterhub_url is empty; people are sent back and forth"),
        (
            {"subdomain_host": "https://example.org", "url": "https://hub.example.org/"},
            "hub_subdomain_host is 'https://example.org', but jupyterhub_url is https://hub.example.org/;",
        ),
        (
            {"subdomain_host": "https://hub.example.org", "url": "https://hub.example.org:8443/"},
            "so give both the same scheme, host and port.",
        ),
        (
            {"config": {"JupyterHub": {"subdomain_host": "https://hub.example.org"}}},
            "hub_config sets JupyterHub.subdomain_host; use hub_subdomain_host instead.",
        ),
        ({"db_url": "postgres"}, "hub_db_url is not a URL"),
        ({"db_url": "postgresql:///hub"}, "hub_db_url lacks a host"),
        ({"db_url": "postgresql://u:p@host"}, "hub_db_url lacks a host, a valid port or a database"),
        ({"db_url": "postgresql://u:p@host:port/d"}, "hub_db_url lacks a host, a valid port or a database"),
        ({"db_url": "sqlite:///:memory:"}, "hub_db_url names a sqlite file outside the hub's disk"),
        ({"db_url": "sqlite:////tmp/a.sqlite"}, "leave hub_db_url empty or use sqlite:////srv/jupyterhub/NAME.sqlite"),
        ({"admin_users": []}, "Nobody could log in; name people in hub_admin_users"),
        ({"admin_users": ["canary"]}, "The smoke test's user 'canary' is in hub_admin_users"),
        ({"extra_config": {"a": "c.x = ("}}, "hub_extra_config: 'a' is not Python, line 1"),
        (
            {"config": {"GithubOAuthenticator": {}}},
            "has no class 'GithubOAuthenticator' (nearest: GitHubOAuthenticator",
        ),
        ({"config": {"Nonsense": {}}}, "has no class 'Nonsense'; correct the name, or list the class in"),
        ({"config": {"KubeSpawner": {"mem_limt": "1G"}}}, "KubeSpawner has no trait 'mem_limt' (nearest: mem_limit"),
        ({"config": {"KubeSpawner": {"xyzzy": 1}}}, "KubeSpawner has no trait 'xyzzy'; correct the name or leave it"),
        ({"config": {"KubeSpawner": "x"}}, "hub_config: KubeSpawner takes a mapping, not text"),
        ({"config": {"Authenticator": {"allow_all": "yes"}}}, "Authenticator.allow_all takes true or false, not text"),
        ({"config": {"Spawner": {"start_timeout": "9"}}}, "Spawner.start_timeout takes a whole number, not text"),
        ({"config": {"Spawner": {"start_timeout": True}}}, "takes a whole number, not true or false"),
        ({"config": {"Authenticator": {"admin_users": "a"}}}, "Authenticator.admin_users takes a list, not text"),
        ({"config": {"Spawner": {"environment": []}}}, "Spawner.environment takes a mapping, not a list"),
        ({"config": {"Spawner": {"default_url": {}}}}, "Spawner.default_url takes text, not a mapping"),
        ({"config": {"KubeSpawner": {"modify_pod_hook": "f"}}}, "takes a Python function; set it in hub_extra_config"),
        ({"config": {"LTI11Authenticator": {"auto_login": True}}}, "LTI11Authenticator has no trait 'auto_login'"),
        ({"config": {"JupyterHub": {"db_url": "x://"}}}, "hub_config sets JupyterHub.db_url; use hub_db_url instead."),
        ({"config": {"CryptKeeper": {"keys": []}}}, "hub_config sets CryptKeeper.keys; use hub_secrets instead."),
        ({"config": {"JupyterHub": {"proxy_class": "x"}}}, "leave it out, since the collection's proxy is the only"),
        ({"config": {"JupyterHub": {"internal_ssl": True}}}, "switches JupyterHub.internal_ssl on; leave it off"),
        ({"config": {"KubeSpawner": {"delete_pvc": True}}}, "since a student's disk must outlive"),
        ({"config": {"JupyterHub": {"services": [{"name": "canary"}]}}}, "defines 'canary', which the role defines"),
        ({"profiles": [{}]}, "hub_profiles: profile 1 has no display_name"),
        (
            {"profiles": [{"display_name": "a", "kubespawner_override": {"memlimit": 1}}]},
            "hub_profiles: profile 1: KubeSpawner has no trait 'memlimit' (nearest: mem_limit",
        ),
        ({"student_volumes": [{"name": "home"}]}, "hub_student_volumes: 'home' cannot name a volume"),
        ({"student_volumes": [{"name": "A"}]}, "hub_student_volumes: 'A' cannot name a volume"),
        ({"student_volume_mounts": [{"name": "x", "mountPath": "/x"}]}, "no volume is named 'x'"),
        ({"student_volume_mounts": [{"name": "home"}]}, "'home' has no absolute mountPath"),
        ({"student_egress": [{}]}, "rule 1 has no 'to' and so opens cloud metadata"),
        ({"student_egress": [{"to": [{"ipBlock": {"cidr": "0.0.0.0/0"}}]}]}, "add 169.254.169.254/32 to its 'except'"),
        ({"student_egress": [{"to": [{"ipBlock": {"cidr": "::/0"}}]}]}, "add fd00:ec2::254/128 to its 'except'"),
        ({"student_egress": [{"to": [{"ipBlock": {"cidr": "all"}}]}]}, "write an address range such as 10.1.0.0/16"),
        ({"secrets": {"admin_passwort": "x"}}, "the hub reads no key 'admin_passwort' (nearest: admin_password"),
        ({"secrets": {"admin_password": "short"}}, "hub_secrets: admin_password has 5 characters; use 32 or more"),
        ({"secrets": {"student_password": "short"}}, "hub_secrets: student_password has 5 characters; use 8 or more"),
        (
            {"secrets": {"admin_password": "x" * 32, "student_password": "x" * 32}},
            "admin_password and student_password are the same",
        ),
        ({"secrets": {"cookie_secret": "x"}}, "cookie_secret is not 64 hexadecimal characters; make one with"),
        ({"secrets": {"crypt_keys": "a;b"}}, "crypt_keys are not 64 hexadecimal characters each"),
        (
            {"secrets": {"student_password": "long enough"}, "existing_secret": "mine"},
            "hub_secrets and hub_existing_secret are both set",
        ),
    ],
)
def test_a_problem_is_told_in_one_sentence(options: dict[str, Any], sentence: str) -> None:
    found = problems(**options)
    assert any(sentence in problem for problem in found), found
    assert all("\n" not in problem and problem.endswith(".") for problem in found)


def test_no_problem_shows_a_secret() -> None:
    found = problems(
        db_url="sqlite:///s3cret",
        secrets={"admin_password": "s3cret", "student_password": "s3cret", "crypt_keys": "s3cret"},
        config={"GitHubOAuthenticator": {"client_secret": ["s3cret"]}, "Auth0OAuthenticator": "s3cret"},
    )
    assert len(found) >= 6
    assert "s3cret" not in " ".join(found)


def test_every_default_of_the_role_is_read() -> None:
    variables = yaml.safe_load((ROLE / "vars" / "main.yml").read_text())["__hub_options"]
    assert set(variables) - {"proxy_namespace", "files_history"} <= set(DEFAULTS)
