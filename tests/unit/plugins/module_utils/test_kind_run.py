"""What kind needs of this machine before it makes a cluster."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.campus.jupyterhub.plugins.module_utils._kind_run import ENOUGH_WATCHES, allow_watches


@pytest.mark.parametrize(("before", "after"), [(128, ENOUGH_WATCHES), (ENOUGH_WATCHES * 2, ENOUGH_WATCHES * 2)])
def test_the_limit_is_raised_but_never_lowered(tmp_path: Path, before: int, after: int) -> None:
    limit = tmp_path / "max_user_instances"
    limit.write_text(f"{before}\n", encoding="ascii")
    allow_watches(limit)
    assert int(limit.read_text(encoding="ascii")) == after


def test_a_kernel_without_the_limit_is_fine(tmp_path: Path) -> None:
    allow_watches(tmp_path / "missing")
    assert not (tmp_path / "missing").exists()
