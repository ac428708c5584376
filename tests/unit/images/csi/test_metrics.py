from __future__ import annotations

from pathlib import Path

from campus_csi.accounting import Usage
from campus_csi.freezing import Figures
from campus_csi.metrics import render
from campus_csi.store import Store


def test_figures_are_shown_with_their_types(tmp_path: Path) -> None:
    store = Store(tmp_path, lambda path, size: path.touch())
    store.create("pvc-1", 1)
    (tmp_path / "snapshots" / "broken").mkdir()
    found = Store(tmp_path, lambda path, size: path.touch())
    freezes = Figures(count=3, seconds=0.25, longest=0.125, ended_early=1)
    text = render(found, Usage(100, 60, 40), (90, 50, -5), freezes, {("Probe", "OK"): 2})
    lines = text.splitlines()
    for line in (
        'campus_csi_pool_bytes{kind="beyond_disks"} 20',
        'campus_csi_pool_bytes{kind="spare"} -5',
        "# TYPE campus_csi_snapshots gauge",
        "campus_csi_disks 1",
        "campus_csi_snapshots 0",
        "campus_csi_damaged_snapshots 1",
        "# TYPE campus_csi_freezes_total counter",
        "campus_csi_freezes_total 3",
        "campus_csi_freeze_seconds_total 0.25",
        "campus_csi_freeze_seconds_max 0.125",
        "campus_csi_watchdog_thaws_total 1",
        'campus_csi_calls_total{driver="local.csi.campus.jupyterhub",call="Probe",code="OK"} 2',
    ):
        assert line in lines
    assert text.endswith("\n")
