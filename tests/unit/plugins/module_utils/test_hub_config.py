# Copyright: campus.jupyterhub contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.campus.jupyterhub.plugins.module_utils import _hub_config as hub_config

OPTIONS: dict[str, Any] = {
    "name": "jupyterhub",
    "namespace": "jupyterhub",
    "url": "https://hub.example.org/",
    "subdomain_host": "",
    "proxy_namespace": "jupyterhub",
    "singleuser_image": "registry.example.org/campus/singleuser:1",
    "image_pull_policy": "IfNotPresent",
    "image_pull_secrets": [],
    "authenticator": "shared-password",
    "admin_users": ["ann"],
    "allowed_users": ["ben"],
    "allow_all": False,
    "config": {},
    "extra_config": {},
    "db_url": "",
    "student_memory_guarantee": "256Mi",
    "student_memory_limit": "1Gi",
    "student_cpu_guarantee": "50m",
    "student_cpu_limit": "2",
    "student_disk_size": "2Gi",
    "storage_class": "jupyterhub",
    "student_env": {},
    "student_volumes": [],
    "student_volume_mounts": [],
    "student_node_selector": {},
    "student_tolerations": [],
    "student_start_timeout": 300,
    "student_http_timeout": 60,
    "profiles": [],
    "named_servers": 0,
    "auth_grace": 86400,
    "cull": True,
    "cull_timeout": 3600,
    "cull_every": 300,
    "cull_max_age": 0,
    "canary": True,
    "canary_user": "canary",
    "files_history": True,
}


def built(**options: Any) -> dict[str, Any]:
    return hub_config.build({**OPTIONS, **options})


def trait(config: dict[str, Any], path: str) -> Any:
    """The value at Class.trait.key…; KeyError when it is not there."""
    value: Any = config["config"]["hub_config"]
    for key in path.split("."):
        value = value[key]
    return value


@pytest.mark.parametrize(
    ("options", "path", "value"),
    [
        ({"authenticator": "github"}, "JupyterHub.authenticator_class", "github"),
        ({}, "Authenticator.admin_users", ["ann"]),
        ({}, "Authenticator.allowed_users", ["ben"]),
        ({"allow_all": True}, "Authenticator.allow_all", True),
        ({}, "JupyterHub.cleanup_servers", False),
        ({}, "JupyterHub.base_url", "/"),
        ({}, "JupyterHub.public_url", "https://hub.example.org/"),
        ({"url": "https://uni.example.org/jupyter"}, "JupyterHub.base_url", "/jupyter/"),
        ({"url": "https://uni.example.org/jupyter"}, "JupyterHub.public_url", "https://uni.example.org/jupyter/"),
        ({}, "OAuthenticator.oauth_callback_url", "https://hub.example.org/hub/oauth_callback"),
        ({}, "JupyterHub.allow_named_servers", False),
        ({}, "JupyterHub.concurrent_spawn_limit", 300),
        ({"config": {"JupyterHub": {"concurrent_spawn_limit": 64}}}, "JupyterHub.concurrent_spawn_limit", 64),
        ({"subdomain_host": "https://hub.example.org/"}, "JupyterHub.subdomain_host", "https://hub.example.org"),
        ({"named_servers": 3}, "JupyterHub.allow_named_servers", True),
        ({"named_servers": 3}, "JupyterHub.named_server_limit_per_user", 3),
        ({}, "KubeSpawner.image", "registry.example.org/campus/singleuser:1"),
        ({}, "Spawner.mem_limit", 1073741824),
        ({"student_memory_limit": "1G"}, "Spawner.mem_limit", 1000000000),
        ({"student_memory_limit": "0"}, "Spawner.mem_limit", None),
        ({}, "Spawner.mem_guarantee", 268435456),
        ({}, "Spawner.cpu_guarantee", 0.05),
        ({"student_cpu_limit": 0}, "Spawner.cpu_limit", None),
        ({"student_cpu_limit": "1500m"}, "Spawner.cpu_limit", 1.5),
        ({}, "Spawner.environment", {"CAMPUS_HUB_AUTH_GRACE": "86400"}),
        ({"student_env": {"COURSE": "data8"}}, "Spawner.environment.COURSE", "data8"),
        ({"student_start_timeout": 600}, "Spawner.start_timeout", 600),
        ({"student_start_timeout": 600}, "KubeSpawner.k8s_api_request_retry_timeout", 600),
        ({}, "KubeSpawner.delete_pvc", False),
        ({}, "KubeSpawner.storage_pvc_ensure", True),
        ({}, "KubeSpawner.pvc_name_template", "claim-{user_server}"),
        ({"student_disk_size": "10Gi"}, "KubeSpawner.storage_capacity", "10Gi"),
        ({"storage_class": ""}, "KubeSpawner.storage_class", None),
        ({}, "KubeSpawner.volumes.home.persistentVolumeClaim.claimName", "{pvc_name}"),
        (
            {"student_volumes": [{"name": "data", "nfs": {"server": "n", "path": "/d"}}]},
            "KubeSpawner.volumes.data.nfs.path",
            "/d",
        ),
        (
            {"student_volume_mounts": [{"name": "data", "mountPath": "/data/", "readOnly": True}]},
            "KubeSpawner.volume_mounts.data.readOnly",
            True,
        ),
        ({"student_node_selector": {"pool": "students"}}, "KubeSpawner.node_selector", {"pool": "students"}),
        ({"student_tolerations": [{"key": "a"}]}, "KubeSpawner.tolerations", [{"key": "a"}]),
        ({"profiles": [{"display_name": "Big"}]}, "KubeSpawner.profile_list", [{"display_name": "Big"}]),
        ({"image_pull_secrets": ["registry"]}, "KubeSpawner.image_pull_secrets", ["registry"]),
    ],
)
def test_an_option_becomes_a_trait(options: dict[str, Any], path: str, value: Any) -> None:
    assert trait(built(**options), path) == value


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("uid", 1000),
        ("gid", 1000),
        ("fs_gid", 1000),
        ("allow_privilege_escalation", False),
        ("automount_service_account_token", False),
        ("container_security_context.capabilities.drop", ["ALL"]),
        ("pod_security_context.runAsNonRoot", True),
        ("pod_security_context.seccompProfile.type", "RuntimeDefault"),
    ],
)
def test_a_students_pod_meets_pod_security_restricted(path: str, value: Any) -> None:
    assert trait(built(), f"KubeSpawner.{path}") == value


def test_a_hub_whose_students_have_hosts_of_their_own_has_one_public_address() -> None:
    url = "http://localhost:8000"
    assert trait(built(url=url, subdomain_host=url), "JupyterHub.public_url") == "http://localhost:8000/"
    assert "subdomain_host" not in trait(built(), "JupyterHub")


def test_the_hub_looks_for_the_proxy_where_that_is() -> None:
    assert built(proxy_namespace="jupyterhub-edge")["config"]["agent_namespace"] == "jupyterhub-edge"


def test_no_public_url_is_made_up() -> None:
    config = built(url="")
    assert "public_url" not in trait(config, "JupyterHub")
    assert "OAuthenticator" not in config["config"]["hub_config"]


@pytest.mark.parametrize("url", ["http://127.0.0.1:8000", "http://localhost:8000/", "http://[::1]:8000"])
def test_a_hub_on_the_own_machine_answers_under_every_name(url: str) -> None:
    assert "public_url" not in trait(built(url=url), "JupyterHub")


@pytest.mark.parametrize(
    ("config", "path", "value"),
    [
        ({"JupyterHub": {"cookie_max_age_days": 1}}, "JupyterHub.cookie_max_age_days", 1),
        ({"Authenticator": {"allow_all": True}}, "Authenticator.allow_all", True),
        ({"KubeSpawner": {"image": "other"}}, "KubeSpawner.image", "other"),
        (
            {"JupyterHub": {"tornado_settings": {"a": 1}}},
            "JupyterHub.tornado_settings",
            {"slow_spawn_timeout": 0, "a": 1},
        ),
        ({"Spawner": {"environment": {"A": "1"}}}, "Spawner.environment", {"CAMPUS_HUB_AUTH_GRACE": "86400", "A": "1"}),
        # The trait moves to the class that the user wrote: as two settings the one would hide the other.
        (
            {"KubeSpawner": {"environment": {"A": "1"}}},
            "KubeSpawner.environment",
            {"CAMPUS_HUB_AUTH_GRACE": "86400", "A": "1"},
        ),
        ({"CampusSpawner": {"mem_limit": "2G"}}, "CampusSpawner.mem_limit", "2G"),
        ({"Spawner": {"storage_capacity": "9Gi"}}, "Spawner.storage_capacity", "9Gi"),
        ({"GitHubOAuthenticator": {"allow_all": True}}, "GitHubOAuthenticator.allow_all", True),
        ({"KubeSpawner": {"volumes": {"home": None}}}, "KubeSpawner.volumes.home", None),
        ({"KubeSpawner": {"volumes": []}}, "KubeSpawner.volumes", []),
        ({"Mine": {"a": {"b": 1}}}, "Mine.a", {"b": 1}),
    ],
)
def test_the_users_configuration_wins(config: dict[str, Any], path: str, value: Any) -> None:
    assert trait(built(config=config), path) == value


def test_a_moved_trait_leaves_nothing_behind() -> None:
    config = built(config={"KubeSpawner": {"environment": {"A": "1"}}, "GitHubOAuthenticator": {"allow_all": True}})
    assert "environment" not in trait(config, "Spawner")
    assert "allow_all" not in trait(config, "Authenticator")


def test_the_input_is_left_alone() -> None:
    config = {"KubeSpawner": {"environment": {"A": "1"}}}
    built(config=config)
    assert config == {"KubeSpawner": {"environment": {"A": "1"}}}


SECRETS: list[dict[str, Any]] = [
    {"GitHubOAuthenticator": {"client_secret": "s3cret"}},
    {"SharedPasswordAuthenticator": {"user_password": "s3cret"}},
    {"SharedPasswordAuthenticator": {"password_groups": {"s3cret": ["a"]}}},
    {"JupyterHub": {"services": [{"name": "x", "api_token": "s3cret"}]}},
    {"KubeSpawner": {"environment": {"AWS_SECRET_ACCESS_KEY": "s3cret"}}},
    {"LTI11Authenticator": {"consumers": {"key": "s3cret"}}},
    {"Mine": {"deep": [{"down": {"private_key": "s3cret"}}]}},
]


@pytest.mark.parametrize("config", SECRETS, ids=lambda config: next(iter(config)))
def test_secrets_stay_out_of_the_configmap(config: dict[str, Any]) -> None:
    result = built(config=config)
    assert "s3cret" not in repr(result["config"])
    assert "s3cret" in repr(result["private"])


@pytest.mark.parametrize(
    "config",
    [
        {"GenericOAuthenticator": {"token_url": "https://idp.example.org/token"}},
        {"KubeSpawner": {"secret_name_template": "x", "automount_service_account_token": False}},
        {"KubeSpawner": {"volumes": {"keys": {"name": "keys", "secret": {"secretName": "keys"}}}}},
        {"KubeSpawner": {"environment": {"KEY": {"valueFrom": {"secretKeyRef": {"name": "keys", "key": "a"}}}}}},
        {"Mine": {"password_file": "/run/x"}},
        {"Mine": {"password": ""}},
    ],
)
def test_what_only_sounds_secret_stays_readable(config: dict[str, Any]) -> None:
    assert built(config=config)["private"] == built()["private"]


def test_the_database_url_is_kept_in_the_secret() -> None:
    result = built(db_url="postgresql://hub:s3cret@db.example.org/hub")
    assert "s3cret" not in repr(result["config"])
    assert result["private"]["JupyterHub"]["db_url"] == "postgresql+psycopg://hub:s3cret@db.example.org/hub"


@pytest.mark.parametrize(
    ("given", "url", "port"),
    [
        ("", "sqlite:////srv/jupyterhub/jupyterhub.sqlite", 0),
        ("sqlite:////srv/jupyterhub/a.sqlite", "sqlite:////srv/jupyterhub/a.sqlite", 0),
        ("postgres://u:p@h/d", "postgresql+psycopg://u:p@h/d", 5432),
        ("postgresql+psycopg2://u:p@h:6432/d", "postgresql+psycopg2://u:p@h:6432/d", 6432),
        ("mysql+pymysql://u:p@h/d", "mysql+pymysql://u:p@h/d", 3306),
    ],
)
def test_the_database_is_reached_by_its_driver_and_port(given: str, url: str, port: int) -> None:
    assert (hub_config.database_url(given), hub_config.database_port(given)) == (url, port)


def test_the_services_follow_the_switches() -> None:
    def names(**options: Any) -> tuple[list[str], list[str]]:
        config = built(**options)["config"]
        return [service["name"] for service in config["services"]], [role["name"] for role in config["roles"]]

    assert names() == (["idle-culler", "canary", "files-history"], ["idle-culler", "canary"])
    assert names(cull=False, files_history=False) == (["canary"],) * 2
    assert names(canary=False, files_history=False) == (["idle-culler"],) * 2


def test_everybody_may_see_the_page_of_their_own_files_and_it_may_do_nothing() -> None:
    config = built(namespace="physics")["config"]
    service = config["services"][-1]
    assert (service["name"], service["url"]) == ("files-history", "http://files-history.physics:8080")
    assert not [role for role in config["roles"] if "files-history" in role["services"]]
    scope = "access:services!service=files-history"
    assert config["hub_config"]["JupyterHub"]["extra_user_scopes"] == [scope]
    more = built(config={"JupyterHub": {"extra_user_scopes": ["list:groups"]}})["config"]["hub_config"]
    assert more["JupyterHub"]["extra_user_scopes"] == [scope, "list:groups"]
    assert "extra_user_scopes" not in built(files_history=False)["config"]["hub_config"]["JupyterHub"]


def test_the_culler_asks_the_hub_directly_and_below_its_prefix() -> None:
    culler = built(url="https://uni.example.org/jupyter/", cull_timeout=600)["config"]["services"][0]
    assert "--url=http://127.0.0.1:8081/jupyter/hub/api" in culler["command"]
    assert "--timeout=600" in culler["command"]


def test_the_smoke_test_may_touch_only_its_own_student() -> None:
    config = built(canary_user="tester")["config"]
    scopes = next(role["scopes"] for role in config["roles"] if role["name"] == "canary")
    assert all(scope.endswith("!user=tester") for scope in scopes)
    assert config["canary_user"] == "tester"
    assert built(canary=False)["config"]["canary_user"] == ""


PROFILES = [
    {"display_name": "Small"},
    {"display_name": "GPU", "kubespawner_override": {"image": "gpu:1", "mem_limit": "8G"}},
    {
        "display_name": "Choose",
        "profile_options": {
            "image": {
                "choices": {"r": {"kubespawner_override": {"image": "r:1"}}},
                "unlisted_choice": {"kubespawner_override": {"image": "any:{value}"}},
            }
        },
    },
]


def test_every_image_of_a_profile_is_known() -> None:
    assert built(profiles=PROFILES)["images"] == ["registry.example.org/campus/singleuser:1", "gpu:1", "r:1"]


def test_images_follow_the_users_configuration() -> None:
    assert built(config={"CampusSpawner": {"image": "mine:1"}})["images"] == ["mine:1"]


def test_the_port_of_a_student_follows_the_users_configuration() -> None:
    assert built()["student_port"] == 8888
    assert built(config={"KubeSpawner": {"port": 9999}})["student_port"] == 9999
