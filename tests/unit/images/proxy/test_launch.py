"""What the launcher tells HAProxy, the map file, the drain hook and the settings."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.campus.jupyterhub.tests.unit.certificates import make_pair
from ansible_collections.campus.jupyterhub.tests.unit.images.proxy.fakes import NAMESPACE, PODS, SLICES, make_settings
from campus_proxy import certificate, drain, launch, state
from campus_proxy.agent import Agent
from campus_proxy.haproxy import MARKER
from campus_proxy.kube import Api
from campus_proxy.settings import BadSettings, Settings, from_env_or_exit

RESOLV_CONF = (
    "search campus.svc.cluster.local svc.cluster.local cluster.local\nnameserver 10.96.0.10\noptions ndots:5\n"
)


@pytest.mark.parametrize(
    ("host", "domains", "name"),
    [
        ("hub", ["campus.svc.cluster.local", "svc.cluster.local"], "hub.campus.svc.cluster.local"),
        ("hub", ["example.org"], "hub"),
        ("hub", [], "hub"),
        ("hub.other.svc.cluster.local", ["campus.svc.cluster.local"], "hub.other.svc.cluster.local"),
        ("hub", ["campus-edge.svc.cluster.local", "svc.cluster.local"], "hub.campus.svc.cluster.local"),
        ("10.0.0.1", ["campus.svc.cluster.local"], "10.0.0.1"),
        ("fd00::1", [], "fd00::1"),
    ],
)
def test_the_full_name_of_the_hub(host: str, domains: list[str], name: str) -> None:
    assert launch.full_name(host, "campus", domains) == name


def test_the_search_domains_are_the_last_ones_given() -> None:
    assert launch.search_domains("domain a.b\n# search x\nsearch c.d. e.f\n") == ["c.d", "e.f"]
    assert launch.search_domains("") == []


@pytest.mark.parametrize(
    ("env", "first"),
    [
        ({"HUB_SERVICE_HOST": "10.96.1.2"}, "10.96.1.2,libc,none"),
        ({"HUB_SERVICE_HOST": "junk"}, "libc,none"),
        ({}, "libc,none"),
    ],
)
def test_the_first_address_of_the_hub_needs_no_name_server(env: dict[str, str], first: str) -> None:
    assert launch.first_address("hub", env) == first


@pytest.mark.parametrize(
    ("wanted", "files", "limit"), [(20000, -1, 20000), (20000, 20000, 9900), (500, 20000, 500), (20000, 100, 10)]
)
def test_connections_fit_into_the_open_files(wanted: int, files: int, limit: int) -> None:
    assert launch.connection_limit(wanted, files) == limit


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"access_log": "true", "trusted_networks": "10.0.0.0/8 fd00::/8"},
        {"threads": 2, "drain_seconds": 0},
        {"hub_host": "hub"},
        {"hub_host": "fd00::1"},
        {"hub_host": "hub.example.invalid"},
        {"https": "self_signed"},
        {"https": "secret", "public_port": 8443},
        {"https": "letsencrypt"},
        {"https": "self_signed", "subdomain_host": "https://hub.example.org:8443"},
    ],
)
def test_haproxy_takes_the_configuration(tmp_path: Path, more: dict[str, Any]) -> None:
    if not Path(launch.HAPROXY).exists():
        pytest.skip("needs HAProxy (Debian package haproxy)")
    settings = make_settings(tmp_path, tls_dir=make_pair("hub.example.org").mount(tmp_path / "tls"), **more)
    settings.route_map.write_text("")
    certificate.make_usable(settings.tls_dir, settings.tls_file)
    services = {"HUB_SERVICE_HOST": "10.96.1.2", "PROXY_ACME_SERVICE_HOST": "10.96.1.3"}
    env = launch.environment(settings, services, RESOLV_CONF, 20000)
    command = [launch.HAPROXY, "-c", "-f", str(launch.DATA / "haproxy.cfg")]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr or more.get("hub_host") == "hub.example.invalid"


def test_a_proxy_in_a_namespace_of_its_own_finds_the_hub_in_the_hubs(tmp_path: Path) -> None:
    settings = make_settings(
        tmp_path, namespace="campus-edge", hub_namespace="campus", hub_host="hub", https="letsencrypt"
    )
    env = launch.environment(settings, {}, RESOLV_CONF.replace("campus.", "campus-edge."), 20000)
    assert env["CAMPUS_HUB"] == "hub.campus.svc.cluster.local:8081"
    assert env["CAMPUS_ACME"] == "proxy-acme.campus-edge.svc.cluster.local:80"


def test_an_agent_in_a_namespace_of_its_own_reads_the_hubs(tmp_path: Path) -> None:
    settings = make_settings(tmp_path, namespace="campus-edge", hub_namespace=NAMESPACE)
    agent = Agent.build(settings, Api("http://127.0.0.1:1"))
    assert (agent.slices.path, agent.pods.path) == (SLICES, PODS)
    assert agent.table.namespace == NAMESPACE


def test_prepare_lays_all_ready(tmp_path: Path) -> None:
    settings = make_settings(tmp_path)
    env = launch.prepare(settings)
    assert settings.route_map.read_text() == ""
    assert int(settings.pid_file.read_text()) > 0
    assert env["CAMPUS_HUB"] == "127.0.0.1:8081"


def test_the_map_file_is_kept_until_the_node_boots(tmp_path: Path) -> None:
    path, boot = tmp_path / "routes.map", tmp_path / "boot_id"
    boot.write_text("one\n")
    assert not state.make_usable(path, boot)
    state.write(path, {"/user/ann/": "10.0.0.1|8888"}, "me", boot)
    assert state.make_usable(path, boot)
    assert path.read_text() == f"# boot one\n/user/ann/ 10.0.0.1|8888\n{MARKER} me\n"
    boot.write_text("two\n")
    assert not state.make_usable(path, boot)
    assert path.read_text() == ""


def endpoint(ip: str, ready: bool | None) -> dict[str, Any]:
    """An EndpointSlice with one endpoint."""
    conditions = {} if ready is None else {"ready": ready}
    return {"endpoints": [{"addresses": [ip], "conditions": conditions}]}


@pytest.mark.parametrize(
    ("slices", "sends"),
    [
        ([], False),
        ([{"endpoints": None}], False),
        ([endpoint("10.0.0.1", True)], True),
        ([endpoint("10.0.0.1", None)], True),
        ([endpoint("10.0.0.1", False)], False),
        ([endpoint("10.0.0.2", True)], False),
        ([endpoint("10.0.0.2", True), endpoint("10.0.0.1", True)], True),
    ],
)
def test_whether_new_connections_still_come(slices: list[dict[str, Any]], sends: bool) -> None:
    assert drain.sends_here(slices, "10.0.0.1") is sends


def test_the_drain_waits_for_the_endpoint_and_not_for_ever() -> None:
    now = [0.0]

    def sleep(seconds: float) -> None:
        now[0] += seconds

    answers: list[Any] = [OSError("away"), [endpoint("10.0.0.1", True)], [endpoint("10.0.0.1", False)]]

    def read() -> Iterable[Mapping[str, Any]]:
        answer = answers.pop(0)
        if isinstance(answer, OSError):
            raise answer
        return answer  # type: ignore[no-any-return]

    assert drain.wait_until_gone("10.0.0.1", read, lambda: now[0], sleep)
    assert not answers
    assert not drain.wait_until_gone("10.0.0.1", lambda: [endpoint("10.0.0.1", True)], lambda: now[0], sleep)
    assert now[0] < 2 * drain.LONGEST_WAIT


@pytest.mark.parametrize(
    ("env", "words"),
    [
        ({"CAMPUS_SUBDOMAIN_HOST": "hub.example.org"}, "CAMPUS_SUBDOMAIN_HOST is 'hub.example.org'; it must be scheme"),
        ({"CAMPUS_HUB_PORT": "x"}, "CAMPUS_HUB_PORT is 'x'; it must be a whole number from 1 to 65535"),
        ({"CAMPUS_THREADS": "0"}, "CAMPUS_THREADS is '0'"),
        ({"CAMPUS_HTTPS": "maybe"}, "must be one of disabled, secret"),
        ({"CAMPUS_TRUSTED_NETWORKS": "10.0.0.1/8"}, "has host bits set"),
    ],
)
def test_settings_that_cannot_be_used(env: dict[str, str], words: str) -> None:
    with pytest.raises(BadSettings, match=words):
        Settings.from_env(env)


def test_settings_that_cannot_be_used_are_one_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CAMPUS_DRAIN_SECONDS", "soon")
    with pytest.raises(SystemExit) as ended:
        from_env_or_exit()
    assert ended.value.code == 2
    assert capsys.readouterr().err.startswith("campus-proxy: CAMPUS_DRAIN_SECONDS is 'soon'; it must be a whole number")
