"""Addresses that the kubelet gave."""

from __future__ import annotations

import pytest
from campus_hub.address import service_address

ENV = {"HUB_SERVICE_HOST": "10.96.1.2", "HUB_SIX_SERVICE_HOST": "fd00::1", "ODD_SERVICE_HOST": "tcp://10.96.1.2:8081"}


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("http://hub:8081/hub/api", "10.96.1.2"),
        ("http://hub-six:8081/hub/api", "fd00::1"),
        ("http://hub.jupyterhub:8081/hub/api", ""),
        ("http://other:8081/hub/api", ""),
        ("http://odd:8081/hub/api", ""),
        ("http://10.96.1.2:8081/hub/api", ""),
        ("", ""),
    ],
)
def test_only_a_service_of_the_own_namespace_has_an_address(url: str, address: str) -> None:
    assert service_address(url, ENV) == address
