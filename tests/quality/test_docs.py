"""The documentation builds without a warning."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent


def test_docs(run: Callable[..., str]) -> None:
    run("scripts/build_docs.sh")
    assert (ROOT / "build" / "docs" / "index.html").exists()
    assert (ROOT / "build" / "docs" / "reference" / "apply_module.html").exists()
