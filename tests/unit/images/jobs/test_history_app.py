"""The page as its pod starts it: up without a cluster, and gone when it is told to go."""

from __future__ import annotations

import asyncio
import os
import signal

import pytest
from aiohttp import ClientError, ClientSession
from ansible_collections.campus.jupyterhub.tests.unit.ports import free_port
from campus_history import app
from jupyterhub.services.auth import HubOAuth

ENVIRONMENT = {
    "KUBECONFIG": "/nonexistent",
    "JUPYTERHUB_API_TOKEN": "a token",
    "CAMPUS_NAMESPACE": "jupyterhub",
    "CAMPUS_TIMEZONE": "Europe/Berlin",
    "CAMPUS_BASE_PATH": "/jupyter/",
    "CAMPUS_SUBDOMAIN_HOST": "https://hub.example.edu",
    "CAMPUS_SCRATCH_CLASS": "jupyterhub-scratch",
    "CAMPUS_AT_ONCE": "20",
    "CAMPUS_IDLE": "600",
    "CAMPUS_TIMEOUT": "600",
}


async def test_it_starts_leads_to_the_hub_and_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    port = free_port()
    monkeypatch.setattr(app, "PORT", port)
    monkeypatch.setattr(os, "environ", {**os.environ, **ENVIRONMENT})
    HubOAuth.clear_instance()
    serving = asyncio.create_task(app.serve())
    page = f"http://127.0.0.1:{port}/jupyter/services/files-history/"
    async with ClientSession() as browser, asyncio.timeout(30):
        while True:
            try:
                async with browser.get(f"{page}health") as answer:
                    assert answer.status == 200
                    break
            except ClientError:
                await asyncio.sleep(0.02)
        source, sink = await asyncio.open_connection("127.0.0.1", port)
        sink.write(f"POST {page} HTTP/1.1\r\nHost: hub\r\nContent-Length: {app.LARGEST + 1}\r\n\r\n".encode())
        assert b" 400 " in await source.readline()
        sink.close()
        async with browser.get(page, allow_redirects=False) as answer:
            where = answer.headers["Location"]
    assert where.startswith("https://hub.example.edu/jupyter/hub/api/oauth2/authorize?client_id=service-files-history&")
    callback = "files-history--service.hub.example.edu%2Fjupyter%2Fservices%2Ffiles-history%2Foauth_callback"
    assert f"redirect_uri=https%3A%2F%2F{callback}" in where
    os.kill(os.getpid(), signal.SIGTERM)
    await asyncio.wait_for(serving, 30)
    HubOAuth.clear_instance()


async def test_tidying_up_that_fails_ends_the_page(monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(_parts: app.History) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(app, "PORT", free_port())
    monkeypatch.setattr(app, "tidy", broken)
    monkeypatch.setattr(os, "environ", {**os.environ, **ENVIRONMENT})
    HubOAuth.clear_instance()
    with pytest.raises(ZeroDivisionError):
        await asyncio.wait_for(app.serve(), 30)
    HubOAuth.clear_instance()
