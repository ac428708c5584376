"""What every call has in common: a thread of its kind, one log line, counted, errors turned into gRPC statuses."""

from __future__ import annotations

import logging
import re
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc

from .errors import CallError, from_oserror
from .threads import Threads

_QUIET = re.compile(r"Probe|GetCapacity|GetPlugin.*|.*GetCapabilities|NodeGetVolumeStats")
_log = logging.getLogger(__name__)


class _Handler:
    """Serves one kind of call."""

    def __init__(self, serve: Callable[[Any, Any], Any], threads: ThreadPoolExecutor | None) -> None:
        self._serve = serve
        self.experimental_thread_pool = threads
        """gRPC's name for the threads that a handler is to run in; None: the server's."""

    def __call__(self, request: Any, context: Any) -> Any:
        return self._serve(request, context)


class Calls(grpc.ServerInterceptor):  # type: ignore[misc]
    """Wraps all calls of a server."""

    def __init__(self) -> None:
        self._threads = Threads()
        self._counts: Counter[tuple[str, str]] = Counter()
        self._guard = threading.Lock()

    def counts(self) -> dict[tuple[str, str], int]:
        """Return how often each (call, status) was answered."""
        with self._guard:
            return dict(self._counts)

    def intercept_service(self, continuation: Callable[[Any], Any], details: Any) -> Any:
        """Wrap the handler of a call; all of ours take one message and return one."""
        handler = continuation(details)
        if handler is None or handler.unary_unary is None:
            return handler
        name = details.method.rsplit("/", 1)[-1]

        def serve(request: Any, context: Any) -> Any:
            return self._serve(name, handler.unary_unary, request, context)

        served = _Handler(serve, self._threads.of(details.method))
        return grpc.unary_unary_rpc_method_handler(served, handler.request_deserializer, handler.response_serializer)

    def _serve(self, name: str, handler: Callable[[Any, Any], Any], request: Any, context: Any) -> Any:
        begun = time.monotonic()
        response = None
        code, message = grpc.StatusCode.OK, ""
        try:
            response = handler(request, context)
        except CallError as error:
            code, message = error.code, str(error)
        except OSError as error:
            known = from_oserror(error)
            code, message = known.code, str(known)
        except Exception as error:
            _log.exception("%s failed unexpectedly", name)
            code, message = grpc.StatusCode.INTERNAL, f"unexpected {type(error).__name__}: {error}"
        with self._guard:
            self._counts[name, code.name] += 1
        if code is not grpc.StatusCode.OK or not _QUIET.fullmatch(name):
            level = logging.INFO if code is grpc.StatusCode.OK else logging.WARNING
            volume = _volume(request, response)
            seconds = time.monotonic() - begun
            _log.log(level, "call=%s volume=%s seconds=%.3f result=%s %s", name, volume, seconds, code.name, message)
        if code is not grpc.StatusCode.OK:
            context.abort(code, message)
        return response


def _volume(request: Any, response: Any) -> str:
    """Return the disk or snapshot a call is about, as well as it is known."""
    made = getattr(getattr(response, "volume", None), "volume_id", "")
    taken = getattr(getattr(response, "snapshot", None), "snapshot_id", "")
    asked = getattr(request, "volume_id", "") or getattr(request, "snapshot_id", "")
    return asked or made or taken or getattr(request, "name", "") or "-"
