"""A hub does not wait for services that run elsewhere."""

from __future__ import annotations

import asyncio
import inspect
import logging
from types import SimpleNamespace
from typing import Any

import pytest
from campus_hub import external
from jupyterhub.app import JupyterHub

HUB = SimpleNamespace(log=logging.getLogger("test"))


async def waiting(_hub: Any, service_name: str, _service: Any, _ssl_context: Any = None) -> bool:
    """Stands for JupyterHub.start_service and a service that does not answer."""
    await asyncio.Event().wait()
    return False


def test_jupyterhub_still_has_the_method_that_is_wrapped() -> None:
    assert asyncio.iscoroutinefunction(JupyterHub.start_service)
    wrapper = external.at_once(JupyterHub.start_service)
    assert list(inspect.signature(wrapper).parameters) == list(inspect.signature(JupyterHub.start_service).parameters)


def test_the_wrapper_goes_on_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(JupyterHub, "start_service", JupyterHub.start_service)
    external.install()
    first = JupyterHub.start_service
    external.install()
    assert JupyterHub.start_service is first
    assert first.__module__ == "campus_hub.external"


async def test_an_external_service_is_not_waited_for() -> None:
    service = SimpleNamespace(managed=False, url="http://files-history.jupyterhub:8080")
    assert await asyncio.wait_for(external.at_once(waiting)(HUB, "files-history", service), 10) is True


async def test_a_service_of_the_hub_itself_is() -> None:
    culler = SimpleNamespace(managed=True, url="")
    answers = []

    async def start(_hub: Any, service_name: str, service: Any, ssl_context: Any) -> bool:
        answers.append((service_name, service, ssl_context))
        return False

    assert await external.at_once(start)(HUB, "culler", culler, "tls") is False
    assert answers == [("culler", culler, "tls")]
