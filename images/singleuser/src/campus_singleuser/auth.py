"""Ask the hub who a student is, and remember the answer while the hub cannot be asked."""

from __future__ import annotations

import asyncio
import os
import time
from typing import Any

import aiohttp
from jupyterhub.httpclient import fetch
from jupyterhub.services.auth import HubOAuth
from jupyterhub.utils import make_ssl_context
from tornado.web import HTTPError
from traitlets import Float, Integer, default

from campus_singleuser.address import reachable

GRACE_ENV = "CAMPUS_HUB_AUTH_GRACE"
DEFAULT_GRACE = 86400
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 4.0
"""Seconds between two questions of somebody who is not known yet."""

User = dict[str, Any]


class HubAway(Exception):
    """The hub said nothing about the token: no connection, no answer in time, too busy, a 404 or a 5xx."""


class PatientHubOAuth(HubOAuth):  # type: ignore[misc]
    """HubOAuth whose last good answer for a token holds while the hub is away; a 401 or 403 ends it at once."""

    hub_auth_grace = Integer(config=True, help=f"Seconds that a good answer holds. Default: ${GRACE_ENV} or a day.")
    hub_timeout = Float(30, config=True, help="Seconds to wait for the hub when there is no earlier answer.")
    hub_timeout_known = Float(3, config=True, help="Seconds to wait for the hub when there is an earlier answer.")
    hub_retry = Float(10, config=True, help="Seconds for which a hub that was away is not asked about a known token.")

    @default("hub_auth_grace")  # type: ignore[untyped-decorator]
    def _default_grace(self) -> int:
        return int(os.environ.get(GRACE_ENV) or DEFAULT_GRACE)

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        # cache key → (when the hub said so, what it said); monotonic seconds
        self._good: dict[str, tuple[float, User]] = {}
        self._away_until = 0.0

    async def _check_hub_authorization(
        self, url: str, api_token: str, cache_key: str | None = None, use_cache: bool = True
    ) -> User | None:
        """Return the user of a token, None if the hub knows none. Raises HTTPError 503 if it is away and never said."""
        key = cache_key or ""
        if use_cache and key in self.cache:
            cached: User | None = self.cache[key]
            return cached
        known = self._last_good(key) if use_cache else None
        if known and time.monotonic() < self._away_until:
            return known
        try:
            if known:
                user = await self._ask(url, api_token, self.hub_timeout_known)
            else:
                user = await self._ask_again(url, api_token)
        except HubAway as error:
            self._away_until = time.monotonic() + self.hub_retry
            if known is None:
                self.log.error("The hub at %s is away: %s", self.api_url, error)
                raise HTTPError(503, "The hub does not answer. Please try again in a minute.") from error
            self.log.warning("The hub is away (%s); going on with what it last said about %s", error, known["name"])
            return known
        self._away_until = 0.0
        if use_cache:
            self._remember(key, user)
        return user

    def _last_good(self, key: str) -> User | None:
        """Return the hub's last good answer about a token, unless it is older than the grace."""
        when, user = self._good.get(key, (0.0, None))
        return user if user is not None and time.monotonic() - when < self.hub_auth_grace else None

    def _remember(self, key: str, user: User | None) -> None:
        """Keep an answer: a good one for the grace, any for HubAuth's own cache; forget what is too old."""
        self.cache[key] = user
        now = time.monotonic()
        self._good = {old: (when, who) for old, (when, who) in self._good.items() if now - when < self.hub_auth_grace}
        if user is None:
            self._good.pop(key, None)
        else:
            self._good[key] = (now, user)

    async def _api_request(self, method: str, url: str, /, **kwargs: Any) -> Any:
        """Ask the hub, by its address where no name server answers: a login's last step."""
        return await super()._api_request(method, await reachable(url, os.environ), **kwargs)

    async def _ask_again(self, url: str, api_token: str) -> User | None:
        """Ask until the hub answers, for hub_timeout seconds at most; returns and raises as `_ask`.

        A page that comes late is better than one that says to try again: a hub that moves to another node, or nodes
        that Kubernetes takes for lost after an outage of its API server, are out of reach for some seconds.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self.hub_timeout
        pause = FIRST_PAUSE
        while True:
            try:
                return await self._ask(url, api_token, deadline - loop.time())
            except HubAway as error:
                if loop.time() + pause >= deadline:
                    raise
                self.log.warning("The hub at %s is away (%s); asking again in %.1f s", self.api_url, error, pause)
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)

    async def _ask(self, url: str, api_token: str, timeout: float) -> User | None:
        """Ask the hub. Returns None for 401 and 403. Raises HubAway, and HTTPError 500 for any other refusal."""
        options: dict[str, Any] = {"timeout": aiohttp.ClientTimeout(total=timeout)}
        if self.certfile or self.keyfile:
            options["ssl"] = make_ssl_context(self.keyfile, self.certfile, cafile=self.client_ca)
        try:
            response = await fetch(
                await reachable(url, os.environ),
                headers={"Authorization": f"token {api_token}"},
                raise_for_status=False,
                **options,
            )
            async with response:
                if response.status in (401, 403):
                    self.log.warning("The hub does not know the token of this request [%d]", response.status)
                    return None
                # A 404 was seen on an overloaded machine; whatever its cause, it says nothing about the token.
                if response.status >= 500 or response.status in (404, 408, 429):
                    raise HubAway(f"it answered {response.status}")
                if response.status >= 400:
                    raise HTTPError(500, f"The hub refused to identify the user [{response.status}]")
                user: User = await response.json(content_type=None)
                return user
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise HubAway(f"{type(error).__name__} {error}".strip()) from error
