"""Settings, from the command line."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from . import DRIVER_NAME, pool, quantity


@dataclass(frozen=True)
class Settings:
    """What the driver was told."""

    endpoint: Path
    node_name: str
    pool_path: Path
    pool_size: int | None
    """Bytes of the pool's image; None: the folder itself is the pool."""
    overcommit: float
    snapshot_reserve: float
    registration: Path | None
    health_port: int
    watchdog: Path | None
    """Socket of a watchdog in another container; None: one is started for each freeze."""


def _pool_size(text: str) -> int | None:
    if not text:
        return None
    try:
        size = quantity.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    if size < pool.SMALLEST:
        raise argparse.ArgumentTypeError(f"a pool needs at least {quantity.show(pool.SMALLEST)}")
    return size


def _overcommit(text: str) -> float:
    value = float(text)
    if not 0 < value <= 100:
        raise argparse.ArgumentTypeError("must be above 0 and at most 100; 1 promises no more than there is")
    return value


def _reserve(text: str) -> float:
    value = float(text)
    if not 0 <= value < 1:
        raise argparse.ArgumentTypeError("must be a share from 0 to below 1")
    return value


def parse(arguments: Sequence[str]) -> Settings:
    """Read the command line; a wrong one ends the program with one sentence."""
    parser = argparse.ArgumentParser("campus-csi", description=f"CSI driver {DRIVER_NAME}", allow_abbrev=False)
    parser.add_argument("--endpoint", type=Path, required=True, help="socket to serve CSI on")
    parser.add_argument("--node-name", required=True, help="name of this node in Kubernetes")
    parser.add_argument("--pool-path", type=Path, required=True, help="folder of the pool, or of its image")
    parser.add_argument("--pool-size", type=_pool_size, default=None, help="size of its image; empty: none")
    parser.add_argument("--overcommit", type=_overcommit, default=1.0, help="promises as a multiple of what there is")
    parser.add_argument("--snapshot-reserve", type=_reserve, default=0.0, help="share of the pool kept back")
    parser.add_argument("--registration", type=Path, default=None, help="socket to register with kubelet on")
    parser.add_argument("--health-port", type=int, default=0, help="port of /healthz, /readyz and /metrics; 0: none")
    parser.add_argument("--watchdog", type=Path, default=None, help="socket of a watchdog in another container")
    return Settings(**vars(parser.parse_args(arguments)))
