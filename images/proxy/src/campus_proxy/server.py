"""What the agent answers over HTTP: to the hub, the kubelet, Prometheus and staff."""

from __future__ import annotations

import asyncio
import math
import signal
import time
from collections import Counter
from collections.abc import Iterable

from aiohttp import web

from campus_proxy.agent import Agent
from campus_proxy.certificate import Keeper
from campus_proxy.haproxy import HaproxyError
from campus_proxy.kube import Api
from campus_proxy.settings import Settings, from_env_or_exit
from campus_proxy.use import COUNTERS

AGENT = web.AppKey("agent", Agent)
KEEPER = web.AppKey("keeper", Keeper)
MAX_WAIT = 300.0
"""Longest wait for an acknowledgement, in seconds."""


async def acknowledge(request: web.Request) -> web.Response:
    """Answer 200 as soon as HAProxy serves the version asked for, 408 with the reason when it does not in time."""
    query = request.query
    name, uid, version = query.get("name", ""), query.get("uid", ""), query.get("resourceVersion", "")
    try:
        timeout = float(query.get("timeout", "10"))
    except ValueError:
        timeout = math.nan
    if not (name and uid and version and timeout >= 0):
        text = "name, uid, resourceVersion and a timeout in seconds are needed"
        return web.json_response({"applied": False, "reason": text}, status=400)
    reason = await request.app[AGENT].wait_applied(name, uid, version, min(timeout, MAX_WAIT))
    if reason and timeout:
        request.app[AGENT].doubt(name, uid, version)
    answer = {"applied": not reason, "name": name, "uid": uid, "resourceVersion": version, "reason": reason}
    return web.json_response(answer, status=408 if reason else 200)


async def ready(request: web.Request) -> web.Response:
    """Answer 200 once HAProxy has the routes of a whole list, and while no other replica has more."""
    agent = request.app[AGENT]
    if agent.behind:
        return web.json_response({"ready": False, "reason": "another replica has newer routes"}, status=503)
    if agent.ready:
        return web.json_response({"ready": True, "routes": len(agent.in_map or {})})
    reason = "HAProxy does not have the routes yet" if agent.synced else "the routes are not listed yet"
    return web.json_response({"ready": False, "reason": reason}, status=503)


async def live(request: web.Request) -> web.Response:
    """Answer at all: the event loop turns."""
    return web.json_response({"live": True})


async def routes(request: web.Request) -> web.Response:
    """The routing table, for staff."""
    return web.json_response({"ready": request.app[AGENT].ready, "routes": request.app[AGENT].overview()})


async def students(request: web.Request) -> web.Response:
    """What each student's server is asked for, the busiest first; `student` asks for one student's."""
    query = request.query
    by, top, student = query.get("by", "requests"), query.get("top", "20"), query.get("student")
    if by not in COUNTERS.values() or not (top.isascii() and top.isdigit()):
        text = f"by is one of {', '.join(COUNTERS.values())}, and top a number"
        return web.json_response({"reason": text}, status=400)
    try:
        rows = await request.app[AGENT].uses(by)
    except HaproxyError as error:
        return web.json_response({"reason": f"HAProxy does not answer: {error}"}, status=503)
    wanted = rows[: int(top)] if student is None else [row for row in rows if row["student"] == student]
    return web.json_response({"students": wanted})


def _metric(name: str, kind: str, text: str, values: Iterable[tuple[str, float]]) -> str:
    full = f"campus_proxy_{name}"
    body = "".join(f"{full}{labels} {value:.15g}\n" for labels, value in values)
    return f"# HELP {full} {text}\n# TYPE {full} {kind}\n{body}"


def render_metrics(agent: Agent, now: float) -> str:
    """The metrics in Prometheus' text format; `now` is monotonic, in seconds."""
    counters, table = agent.counters, agent.table
    unserved = Counter(status.reason for status in agent.statuses.values() if status.reason)
    reflectors = (("endpointslices", agent.slices), ("pods", agent.pods))
    of_each = [(f'{{resource="{name}"}}', reflector) for name, reflector in reflectors]
    silent = [(label, now - each.last_contact) for label, each in of_each if each.last_contact]
    parts = [
        _metric("ready", "gauge", "1 once HAProxy has the routes of a whole list.", [("", agent.ready)]),
        _metric("behind", "gauge", "1 while another replica has routes that do not come here.", [("", agent.behind)]),
        _metric("routes", "gauge", "Routes in HAProxy's map.", [("", len(agent.in_map or {}))]),
        _metric("slices", "gauge", "EndpointSlices seen.", [("", len(table.versions))]),
        _metric(
            "slices_unserved",
            "gauge",
            "EndpointSlices that HAProxy has no route for, by reason.",
            [(f'{{reason="{reason}"}}', count) for reason, count in sorted(unserved.items())],
        ),
        _metric("pods", "gauge", "Pods of students seen.", [("", len(table.pods))]),
        _metric("refusals_total", "counter", "EndpointSlices ignored as no route.", [("", table.refusals)]),
        _metric("api_errors_total", "counter", "Failed lists and watches.", [(lab, r.errors) for lab, r in of_each]),
        _metric("api_lists_total", "counter", "Whole lists read.", [(lab, r.lists) for lab, r in of_each]),
        _metric("api_events_total", "counter", "Watch events read.", [(lab, r.events) for lab, r in of_each]),
        _metric("api_silence_seconds", "gauge", "Time since the API server was last heard.", silent),
        _metric("changes_total", "counter", "Changes of HAProxy's map.", [("", counters.applied)]),
        _metric("replacements_total", "counter", "Times the whole map was set.", [("", counters.replaced)]),
        _metric("haproxy_errors_total", "counter", "Failed commands to HAProxy.", [("", counters.haproxy_errors)]),
        _metric("resolve_errors_total", "counter", "Names that had no address.", [("", counters.resolve_errors)]),
        _metric("save_errors_total", "counter", "Failures to save the map on disk.", [("", counters.save_errors)]),
        _metric("failures_total", "counter", "Times a part of the agent failed.", [("", counters.failures)]),
        _metric("lag_seconds_sum", "counter", "From event to HAProxy, all changes.", [("", counters.lag_sum)]),
        _metric("lag_seconds_max", "gauge", "Longest time from event to HAProxy.", [("", counters.lag_max)]),
    ]
    return "".join(parts)


def render_certificate(keeper: Keeper) -> str:
    """The certificate's metrics in Prometheus' text format."""
    expiry = [("", keeper.served.not_after)] if keeper.served else []
    parts = [
        _metric("certificate_expiry_timestamp_seconds", "gauge", "When the served certificate expires.", expiry),
        _metric("certificate_loaded_timestamp_seconds", "gauge", "When one was last loaded.", [("", keeper.loaded_at)]),
        _metric("certificate_refused", "gauge", "1 while the Secret's is not served.", [("", bool(keeper.refused))]),
        _metric("certificate_loads_total", "counter", "Certificates given to HAProxy.", [("", keeper.loads)]),
        _metric("certificate_failures_total", "counter", "Certificates that were no good.", [("", keeper.failures)]),
    ]
    return "".join(parts)


async def metrics(request: web.Request) -> web.Response:
    """The agent's metrics; HAProxy has its own on the monitor port."""
    text = render_metrics(request.app[AGENT], time.monotonic())
    keeper = request.app.get(KEEPER)
    text += render_certificate(keeper) if keeper else ""
    return web.Response(text=text, content_type="text/plain", charset="utf-8")


def build_app(agent: Agent, keeper: Keeper | None = None) -> web.Application:
    """The web application of one agent, and of the keeper of its certificate where there is https."""
    app = web.Application()
    app[AGENT] = agent
    if keeper:
        app[KEEPER] = keeper
    app.router.add_get("/acknowledge", acknowledge)
    app.router.add_get("/ready", ready)
    app.router.add_get("/live", live)
    app.router.add_get("/routes", routes)
    app.router.add_get("/students", students)
    app.router.add_get("/metrics", metrics)
    return app


async def serve(settings: Settings) -> None:
    """Be the agent of this replica until told to end. Raises what made a part of it fail."""
    api = Api.in_cluster()
    agent = Agent.build(settings, api)
    keeper = Keeper.build(settings) if settings.https != "disabled" else None
    runner = web.AppRunner(build_app(agent, keeper), access_log=None, shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, port=settings.agent_port).start()
    work = asyncio.gather(agent.run(), *([keeper.run()] if keeper else []))
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, work.cancel)
    try:
        await work
    except asyncio.CancelledError:
        return
    finally:
        await runner.cleanup()
        await api.close()


def main() -> None:
    """The command campus-proxy-agent."""
    asyncio.run(serve(from_env_or_exit()))
