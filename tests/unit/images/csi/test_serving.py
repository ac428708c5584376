"""Real sockets: how calls end and are logged, registration, probes."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from pathlib import Path
from types import SimpleNamespace

import grpc
import pytest
from campus_csi import DRIVER_NAME, calls, health
from campus_csi.calls import Calls
from campus_csi.driver import topology
from campus_csi.errors import ResourceExhausted
from campus_csi.identity import Identity
from campus_csi.registration import Registration
from campus_csi_proto import csi_pb2 as csi
from campus_csi_proto import csi_pb2_grpc, pluginregistration_pb2_grpc
from campus_csi_proto import pluginregistration_pb2 as registration


class Serving:
    """A server with one identity and one registration service."""

    def __init__(self, socket: Path) -> None:
        self.ready: Callable[[], bool] = lambda: True
        self.ended = False
        self.calls = Calls()
        self.registration = Registration("/csi.sock", self.end)
        self.server = grpc.server(ThreadPoolExecutor(2), interceptors=[self.calls])
        csi_pb2_grpc.add_IdentityServicer_to_server(Identity(self.probe), self.server)
        pluginregistration_pb2_grpc.add_RegistrationServicer_to_server(self.registration, self.server)
        self.server.add_insecure_port(f"unix:{socket}")
        self.server.start()
        self.channel = grpc.insecure_channel(f"unix:{socket}")
        self.identity = csi_pb2_grpc.IdentityStub(self.channel)
        self.kubelet = pluginregistration_pb2_grpc.RegistrationStub(self.channel)

    def probe(self) -> bool:
        return self.ready()

    def end(self) -> None:
        self.ended = True


@pytest.fixture
def serving(tmp_path: Path) -> Iterator[Serving]:
    found = Serving(tmp_path / "s")
    yield found
    found.channel.close()
    found.server.stop(0).wait()


def fail(error: Exception) -> Callable[[], bool]:
    def ready() -> bool:
        raise error

    return ready


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (ResourceExhausted("the pool is full"), grpc.StatusCode.RESOURCE_EXHAUSTED, "the pool is full"),
        (OSError(5, "Input/output error", "/pool"), grpc.StatusCode.INTERNAL, "input/output errors: /pool"),
        (KeyError("x"), grpc.StatusCode.INTERNAL, "unexpected KeyError"),
    ],
)
def test_errors_become_statuses_and_are_counted_and_logged(
    *,
    serving: Serving,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
    code: grpc.StatusCode,
    message: str,
) -> None:
    ticks = itertools.count(100, 0.25)
    monkeypatch.setattr(calls, "time", SimpleNamespace(monotonic=lambda: next(ticks)))
    serving.ready = fail(error)
    with pytest.raises(grpc.RpcError) as caught:
        serving.identity.Probe(csi.ProbeRequest(), timeout=30)
    assert caught.value.code() is code
    assert message in caught.value.details()
    assert serving.calls.counts() == {("Probe", code.name): 1}
    assert "call=Probe volume=- seconds=0.250 " in caplog.text
    assert f"result={code.name}" in caplog.text


def test_a_good_probe_is_counted_but_not_logged(serving: Serving, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    assert serving.identity.Probe(csi.ProbeRequest(), timeout=30).ready.value
    assert serving.calls.counts() == {("Probe", "OK"): 1}
    assert "call=" not in caplog.text


def test_kubelet_learns_the_socket_and_a_refused_driver_ends(serving: Serving) -> None:
    info = serving.kubelet.GetInfo(registration.InfoRequest(), timeout=30)
    assert (info.type, info.name, info.endpoint) == ("CSIPlugin", DRIVER_NAME, "/csi.sock")
    assert list(info.supported_versions) == ["1.0.0"]
    serving.kubelet.NotifyRegistrationStatus(registration.RegistrationStatus(plugin_registered=True), timeout=30)
    assert serving.registration.registered
    assert not serving.ended
    refused = registration.RegistrationStatus(plugin_registered=False, error="no")
    serving.kubelet.NotifyRegistrationStatus(refused, timeout=30)
    assert serving.ended


def test_the_plugin_says_what_it_is(serving: Serving) -> None:
    assert serving.identity.GetPluginInfo(csi.GetPluginInfoRequest(), timeout=30).name == DRIVER_NAME
    found = serving.identity.GetPluginCapabilities(csi.GetPluginCapabilitiesRequest(), timeout=30)
    assert len(found.capabilities) == 3


def test_probes() -> None:
    answers = {"/good": lambda: (True, "ok\n"), "/bad": lambda: (False, "not yet\n"), "/broken": fail(OSError("gone"))}
    server = health.serve(0, answers)  # type: ignore[arg-type]

    def get(path: str) -> tuple[int, str]:
        connection = HTTPConnection("127.0.0.1", server.server_address[1], timeout=30)
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read().decode()

    assert get("/good") == (200, "ok\n")
    assert get("/bad") == (503, "not yet\n")
    assert get("/broken") == (503, "gone\n")
    assert get("/other")[0] == 404
    server.shutdown()
    server.server_close()


def test_a_nodes_name_becomes_a_label() -> None:
    assert topology("n1") == "n1"
    assert len(topology("n" * 64)) == 63
    assert topology("n" * 64) != topology("n" * 65)
