"""Making the driver known to kubelet, which watches a folder for sockets that speak this protocol."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from campus_csi_proto import pluginregistration_pb2 as registration
from campus_csi_proto import pluginregistration_pb2_grpc

from . import DRIVER_NAME

_log = logging.getLogger(__name__)


class Registration(pluginregistration_pb2_grpc.RegistrationServicer):  # type: ignore[misc]
    """Tells kubelet where the CSI socket is and hears whether it was taken."""

    def __init__(self, endpoint: str, refused: Callable[[], None]) -> None:
        self._endpoint = endpoint
        self._refused = refused
        self.registered = False

    def GetInfo(self, request: Any, context: Any) -> Any:
        """Return the driver's name and socket."""
        return registration.PluginInfo(
            type="CSIPlugin", name=DRIVER_NAME, endpoint=self._endpoint, supported_versions=["1.0.0"]
        )

    def NotifyRegistrationStatus(self, request: Any, context: Any) -> Any:
        """Take note; a driver kubelet refused ends, to be started anew and try again."""
        self.registered = request.plugin_registered
        if self.registered:
            _log.info("registered with kubelet")
        else:
            _log.error("kubelet refused the driver: %s", request.error)
            self._refused()
        return registration.RegistrationStatusResponse()
