"""What a request may ask of a disk."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from campus_csi_proto import csi_pb2 as csi

from .errors import InvalidArgument

Mode = csi.VolumeCapability.AccessMode
ALONE = Mode.SINGLE_NODE_SINGLE_WRITER
MODES = (Mode.SINGLE_NODE_WRITER, Mode.SINGLE_NODE_READER_ONLY, ALONE, Mode.SINGLE_NODE_MULTI_WRITER)


def problem(capabilities: Iterable[Any]) -> str:
    """Return why a disk cannot be used in these ways, or an empty text."""
    for capability in capabilities:
        if not capability.HasField("mount"):
            return "only file system volumes are offered, no block volumes"
        if capability.mount.fs_type not in ("", "ext4"):
            return f'the file system is ext4; "{capability.mount.fs_type}" is not offered'
        if capability.access_mode.mode not in MODES:
            mode = Mode.Mode.Name(capability.access_mode.mode)
            return f"a disk of one node cannot be used as {mode}; use ReadWriteOnce"
    return ""


def require(capabilities: Iterable[Any]) -> None:
    """Check the ways in which a disk is to be used.

    Raises:
        InvalidArgument: none is named, or one is not offered.
    """
    wanted = list(capabilities)
    if not wanted:
        raise InvalidArgument("the volume capability is missing")
    reason = problem(wanted)
    if reason:
        raise InvalidArgument(reason)
