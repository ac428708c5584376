"""CSI driver for disks of one node: an ext4 image file a disk, in a pool that can share blocks between files."""

from __future__ import annotations

DRIVER_NAME = "local.csi.campus.jupyterhub"
VERSION = "0.1.0"
TOPOLOGY_KEY = f"topology.{DRIVER_NAME}/node"
