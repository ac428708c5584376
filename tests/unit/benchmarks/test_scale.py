"""What the benchmark of thousands of students makes of what it reads."""

from __future__ import annotations

import asyncio
import os
from typing import Any

import pytest
import yaml
from aiohttp.test_utils import TestClient, TestServer
from ansible_collections.campus.jupyterhub.benchmarks.scale import simulation
from ansible_collections.campus.jupyterhub.benchmarks.scale.farm import STUDENT, VERSION, farm
from ansible_collections.campus.jupyterhub.benchmarks.scale.plot import plot
from ansible_collections.campus.jupyterhub.benchmarks.scale.report import middle, reach, restarts, tables
from ansible_collections.campus.jupyterhub.benchmarks.scale.students import Hub, names, some_at_a_time
from ansible_collections.campus.jupyterhub.benchmarks.scale.summary import (
    elsewhere,
    groups,
    mean_between,
    more,
    percentile,
    used_between,
)
from ansible_collections.campus.jupyterhub.benchmarks.scale.usage import Use, api_requests, busy_seconds, total, uses
from ansible_collections.campus.jupyterhub.benchmarks.scale.working import Working

KINDS = ("hub", "routes agent", "HAProxy", "API server", "etcd")


def wave(running: int, **changes: Any) -> dict[str, Any]:
    """The figures of a wave of 10 students."""
    figures = {
        "running": running,
        "students": 10,
        "wall": 5.0,
        "starts_a_second": 2.0,
        "p50": 3.0,
        "p99": 4.5,
        "told_to_wait": 0,
        "failed": 0,
        "route_acknowledged_mean": 0.25,
        "routes": [running, running],
        "cpu": {**dict.fromkeys(KINDS, 0.5), "whole machine": 7.5},
        "api_requests": {"POST": 20.0, "PATCH": 10.0},
        "mib": dict.fromkeys(KINDS, 100.0),
    }
    return {**figures, **changes}


def restart(running: int, away: float, failed: int) -> dict[str, Any]:
    """The figures of a restart."""
    return {
        "running": running,
        "answers_after": away,
        "knows_all_after": away + 1,
        "requests": 100,
        "failed_requests": failed,
    }


def run(**changes: Any) -> dict[str, Any]:
    """The figures of a run."""
    figures = {
        "machine": {"processors": 2, "processor": "test"},
        "versions": {"jupyterhub": "6", "kubernetes": "v1"},
        "plan": {"wave": 10},
        "waves": [wave(10), wave(20)],
        "idle": [{"running": 20, "seconds": 60.0, "cpu": dict.fromkeys(KINDS, 6.0), "api_requests": {"GET": 120.0}}],
        "restarts": [restart(1000, 10, 0), restart(1000, 12, 1), restart(1000, 20, 0)],
    }
    return {**figures, **changes}


@pytest.mark.parametrize(
    ("values", "percent", "expected"),
    [([5.0], 99, 5), ([4, 1, 3, 2], 50, 2), (range(1, 101), 99, 99), (range(1, 251), 99, 248), ([1, 2], 100, 2)],
)
def test_a_percentile_is_a_value_that_was_seen(values: Any, percent: float, expected: float) -> None:
    assert percentile(values, percent) == expected


def test_no_values_have_no_percentile() -> None:
    with pytest.raises(ValueError, match="no values"):
        percentile([], 50)


METRICS = """# HELP apiserver_request_total [STABLE] Counter
apiserver_request_total{code="201",resource="pods",verb="POST"} 7
apiserver_request_total{code="409",resource="a\\"b,c",verb="POST"} 3
apiserver_request_total{code="200",resource="pods",verb="LIST"} 1e+03
proxy_add_sum{status="success"} 4.5
proxy_add_count{status="success"} 9
"""


def test_metrics_are_added_up_by_their_labels() -> None:
    assert api_requests(METRICS) == {"POST": 10, "LIST": 1000}
    assert total(METRICS, "apiserver_request_total", resource="pods") == 1007
    assert total(METRICS, "apiserver_request_total", resource='a\\"b,c') == 3
    assert total(METRICS, "nothing") == 0


def test_a_mean_is_that_of_what_came_in_between() -> None:
    later = METRICS.replace("4.5", "6.5").replace("} 9", "} 13")
    assert mean_between(METRICS, later, "proxy_add") == 0.5
    assert mean_between(METRICS, METRICS, "proxy_add") is None


def test_only_counters_that_went_up_are_told() -> None:
    assert more({"GET": 1, "PUT": 2}, {"GET": 4, "PUT": 2, "POST": 1}) == {"GET": 3, "POST": 1}


def container(name: str, cpu: float, mib: float) -> dict[str, Any]:
    """A container as a kubelet's summary has it; processor seconds and MiB."""
    return {"name": name, "cpu": {"usageCoreNanoSeconds": cpu * 1e9}, "memory": {"workingSetBytes": mib * 2**20}}


def test_of_the_memory_of_replicas_the_largest_counts() -> None:
    replicas = [
        {"pods": [{"podRef": {"name": name}, "containers": [container("haproxy", 2, size)]}]}
        for name, size in (("a", 30), ("b", 50))
    ]
    other = {"pods": [{"podRef": {"name": "c"}, "containers": [container("someone-else", 9, 9), {"name": "hub"}]}]}
    assert uses([*replicas, other, {}]) == {"HAProxy": Use({"a": 2, "b": 2}, 50)}


def test_processor_time_in_between_is_of_containers_that_were_there_before_and_after() -> None:
    before = {"hub": Use({"old": 5}, 1), "HAProxy": Use({"a": 3, "b": 4}, 1), "agent": Use({"a": 1}, 1)}
    after = {"hub": Use({"new": 7}, 2), "HAProxy": Use({"a": 4.5, "b": 3.9, "c": 9}, 1), "etcd": Use({"e": 4}, 1)}
    assert used_between(before, after) == {"hub": 0, "HAProxy": 1.5}


def test_the_rest_of_the_machine_is_what_nothing_watched_has_used() -> None:
    assert elsewhere({"hub": 2, "API server": 3, "whole machine": 9}) == 4
    assert elsewhere({"hub": 2, "whole machine": 1.5}) == 0


def test_a_machine_is_busy_when_it_neither_idles_nor_waits() -> None:
    ticks = os.sysconf("SC_CLK_TCK")
    assert busy_seconds(f"cpu {ticks} {ticks} {ticks} 999 999 0 {ticks} 7 0 0\ncpu0 1\n") == 4


def test_there_are_nodes_enough() -> None:
    assert [simulation.nodes_for(count) for count in (1, 110, 111, 5000)] == [1, 1, 2, 46]


def test_students_run_on_simulated_nodes_alone() -> None:
    inventory = simulation.HERE / "inventory" / "host_vars" / "localhost.yml"
    options = yaml.safe_load(inventory.read_text())
    node = simulation.node(0)
    assert options["hub_student_node_selector"].items() <= node["metadata"]["labels"].items()
    (taint,) = node["spec"]["taints"]
    (toleration,) = options["hub_student_tolerations"]
    assert {key: toleration[key] for key in taint} == taint
    assert "addresses" not in node["status"]


def test_kwok_touches_nothing_but_nodes_and_students() -> None:
    stages = [yaml.safe_load(each.read_text()) for each in simulation.STAGES]
    selectors = {
        stage["metadata"]["name"]: stage["spec"]["selector"].get("matchLabels")
        for stage in stages
        if stage["spec"]["resourceRef"]["kind"] == "Pod"
    }
    assert selectors == {name: {"component": "singleuser-server"} for name in ("student-runs", "student-ends")}


async def test_the_farm_is_everybody_s_server_and_students_notice_a_wrong_one() -> None:
    async with TestClient(TestServer(farm())) as client:
        answer = await client.get("/user/ann/api")
        assert (answer.headers[STUDENT], VERSION in answer.headers) == ("ann", True)
        async with Hub(str(client.make_url("")).rstrip("/"), "token") as hub:
            assert await hub.served("ann")
            assert await hub.refusal("../ann") == "404 from somebody else"
            async with Working(hub, ["ann", "bob"], seed=1) as working:
                assert await hub.served("bob")
    assert working.refusals == []
    assert working.requests > 0


async def test_no_more_than_some_at_a_time() -> None:
    running: list[str] = []
    most = 0

    async def act(student: str) -> str:
        nonlocal most
        running.append(student)
        most = max(most, len(running))
        await asyncio.sleep(0)
        running.remove(student)
        return student

    assert await some_at_a_time(3, act, names(1, 10)) == names(1, 10)
    assert most == 3


def test_waves_are_shown_in_a_few_groups() -> None:
    def reaches(count: int) -> list[str]:
        return [reach(group) for group in groups([wave(running * 250) for running in range(1, count + 1)])]

    assert reaches(20) == ["250 to 1,000", "1,250 to 2,000", "2,250 to 3,000", "3,250 to 4,000", "4,250 to 5,000"]
    assert reaches(3) == ["250", "500", "750"]
    assert reaches(7) == ["250", "500 to 750", "1,000 to 1,250", "1,500 to 1,750"]


def test_one_odd_wave_does_not_count_in_a_group() -> None:
    waves = [wave(10, p99=1.0, failed=1), wave(20, p99=2.0), wave(30, p99=90.0, failed=2)]
    assert middle(waves, lambda each: each["p99"]) == "2.00"
    assert middle([wave(10, p99=None), waves[1]], lambda each: each["p99"]) == "2.00"


def test_a_restart_is_judged_by_the_middle_one() -> None:
    line = list(restarts(run()["restarts"]))[-1]
    assert line == "| 1,000 | 3 | 12.0 (10.0 to 20.0) | 13.0 (11.0 to 21.0) | 300 | 1 | ≤ 15 s: met |"
    assert "**missed**" in list(restarts([restart(1000, 15.1, 0)]))[-1]
    assert list(restarts([restart(500, 99, 0)]))[-1].endswith("| - |")


def test_tables_hold_what_a_start_costs_and_say_that_it_is_simulated() -> None:
    text = tables(run())
    assert text.startswith("**Simulated students.**")
    assert "| 20 | 2.00 | 3.00 | 4.50 | 0 | 0 | 0.25 |" in text
    assert "| 20 | 50.0 | 50.0 | 50.0 | 50.0 | 50.0 | 3.00 | 1.00 |" in text
    assert "| 20 | 10.0 | 10.0 | 10.0 | 10.0 | 10.0 | 2.00 |" in text


def test_a_wave_in_which_nobody_started_has_dashes() -> None:
    none = wave(30, p50=None, p99=None, route_acknowledged_mean=None, starts_a_second=0.0, failed=10)
    assert "| 30 | 0.00 | - | - | 0 | 10 | - |" in tables(run(waves=[none]))


def test_the_plot_has_a_line_for_each_figure() -> None:
    drawn = plot(run())
    assert drawn.count("<polyline") == 10
    assert "p99, 4.50 at the end" in drawn
