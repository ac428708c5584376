"""The specification's own tests."""

from __future__ import annotations

from ansible_collections.campus.jupyterhub.scripts import csi_sanity


def test_csi_sanity(driver: csi_sanity.HostDriver) -> None:
    result = csi_sanity.run(driver)
    assert result.failed == 0, result.output
    assert result.passed >= 64, result.output
