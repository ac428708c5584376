"""CSI Identity service: who this driver is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from campus_csi_proto import csi_pb2 as csi
from campus_csi_proto import csi_pb2_grpc

from . import DRIVER_NAME, VERSION


class Identity(csi_pb2_grpc.IdentityServicer):  # type: ignore[misc]
    """Answers of the driver about itself."""

    def __init__(self, ready: Callable[[], bool]) -> None:
        self._ready = ready

    def GetPluginInfo(self, request: Any, context: Any) -> Any:
        """Return name and version."""
        return csi.GetPluginInfoResponse(name=DRIVER_NAME, vendor_version=VERSION)

    def GetPluginCapabilities(self, request: Any, context: Any) -> Any:
        """Return which services there are, that disks belong to a node and that they grow while in use."""
        kinds = csi.PluginCapability
        services = (kinds.Service.CONTROLLER_SERVICE, kinds.Service.VOLUME_ACCESSIBILITY_CONSTRAINTS)
        return csi.GetPluginCapabilitiesResponse(
            capabilities=[
                *(kinds(service=kinds.Service(type=kind)) for kind in services),
                kinds(volume_expansion=kinds.VolumeExpansion(type=kinds.VolumeExpansion.ONLINE)),
            ]
        )

    def Probe(self, request: Any, context: Any) -> Any:
        """Return whether the pool answers."""
        response = csi.ProbeResponse()
        response.ready.value = self._ready()
        return response
