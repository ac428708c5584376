"""The election itself on clocks that differ, with an API server that is slow, forgets to answer and fails.

Time is simulated: an hour takes a moment.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import selectors
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from random import Random
from typing import Any

import pytest
from campus_hub.election import Election
from campus_hub.fence import Fence
from campus_hub.kube import KubeError
from campus_hub.lease import Candidate, Record, Times
from hypothesis import given, settings
from hypothesis import strategies as st

TIMES = Times()


class _Skipping(selectors.SelectSelector):
    """Waits for nothing: the loop's clock jumps to its next timer."""

    def __init__(self) -> None:
        super().__init__()
        self.moment = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        assert timeout is not None, "everybody waits for ever"
        self.moment += max(timeout, 0)
        return super().select(0)


class SimulatedLoop(asyncio.SelectorEventLoop):
    """An event loop whose time passes at once."""

    def __init__(self) -> None:
        self._skipping = _Skipping()
        super().__init__(self._skipping)

    def time(self) -> float:
        return self._skipping.moment


def simulate(work: Coroutine[Any, Any, None]) -> None:
    """Run a coroutine in simulated time."""
    with asyncio.Runner(loop_factory=SimulatedLoop) as runner:
        runner.run(work)


@dataclass
class Server:
    """The Lease at the API server. A request that its sender has given up may still be carried out.

    slow: seconds that a message takes at most; answer: seconds that answers take more; failing: share that is lost.
    """

    random: Random
    slow: float = 0.0
    failing: float = 0.0
    answer: float = 0.0
    record: Record | None = None
    cut_off: set[str] = field(default_factory=set)
    versions: itertools.count[int] = field(default_factory=lambda: itertools.count(1))
    _requests: set[asyncio.Task[Any]] = field(default_factory=set)

    async def _travel(self, pod: str) -> None:
        await asyncio.sleep(self.random.choice([0.001, self.random.uniform(0, self.slow), self.slow]))
        if pod in self.cut_off or self.random.random() < self.failing:
            raise KubeError(0, "lost on the way")

    async def read(self, pod: str) -> Record | None:
        await self._travel(pod)
        found = self.record
        await self._travel(pod)
        return found

    async def write(self, pod: str, seen: Record | None, holder: str, duration: int) -> Record:
        async def carry_out() -> Record:
            await self._travel(pod)
            if (seen.version if seen else None) != (self.record.version if self.record else None):
                raise KubeError(409, "conflict")
            self.record = Record(str(next(self.versions)), holder, duration)
            written = self.record
            await asyncio.sleep(self.answer)
            await self._travel(pod)
            return written

        request = asyncio.create_task(carry_out())
        self._requests.add(request)
        request.add_done_callback(self._done)
        return await asyncio.shield(request)

    def _done(self, request: asyncio.Task[Any]) -> None:
        self._requests.discard(request)
        if not request.cancelled():
            request.exception()


class Leases:
    """The server as one pod reaches it."""

    def __init__(self, server: Server, pod: str) -> None:
        self._server, self._pod = server, pod

    async def read(self) -> Record | None:
        return await self._server.read(self._pod)

    async def write(self, seen: Record | None, holder: str, duration: int) -> Record:
        return await self._server.write(self._pod, seen, holder, duration)


class WatchedFence(Fence):
    """A fence that calls opened each time that it is opened anew."""

    opened: Callable[[], None] = staticmethod(lambda: None)

    def open_until(self, moment: float) -> None:
        super().open_until(moment)
        self.opened()


class Hub:
    """One process in a pod, whose clock starts anywhere and runs a little fast or slow."""

    def __init__(self, server: Server, pod: str, times: Times = TIMES, rate: float = 1, strict: bool = True) -> None:
        loop, offset = asyncio.get_running_loop(), server.random.uniform(0, 1e6)

        def clock() -> float:
            return offset + rate * loop.time()

        self.pod = pod
        self.fence = WatchedFence(clock)
        self.wins = 0
        self.election = Election(Candidate(pod, times, strict), Leases(server, pod), self.fence, clock)
        self.task = asyncio.create_task(self.election.run(self._won))

    def _won(self) -> None:
        self.wins += 1

    @property
    def may_act(self) -> bool:
        return self.fence.is_open() and not self.task.done()

    async def kill(self) -> None:
        """End the process in the middle of whatever it does."""
        self.task.cancel()
        await asyncio.wait([self.task])

    async def stop(self) -> None:
        """End it in good order."""
        await self.kill()
        with contextlib.suppress(KubeError, TimeoutError):
            await self.election.release()


async def one_of(hubs: list[Hub], seconds: float) -> Hub:
    """Wait until one may act; fails after that many seconds."""
    async with asyncio.timeout(seconds):
        while True:
            for hub in hubs:
                if hub.may_act:
                    return hub
            await asyncio.sleep(0.01)


@dataclass(frozen=True)
class Plan:
    """A course of events. events: (seconds until it happens, what, which of the pods)."""

    seed: int
    slow: float
    failing: float
    rates: list[float]
    strict: bool
    events: list[tuple[float, str, int]]


PODS = 3
plans = st.builds(
    Plan,
    seed=st.integers(0, 2**32),
    slow=st.sampled_from([0.0, 0.1, 1.9, 4.0]),
    failing=st.sampled_from([0.0, 0.1, 0.5]),
    rates=st.lists(st.floats(0.95, 1.05), min_size=PODS, max_size=PODS),
    strict=st.booleans(),
    events=st.lists(
        st.tuples(
            st.floats(0, 15), st.sampled_from(["cut off", "join", "kill", "stop", "start"]), st.integers(0, PODS - 1)
        ),
        max_size=12,
    ),
)


async def play(plan: Plan, times: Times) -> None:
    """Let the events happen; fails when two hubs may act at one moment."""
    server = Server(Random(plan.seed), plan.slow, plan.failing)
    hubs: dict[int, Hub] = {}
    overlaps: list[list[str]] = []

    def check() -> None:
        acting = [hub.pod for hub in hubs.values() if hub.may_act]
        if len(acting) > 1:
            overlaps.append(acting)

    def start(number: int) -> None:
        hubs[number] = Hub(server, f"pod-{number}", times, plan.rates[number], plan.strict)
        hubs[number].fence.opened = check

    for number in range(PODS):
        start(number)
    for seconds, what, number in [*plan.events, (20.0, "join", 0)]:
        await asyncio.sleep(seconds)
        if what == "kill":
            await hubs[number].kill()
        elif what == "stop":
            await hubs[number].stop()
        elif what == "start" and hubs[number].task.done():
            start(number)
        elif what == "cut off":
            server.cut_off.add(f"pod-{number}")
        elif what == "join":
            server.cut_off.discard(f"pod-{number}")
    for hub in hubs.values():
        await hub.kill()
    assert not overlaps, f"{overlaps[0]} both hold the Lease"


@settings(max_examples=300, deadline=None)
@given(plans)
def test_never_do_two_hubs_hold_the_lease(plan: Plan) -> None:
    # With less room between the two than in earnest, a mistake shows sooner.
    simulate(play(plan, Times(duration=6, deadline=5)))


def test_the_simulation_would_notice_two_holders() -> None:
    everybody = [(0.0, "cut off", number) for number in range(PODS)]
    plan = Plan(1, 0.0, 0.0, [1.0] * PODS, False, [(5.0, "join", 0), *everybody, (0.5, "join", 1), (0.5, "join", 2)])
    with pytest.raises(AssertionError, match="both hold the Lease"):
        simulate(play(plan, Times(duration=1, deadline=6)))


def test_a_dead_holder_is_followed_within_the_lease_and_two_looks() -> None:
    async def story() -> None:
        server = Server(Random(1))
        first, second = Hub(server, "a"), Hub(server, "b")
        holder = await one_of([first, second], 1)
        (other,) = {first, second} - {holder}
        await asyncio.sleep(20)
        await holder.kill()
        assert await one_of([other], TIMES.duration + 2 * TIMES.retry) is other
        await other.kill()

    simulate(story())


def test_a_lease_given_back_is_taken_at_the_next_look() -> None:
    async def story() -> None:
        server = Server(Random(1))
        first = Hub(server, "a")
        await one_of([first], 1)
        second = Hub(server, "b")
        await asyncio.sleep(10)
        await first.stop()
        assert not first.may_act
        await one_of([second], TIMES.retry + 0.1)
        await second.kill()

    simulate(story())


def test_a_restarted_process_of_the_same_pod_does_not_wait() -> None:
    async def story() -> None:
        server = Server(Random(1))
        killed = Hub(server, "a")
        await one_of([killed], 1)
        await killed.kill()
        again = Hub(server, "a")
        await one_of([again], 0.1)
        await again.kill()

    simulate(story())


def test_a_late_answer_lets_nobody_hold_the_lease_for_longer() -> None:
    async def story() -> None:
        server = Server(Random(1), answer=1.5)
        hub = Hub(server, "a", strict=False)
        await one_of([hub], 2)
        server.cut_off.add("a")
        await asyncio.sleep(TIMES.deadline - 1.5 + 0.1)
        assert not hub.fence.is_open()
        await hub.kill()

    simulate(story())


@pytest.mark.parametrize("strict", [True, False])
def test_a_holder_that_is_cut_off_may_do_nothing_after_its_deadline(strict: bool) -> None:
    async def story() -> None:
        server = Server(Random(1))
        hub = Hub(server, "a", strict=strict)
        await one_of([hub], 1)
        server.cut_off.add("a")
        await asyncio.sleep(TIMES.deadline + 0.1)
        assert not hub.fence.is_open()
        assert hub.task.done() is strict
        server.cut_off.clear()
        if not strict:
            await one_of([hub], 5)
        await hub.kill()

    simulate(story())


def test_a_patient_holder_ends_when_another_has_taken_the_lease() -> None:
    async def story() -> None:
        server = Server(Random(1))
        hub = Hub(server, "a", strict=False)
        await one_of([hub], 1)
        server.cut_off.add("a")
        other = Hub(server, "b", strict=False)
        await one_of([other], 10)
        server.cut_off.clear()
        async with asyncio.timeout(5):
            await hub.task
        assert not hub.fence.is_open()
        assert other.may_act
        await other.kill()

    simulate(story())


def test_a_long_outage_of_the_api_server_ends_no_patient_holder() -> None:
    async def story() -> None:
        server = Server(Random(1))
        hub = Hub(server, "a", strict=False)
        await one_of([hub], 1)
        server.failing = 1.0
        await asyncio.sleep(300)
        assert not hub.task.done()
        server.failing = 0.0
        await one_of([hub], 5)
        await hub.kill()

    simulate(story())
