"""Which replicas are waited for."""

from __future__ import annotations

import pytest
from campus_hub.replicas import serving

from .conftest import agent_slice


@pytest.mark.parametrize(
    ("conditions", "counts"),
    [
        ({}, True),
        ({"ready": True}, True),
        ({"ready": False}, False),
        ({"ready": False, "serving": True, "terminating": True}, True),
        ({"ready": False, "serving": False, "terminating": True}, False),
        ({"ready": False, "serving": True, "terminating": False}, False),
    ],
)
def test_ready_and_draining_replicas_count(conditions: dict[str, bool], counts: bool) -> None:
    found = serving([agent_slice("proxy-0", "10.0.0.1", 8002, **conditions)], "agent")

    assert found == ({"proxy-0": "http://10.0.0.1:8002"} if counts else {})


def test_a_replica_with_two_addresses_is_asked_once() -> None:
    four, six = agent_slice("proxy-0", "10.0.0.1", 8002), agent_slice("proxy-0", "fd00::1", 8002)

    assert len(serving([four, six], "agent")) == 1
    assert serving([six], "agent") == {"proxy-0": "http://[fd00::1]:8002"}


def test_slices_without_the_port_or_endpoints_are_passed_over() -> None:
    other = agent_slice("proxy-0", "10.0.0.1", 8002) | {"ports": None}
    empty = agent_slice("proxy-1", "10.0.0.1", 8002) | {"endpoints": None}

    assert serving([other, empty], "agent") == {}
