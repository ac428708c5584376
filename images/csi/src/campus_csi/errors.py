"""The errors a call may end with, each tied to one gRPC status code."""

from __future__ import annotations

import errno

import grpc


class CallError(Exception):
    """A call cannot be served; the message is for the people who read events and logs."""

    code = grpc.StatusCode.INTERNAL


class InvalidArgument(CallError):
    """The request is wrong in itself."""

    code = grpc.StatusCode.INVALID_ARGUMENT


class NotFound(CallError):
    """The disk, the snapshot or the mount does not exist here."""

    code = grpc.StatusCode.NOT_FOUND


class AlreadyExists(CallError):
    """A disk or snapshot of that name exists with another size or source."""

    code = grpc.StatusCode.ALREADY_EXISTS


class OutOfRange(CallError):
    """No disk can have the wanted size."""

    code = grpc.StatusCode.OUT_OF_RANGE


class ResourceExhausted(CallError):
    """The pool has no room for what is wanted, or does not lie where it is wanted."""

    code = grpc.StatusCode.RESOURCE_EXHAUSTED


class FailedPrecondition(CallError):
    """The disk is in a state that forbids the call; kubelet mounts it all the same when an expansion ends like this."""

    code = grpc.StatusCode.FAILED_PRECONDITION


class Aborted(CallError):
    """Another call for the same disk is under way, or a list token is not ours."""

    code = grpc.StatusCode.ABORTED


class Damaged(CallError):
    """A tool or the kernel found the disk or the pool broken."""


def from_oserror(error: OSError) -> CallError:
    """Translate what the kernel said into a message that names the file."""
    where = f": {error.filename}" if error.filename else ""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return ResourceExhausted(f"no space left for the pool on this node{where}")
    if error.errno == errno.EIO:
        return Damaged(f"the pool on this node reports input/output errors{where}; look at the node's kernel log")
    return CallError(f"{error.strerror or error}{where}")
