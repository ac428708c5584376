"""A whole replica: a real HAProxy, the real agent, and an API server that can fall ill."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest
from ansible_collections.campus.jupyterhub.tests.unit.images.proxy.conftest import MakeHaproxy
from ansible_collections.campus.jupyterhub.tests.unit.images.proxy.fakes import (
    PODS,
    SLICES,
    FakeApi,
    Servers,
    make_pod,
    make_slice,
    make_target_slice,
)
from ansible_collections.campus.jupyterhub.tests.unit.images.proxy.whole import Replica, running
from ansible_collections.campus.jupyterhub.tests.unit.waiting import eventually
from campus_proxy import agent as agent_module
from campus_proxy.peers import Peers
from campus_proxy.routes import slice_name

pytestmark = pytest.mark.usefixtures("loopback_pods", "impatient")


async def test_a_route_is_acknowledged_and_served(replica: Replica) -> None:
    obj = await replica.student("ann")
    status, answer = await replica.acknowledge(obj)
    assert (status, answer["applied"]) == (200, True)
    assert await replica.who("/user/ann/lab") == "ann"
    assert await replica.who("/user/bob/") == "hub"
    replica.api.delete(SLICES, obj["metadata"]["name"])
    await replica.until("/user/ann/", "hub")
    await replica.until_refused(obj, "the route is not known")


async def test_an_acknowledgement_waits_for_the_pod(replica: Replica) -> None:
    obj = await replica.student("ann", phase="Pending")
    await replica.until_refused(obj, "its pod is not running with that address")
    waiting = asyncio.create_task(replica.acknowledge(obj))
    await asyncio.sleep(0.05)
    assert not waiting.done()
    replica.api.put(PODS, make_pod("pod-ann", "127.0.0.1"))
    assert (await waiting)[0] == 200


async def test_only_the_very_version_is_acknowledged(replica: Replica) -> None:
    obj = await replica.student("ann")
    assert (await replica.acknowledge(obj))[0] == 200
    later = str(int(obj["metadata"]["resourceVersion"]) + 1)
    earlier = str(int(obj["metadata"]["resourceVersion"]) - 1)
    for changed in ({"resourceVersion": later}, {"resourceVersion": earlier}, {"uid": "another"}):
        assert (await replica.acknowledge(obj, 0.05, **changed))[1]["reason"] == "another version of the route is known"
    fresh = replica.api.put(SLICES, obj)
    assert (await replica.acknowledge(fresh))[0] == 200


@pytest.mark.parametrize("query", ["", "name=a&uid=b", "name=a&uid=b&resourceVersion=1&timeout=-1", "timeout=nan"])
async def test_a_question_that_makes_no_sense(replica: Replica, query: str) -> None:
    assert (await replica.client.get(f"/acknowledge?{query}")).status == 400


async def test_a_pod_that_ends_takes_its_route_along(replica: Replica) -> None:
    await replica.acknowledge(await replica.student("ann"))
    replica.api.put(PODS, make_pod("pod-ann", "127.0.0.1", "Failed"))
    await replica.until("/user/ann/", "hub")
    replica.api.put(PODS, make_pod("pod-ann", "127.0.0.1"))
    await replica.until("/user/ann/", "ann")
    replica.api.delete(PODS, "pod-ann")
    await replica.until("/user/ann/", "hub")


@pytest.mark.parametrize("mode", ["error", "hang"])
async def test_an_api_server_outage_is_not_noticed_by_students(replica: Replica, mode: str) -> None:
    await replica.acknowledge(await replica.student("ann"))
    replica.api.mode = mode
    replica.api.disconnect()
    for _unused in range(20):
        assert await replica.who("/user/ann/") == "ann"
        await asyncio.sleep(0.05)
    obj = await replica.student("bob")
    replica.api.mode = "well"
    replica.api.forget_history()
    assert (await replica.acknowledge(obj))[0] == 200
    assert await replica.who("/user/bob/") == "bob"


async def test_a_list_after_an_outage_takes_away_what_is_gone(replica: Replica) -> None:
    obj = await replica.student("ann")
    await replica.acknowledge(obj)
    await replica.acknowledge(await replica.student("bob"))
    del replica.api.objects[SLICES][obj["metadata"]["name"]]
    replica.api.forget_history()
    await replica.until("/user/ann/", "hub")
    assert await replica.who("/user/bob/") == "bob"


async def test_a_haproxy_that_comes_back_has_its_routes(replica: Replica) -> None:
    await replica.acknowledge(await replica.student("ann"))
    await eventually(lambda: replica.saved("/user/ann/"))
    replica.api.mode = "hang"
    replica.api.disconnect()
    for keep_file in (True, False):
        replica.haproxy.kill()
        if not keep_file:
            replica.haproxy.settings.route_map.write_text("")
        replica.haproxy.start()
        if keep_file:
            assert await replica.who("/user/ann/") == "ann"
        await replica.until("/user/ann/", "ann")
        assert await replica.haproxy.route_map.owner() in {replica.agent.owner, f"file-{replica.agent.owner}"}
        await replica.until_owned()


async def test_a_change_while_haproxy_is_away_is_not_lost(replica: Replica) -> None:
    await replica.acknowledge(await replica.student("ann"))
    replica.haproxy.kill()
    obj = await replica.student("bob")
    assert (await replica.acknowledge(obj, 0.5))[0] == 408
    replica.haproxy.start()
    assert (await replica.acknowledge(obj))[0] == 200
    assert await replica.who("/user/bob/") == "bob"
    assert await replica.who("/user/ann/") == "ann"


async def test_an_agent_that_comes_back_changes_nothing_before_its_list(
    make_haproxy: MakeHaproxy, api: FakeApi, servers: Servers
) -> None:
    haproxy = make_haproxy(hub_port=await servers.start("hub"))
    async with aiohttp.ClientSession() as session:
        async with running(haproxy, api) as (agent, client):
            first = Replica(haproxy, agent, client, api, servers, session)
            await first.acknowledge(await first.student("ann"))
        api.mode = "error"
        async with running(haproxy, api) as (agent, client):
            second = Replica(haproxy, agent, client, api, servers, session)
            await eventually(lambda: agent.slices.errors > 1 and agent.pods.errors > 1)
            assert (await client.get("/ready")).status == 503
            assert await second.who("/user/ann/") == "ann"
            api.mode = "well"
            obj = await second.student("bob")
            assert (await second.acknowledge(obj))[0] == 200
            assert (await client.get("/ready")).status == 200
            assert await second.who("/user/ann/") == "ann"


async def test_a_map_that_somebody_changed_is_set_right(replica: Replica, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agent_module, "AUDIT_SECONDS", 0.1)
    await replica.acknowledge(await replica.student("ann"))
    await replica.haproxy.route_map.command(f"del map {replica.haproxy.settings.route_map} /user/ann/")
    await replica.until("/user/ann/", "ann")


async def test_a_name_keeps_its_address_while_it_cannot_be_resolved(
    make_haproxy: MakeHaproxy, api: FakeApi, servers: Servers
) -> None:
    haproxy = make_haproxy(hub_port=await servers.start("hub"))
    answers: dict[str, list[str]] = {"grader": ["127.0.0.1"]}

    async def resolver(host: str) -> list[str]:
        if host not in answers:
            raise OSError("no name server")
        return answers[host]

    async with running(haproxy, api, resolver=resolver) as (agent, client), aiohttp.ClientSession() as session:
        replica = Replica(haproxy, agent, client, api, servers, session)
        port = await servers.start("grader")
        obj = api.put(SLICES, make_target_slice("/services/grader/", f"http://grader:{port}"))
        assert (await replica.acknowledge(obj))[0] == 200
        assert await replica.who("/services/grader/") == "grader"
        del answers["grader"]
        await eventually(lambda: agent.counters.resolve_errors > 0)
        assert await replica.who("/services/grader/") == "grader"
        obj = api.put(SLICES, obj)
        assert (await replica.acknowledge(obj))[0] == 200
        other = api.put(SLICES, make_target_slice("/services/late/", f"http://late:{port}"))
        await replica.until_refused(other, "its host name has no address yet")
        answers["late"] = ["127.0.0.1"]
        assert (await replica.acknowledge(other))[0] == 200


async def test_an_agent_that_comes_back_knows_the_addresses_of_names(
    make_haproxy: MakeHaproxy, api: FakeApi, servers: Servers
) -> None:
    haproxy = make_haproxy(hub_port=await servers.start("hub"))
    obj = api.put(SLICES, make_target_slice("/services/x/", f"http://grader:{await servers.start('grader')}"))
    other = api.put(SLICES, make_target_slice("/services/y/", "http://never-resolved:80"))

    async def well(host: str) -> list[str]:
        if host != "grader":
            raise OSError("unknown name")
        return ["127.0.0.1"]

    async def ill(host: str) -> list[str]:
        raise OSError("no name server")

    async with aiohttp.ClientSession() as session:
        for resolver in (well, ill):
            async with running(haproxy, api, resolver=resolver) as (agent, client):
                replica = Replica(haproxy, agent, client, api, servers, session)
                assert (await replica.acknowledge(obj))[0] == 200
                assert await replica.who("/services/x/") == "grader"
                assert (await replica.acknowledge(other, 0.1))[0] == 408


async def test_junk_slices_disturb_nobody(replica: Replica) -> None:
    for number in range(5):
        junk = make_slice(f"/user/junk{number}/", "127.0.0.1")
        junk["metadata"]["annotations"]["campus.jupyterhub/data"] = "x" * (10 if number else 200_000)
        replica.api.put(SLICES, junk)
    obj = await replica.student("ann")
    assert (await replica.acknowledge(obj))[0] == 200
    assert replica.agent.table.refusals == 5
    text = await (await replica.client.get("/metrics")).text()
    assert "campus_proxy_refusals_total 5" in text
    assert "campus_proxy_routes 1" in text
    table = await (await replica.client.get("/routes")).json()
    assert sorted(row["served"] for row in table["routes"]) == [False] * 5 + [True]
    assert [row["routespec"] for row in table["routes"] if row["served"]] == ["/user/ann/"]


async def test_a_replica_that_is_behind_another_takes_nobody_new_until_it_is_not(
    replica: Replica, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    async def another_has_it(self: Peers, name: str, uid: str, resource_version: str) -> bool:
        asked.append(name)
        return name in known

    monkeypatch.setattr(Peers, "have", another_has_it)
    known: set[str] = set()
    first = await replica.student("ann")
    assert (await replica.acknowledge(first))[0] == 200

    replica.api.mode = "hang"
    late = replica.api.put(SLICES, first | {"metadata": first["metadata"]})
    assert (await replica.acknowledge(late, 0.05))[0] == 408
    await eventually(lambda: asked == [late["metadata"]["name"]])
    # Nobody knows better, so it goes on with what it has: the API server may be away for all.
    assert await replica.ready() == 200

    known.add(late["metadata"]["name"])
    assert (await replica.acknowledge(late, 0.05))[0] == 408
    await eventually(lambda: replica.agent.behind)
    assert await replica.ready() == 503
    assert await replica.who("/user/ann/") == "ann"

    replica.api.mode = "well"
    replica.api.disconnect()
    assert (await replica.acknowledge(late))[0] == 200
    assert await replica.ready() == 200


async def test_a_part_that_fails_takes_no_route_along(replica: Replica, monkeypatch: pytest.MonkeyPatch) -> None:
    await replica.acknowledge(await replica.student("ann"))

    def fail(self: object, obj: object) -> None:
        raise RuntimeError("never thought of")

    with monkeypatch.context() as broken:
        broken.setattr("campus_proxy.table.Table.put_pod", fail)
        obj = await replica.student("bob")
        async with asyncio.timeout(30):
            while replica.agent.counters.failures < 2:
                assert await replica.who("/user/ann/") == "ann"
                assert (await replica.client.get("/ready")).status == 200
    assert (await replica.acknowledge(obj))[0] == 200
    assert await replica.who("/user/ann/") == "ann"
    assert await replica.who("/user/bob/") == "bob"


async def test_a_slice_that_cannot_even_be_read_takes_no_route_along(
    replica: Replica, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read(prefix: str, routespec: str) -> str:
        if "poison" in routespec:
            raise RuntimeError("never thought of")
        return slice_name(prefix, routespec)

    monkeypatch.setattr("campus_proxy.routes.slice_name", read)
    replica.api.put(SLICES, make_slice("/user/poison/"))
    assert (await replica.acknowledge(await replica.student("ann")))[0] == 200
    assert replica.agent.counters.failures == 0


async def test_a_wave_of_spawns_is_acknowledged_fast(replica: Replica) -> None:
    port = await replica.servers.start("farm")
    slices = []
    for number in range(300):
        replica.api.put(PODS, make_pod(f"p{number}", "127.0.0.1"))
        slices.append(replica.api.put(SLICES, make_slice(f"/user/s{number}/", "127.0.0.1", port, f"p{number}")))
    answers = await asyncio.gather(*(replica.acknowledge(obj, 60) for obj in slices))
    assert {status for status, _unused in answers} == {200}
    assert replica.agent.counters.applied < 200, "changes that come together are applied together"


async def test_no_student_ever_meets_another_ones_server_while_pods_come_and_go(replica: Replica) -> None:
    """Addresses are used again at once; the few servers say whose they are, since each has a port of its own."""
    names = [f"s{number}" for number in range(8)]
    ports = {name: await replica.servers.start(name) for name in names}
    stop = asyncio.Event()
    wrong: list[tuple[str, str]] = []

    async def browse(name: str) -> None:
        while not stop.is_set():
            seen = await replica.who(f"/user/{name}/")
            if seen not in {name, "hub"}:
                wrong.append((name, seen))
            await asyncio.sleep(0.005)

    students = [asyncio.create_task(browse(name)) for name in names]
    for turn in range(40):
        name = names[turn % len(names)]
        pod = f"pod-{name}-{turn}"
        replica.api.put(PODS, make_pod(pod, "127.0.0.1"))
        obj = replica.api.put(SLICES, make_slice(f"/user/{name}/", "127.0.0.1", ports[name], pod))
        assert (await replica.acknowledge(obj))[0] == 200
        assert await replica.who(f"/user/{name}/") == name
        if turn % 3 == 0:
            replica.api.delete(PODS, pod)
        if turn % 10 == 9:
            replica.api.forget_history()
    stop.set()
    await asyncio.gather(*students)
    assert not wrong
