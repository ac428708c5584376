"""jupyterhub-singleuser with a patient HubOAuth, and a start that does not wait for the hub."""

from __future__ import annotations

import asyncio
import os
import sys

import aiohttp
from jupyterhub._version import __version__, _check_version
from jupyterhub.httpclient import fetch
from jupyterhub.singleuser.extension import JupyterHubIdentityProvider, JupyterHubSingleUser, _fatal_errors
from traitlets import default

from campus_singleuser.auth import PatientHubOAuth
from campus_singleuser.disk import make_room
from campus_singleuser.handler import DiskHandler

CHECK_TIMEOUT = 10
SHOW_DISK_ENV = "CAMPUS_SHOW_DISK"


class CampusIdentityProvider(JupyterHubIdentityProvider):  # type: ignore[misc]
    """Identifies students through PatientHubOAuth."""

    @default("hub_auth")  # type: ignore[untyped-decorator]
    def _default_hub_auth(self) -> PatientHubOAuth:
        return PatientHubOAuth(parent=self)


class CampusSingleUser(JupyterHubSingleUser):  # type: ignore[misc]
    """JupyterHub's extension of Jupyter Server: it works without the hub, and says how full the disk is."""

    @default("hub_auth")  # type: ignore[untyped-decorator]
    def _default_hub_auth(self) -> PatientHubOAuth:
        return PatientHubOAuth(parent=self)

    @_fatal_errors  # type: ignore[untyped-decorator]
    def load_config_file(self) -> None:
        """Load JupyterHub's configuration, which names its own identity provider, and name ours."""
        super().load_config_file()
        self.config.ServerApp.identity_provider_class = CampusIdentityProvider
        self.serverapp.update_config(self.config)

    def initialize_handlers(self) -> None:
        """Answer what the page asks about the disk, unless it is switched off."""
        super().initialize_handlers()
        if os.environ.get(SHOW_DISK_ENV) != "false":
            self.handlers.append(("campus/disk", DiskHandler))

    async def check_hub_version(self) -> None:
        """Compare versions in the background. JupyterHub's own waits for the hub and ends the server without it."""
        self._version_check = asyncio.create_task(self._check_hub_version())

    async def _check_hub_version(self) -> None:
        try:
            response = await fetch(
                self.hub_auth.api_url, timeout=aiohttp.ClientTimeout(total=CHECK_TIMEOUT), **self.hub_http_client_opts
            )
            async with response:
                _check_version(response.headers.get("X-JupyterHub-Version"), __version__, self.log)
        except Exception as error:
            self.log.warning("The hub at %s is away (%s); starting without it", self.hub_auth.api_url, error)


def main() -> None:
    """Start the server, from the command line as jupyterhub-singleuser."""
    for line in make_room(os.environ):
        print(line, file=sys.stderr)
    CampusSingleUser.launch_instance()
