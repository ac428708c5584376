"""The student's server and a hub over HTTP that goes away, comes back, and says no."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest
from aiohttp import web
from ansible_collections.campus.jupyterhub.tests.unit.ports import free_port
from ansible_collections.campus.jupyterhub.tests.unit.waiting import LoopClock, eventually
from campus_singleuser import auth
from campus_singleuser.address import ADDRESS_ENV
from campus_singleuser.auth import PatientHubOAuth
from jupyterhub.httpclient import JupyterHubHTTPClient
from tornado.web import HTTPError

ANN = {"name": "ann", "scopes": ["access:servers!server=ann/"]}


class FakeHub:
    """A hub that can be told what to answer; it really listens and really goes away."""

    def __init__(self) -> None:
        self.status = 200
        self.delay = 0.0
        self.asked = 0
        self.port = free_port()
        self.runner: web.AppRunner | None = None

    async def user(self, request: web.Request) -> web.Response:
        """Answer /hub/api/user."""
        self.asked += 1
        await asyncio.sleep(self.delay)
        if self.status != 200:
            return web.json_response({"message": "as told"}, status=self.status)
        return web.json_response(ANN | {"token": request.headers["Authorization"]})

    async def come(self) -> None:
        """Listen, always on the same port."""
        app = web.Application()
        app.router.add_get("/hub/api/user", self.user)
        self.runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self.runner.setup()
        await web.TCPSite(self.runner, "127.0.0.1", self.port, reuse_address=True).start()

    async def leave(self) -> None:
        """Stop listening."""
        if self.runner:
            await self.runner.cleanup()
            self.runner = None

    async def leave_for_good(self, oauth: PatientHubOAuth) -> None:
        """Stop listening; the student's server asks about somebody unknown only once."""
        await self.leave()
        oauth.hub_timeout = auth.FIRST_PAUSE


@pytest.fixture
async def hub() -> AsyncIterator[FakeHub]:
    """A hub that is there."""
    fake = FakeHub()
    await fake.come()
    yield fake
    await fake.leave()
    if JupyterHubHTTPClient.initialized():
        await JupyterHubHTTPClient.loop_instance().close()
        JupyterHubHTTPClient.clear_instance()


class Clock:
    """The seconds that the class under test sees; they pass when a test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def forward(self, seconds: float) -> None:
        """Let so many seconds be over."""
        self.now += seconds


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The clock of campus_singleuser.auth."""
    made = Clock()
    monkeypatch.setattr(auth, "time", SimpleNamespace(monotonic=lambda: made.now))
    return made


@pytest.fixture
async def oauth(hub: FakeHub) -> PatientHubOAuth:
    """The server's side, which asks at every request: its cache holds nothing."""
    return forgetful(hub)


def forgetful(hub: FakeHub, **traits: Any) -> PatientHubOAuth:
    """Return a HubOAuth with a cache that is always empty and bounds that no slow machine reaches."""
    given = {"hub_auth_grace": 3600, "hub_timeout": 60, "hub_timeout_known": 60, "hub_retry": 10} | traits
    made = PatientHubOAuth(
        api_url=f"http://127.0.0.1:{hub.port}/hub/api", api_token="own", oauth_client_id="jupyterhub-user-ann", **given
    )
    made.cache.max_age = 0.0001
    return made


async def user(oauth: PatientHubOAuth, token: str = "token", session: str = "") -> Any:
    """Ask as a request does."""
    await asyncio.sleep(0.001)
    return await oauth.user_for_token(token, session_id=session, sync=False)


async def test_a_known_token_is_known_while_the_hub_is_gone(hub: FakeHub, oauth: PatientHubOAuth, clock: Clock) -> None:
    before = await user(oauth)
    await hub.leave()

    assert await user(oauth) == before
    clock.forward(3000)
    assert await user(oauth) == before


@pytest.mark.parametrize("status", [404, 408, 429, 500, 502, 503, 504])
async def test_a_known_token_is_known_while_the_hub_is_ill(hub: FakeHub, oauth: PatientHubOAuth, status: int) -> None:
    before = await user(oauth)
    hub.status = status

    assert await user(oauth) == before


async def test_a_hub_that_hangs_holds_up_one_request_and_not_the_next(
    hub: FakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    oauth = forgetful(hub, hub_timeout=3600)
    before = await user(oauth)
    hub.delay = 3600
    loop_clock = LoopClock(monkeypatch)
    held_up = asyncio.create_task(user(oauth))
    await eventually(lambda: hub.asked == 2)
    assert not held_up.done()
    loop_clock.forward(oauth.hub_timeout_known)

    async with asyncio.timeout(30):
        assert await held_up == before
        assert await user(oauth) == before

    assert hub.asked == 2


@pytest.mark.parametrize("status", [401, 403])
async def test_a_definite_no_is_never_overridden(hub: FakeHub, oauth: PatientHubOAuth, status: int) -> None:
    assert await user(oauth)
    hub.status = status
    assert await user(oauth) is None
    await hub.leave_for_good(oauth)

    with pytest.raises(HTTPError) as refused:
        await user(oauth)

    assert refused.value.status_code == 503


async def test_a_returning_hub_s_no_counts_again(hub: FakeHub, oauth: PatientHubOAuth, clock: Clock) -> None:
    await user(oauth)
    await hub.leave()
    assert await user(oauth)
    hub.status = 403
    await hub.come()
    clock.forward(9)
    assert await user(oauth)
    clock.forward(1)

    assert await user(oauth) is None


async def test_an_unknown_token_is_not_let_in_while_the_hub_is_gone(hub: FakeHub, oauth: PatientHubOAuth) -> None:
    await user(oauth)
    await hub.leave_for_good(oauth)

    with pytest.raises(HTTPError) as refused:
        await user(oauth, "another")

    assert refused.value.status_code == 503


@pytest.mark.parametrize("status", [404, 503])
async def test_somebody_unknown_is_let_in_as_soon_as_the_hub_is_back(
    hub: FakeHub, oauth: PatientHubOAuth, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    monkeypatch.setattr(auth, "FIRST_PAUSE", 0.01)
    await hub.leave()
    waiting = asyncio.create_task(user(oauth))
    hub.status = status
    await hub.come()
    await eventually(lambda: hub.asked)
    assert not waiting.done()
    hub.status = 200

    async with asyncio.timeout(30):
        assert (await waiting)["name"] == "ann"


async def test_somebody_unknown_waits_no_longer_than_is_set(
    hub: FakeHub, oauth: PatientHubOAuth, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.status = 503
    loop_clock = LoopClock(monkeypatch)
    waiting = asyncio.create_task(user(oauth))
    await eventually(lambda: hub.asked == 1)
    assert not waiting.done()
    loop_clock.forward(oauth.hub_timeout)

    with pytest.raises(HTTPError) as refused:
        await asyncio.wait_for(waiting, 30)

    assert refused.value.status_code == 503


async def test_another_session_of_the_same_token_is_asked_about(hub: FakeHub, oauth: PatientHubOAuth) -> None:
    await user(oauth, session="one")
    await hub.leave_for_good(oauth)

    with pytest.raises(HTTPError):
        await user(oauth, session="two")


async def test_the_last_good_answer_grows_old(hub: FakeHub, oauth: PatientHubOAuth, clock: Clock) -> None:
    await user(oauth)
    await hub.leave_for_good(oauth)
    clock.forward(3599)
    assert await user(oauth)
    clock.forward(1)

    with pytest.raises(HTTPError):
        await user(oauth)


async def test_each_good_answer_starts_the_grace_anew(hub: FakeHub, oauth: PatientHubOAuth, clock: Clock) -> None:
    await user(oauth)
    clock.forward(2400)
    await user(oauth)
    await hub.leave()
    clock.forward(2400)

    assert await user(oauth)


async def test_old_tokens_are_forgotten(hub: FakeHub, oauth: PatientHubOAuth, clock: Clock) -> None:
    for number in range(5):
        await user(oauth, f"token-{number}")
    assert len(oauth._good) == 5
    clock.forward(3600)
    await user(oauth, "last")

    assert len(oauth._good) == 1


async def test_hubauth_s_own_cache_still_spares_the_hub(hub: FakeHub, oauth: PatientHubOAuth) -> None:
    oauth.cache.max_age = 300
    for _unused in range(5):
        await user(oauth)

    assert hub.asked == 1


async def test_a_hub_that_is_away_is_asked_once_in_a_while(hub: FakeHub, oauth: PatientHubOAuth, clock: Clock) -> None:
    await user(oauth)
    hub.status, hub.asked = 503, 0
    for _unused in range(10):
        await user(oauth)
    assert hub.asked == 1
    clock.forward(10)
    for _unused in range(10):
        await user(oauth)

    assert hub.asked == 2


async def test_without_the_cache_the_hub_itself_is_meant(hub: FakeHub, oauth: PatientHubOAuth) -> None:
    await user(oauth)
    await hub.leave_for_good(oauth)

    with pytest.raises(HTTPError):
        await oauth.user_for_token("token", use_cache=False, sync=False)


async def test_another_refusal_is_an_error_and_not_an_absence(hub: FakeHub, oauth: PatientHubOAuth) -> None:
    await user(oauth)
    hub.status = 400

    with pytest.raises(HTTPError) as refused:
        await user(oauth)

    assert refused.value.status_code == 500


@pytest.mark.parametrize(("given", "expected"), [(None, 86400), ("", 86400), ("600", 600)])
async def test_the_grace_comes_from_the_environment(
    monkeypatch: pytest.MonkeyPatch, given: str | None, expected: int
) -> None:
    monkeypatch.delenv(auth.GRACE_ENV, raising=False)
    if given is not None:
        monkeypatch.setenv(auth.GRACE_ENV, given)

    assert PatientHubOAuth(api_token="own", oauth_client_id="x").hub_auth_grace == expected


async def test_a_hub_whose_name_leads_nowhere_is_asked_at_its_address(
    hub: FakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(ADDRESS_ENV, "127.0.0.1")
    oauth = PatientHubOAuth(
        api_url=f"http://hub.invalid:{hub.port}/hub/api", api_token="own", oauth_client_id="jupyterhub-user-ann"
    )

    assert (await user(oauth))["name"] == "ann"
    assert (await oauth._api_request("GET", f"{oauth.api_url}/user"))["token"] == "token own"
