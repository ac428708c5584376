"""What the page is told by its environment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from ansible_collections.campus.jupyterhub.plugins.module_utils._hub_config import (
    FILES_HISTORY,
    FILES_HISTORY_PORT,
    FILES_HISTORY_SCOPE,
    HUB_PORT,
)

SERVICE: Final = FILES_HISTORY
PORT: Final = FILES_HISTORY_PORT


@dataclass(frozen=True)
class Settings:
    """What holds as long as the page runs; all times are in seconds."""

    namespace: str
    zone: ZoneInfo
    """In which days begin, and in which the folders of what was put back are named."""
    base_path: str = "/"
    """Path of the hub's pages, with a slash at both ends."""
    subdomain_host: str = ""
    """Address of the hub where students and services have hosts of their own; empty where they have none."""
    scratch_class: str = "jupyterhub-scratch"
    at_once: int = 20
    """How many students may look into a snapshot at once."""
    idle: float = 600
    """After so long without a request, what was made for looking is removed."""
    timeout: int = 600
    """How long one thing may take, such as making a disk or copying a folder."""

    @property
    def prefix(self) -> str:
        """Path of this page, with a slash at both ends."""
        return f"{self.base_path}services/{SERVICE}/"


def settings_of(environment: Mapping[str, str]) -> Settings:
    """Return the settings in an environment; raises KeyError and ValueError for one that the role did not write."""
    return Settings(
        namespace=environment["CAMPUS_NAMESPACE"],
        zone=ZoneInfo(environment["CAMPUS_TIMEZONE"]),
        base_path=environment["CAMPUS_BASE_PATH"],
        subdomain_host=environment.get("CAMPUS_SUBDOMAIN_HOST", ""),
        scratch_class=environment["CAMPUS_SCRATCH_CLASS"],
        at_once=int(environment["CAMPUS_AT_ONCE"]),
        idle=float(environment["CAMPUS_IDLE"]),
        timeout=int(environment["CAMPUS_TIMEOUT"]),
    )


def oauth_environment(settings: Settings, host: str) -> dict[str, str]:
    """Return what jupyterhub.services.auth reads: where the hub is, and how this page is registered there.

    ``host`` is the page's own host name, empty where it shares the hub's.
    """
    scheme = urlsplit(settings.subdomain_host).scheme
    origin = f"{scheme}://{host}" if host else ""
    return {
        "JUPYTERHUB_API_URL": f"http://hub:{HUB_PORT}{settings.base_path}hub/api",
        "JUPYTERHUB_BASE_URL": settings.base_path,
        "JUPYTERHUB_HOST": settings.subdomain_host,
        "JUPYTERHUB_SERVICE_NAME": SERVICE,
        "JUPYTERHUB_SERVICE_PREFIX": settings.prefix,
        "JUPYTERHUB_CLIENT_ID": f"service-{SERVICE}",
        "JUPYTERHUB_OAUTH_CALLBACK_URL": f"{origin}{settings.prefix}oauth_callback",
        "JUPYTERHUB_OAUTH_ACCESS_SCOPES": f'["access:services", "{FILES_HISTORY_SCOPE}"]',
    }
