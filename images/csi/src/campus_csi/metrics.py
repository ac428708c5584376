"""The driver's figures as Prometheus reads them."""

from __future__ import annotations

from collections.abc import Mapping

from . import DRIVER_NAME
from .accounting import Usage
from .freezing import Figures
from .store import Store


def render(
    store: Store, usage: Usage, room: tuple[int, int, int], freezes: Figures, calls: Mapping[tuple[str, str], int]
) -> str:
    """Return the text of /metrics.

    `usage` counts the disks' images only: what is used beyond them is held by snapshots, or the pool's own. `room` has
    the bytes that may be promised, are promised, and are free without any disk needing them.
    """
    promisable, promised, spare = room
    sizes = {
        "total": usage.total,
        "used": usage.used,
        "beyond_disks": max(0, usage.used - usage.images),
        "promisable": promisable,
        "promised": promised,
        "spare": spare,
    }
    damaged = (len(store.disks.damaged), len(store.snapshots.damaged))
    lines = [
        *_family("pool_bytes", "gauge", {f'{{kind="{kind}"}}': value for kind, value in sizes.items()}),
        *_family("disks", "gauge", {"": len(store.disks.list())}),
        *_family("damaged_disks", "gauge", {"": damaged[0]}),
        *_family("snapshots", "gauge", {"": len(store.snapshots.list())}),
        *_family("damaged_snapshots", "gauge", {"": damaged[1]}),
        *_family("freezes_total", "counter", {"": freezes.count}),
        *_family("freeze_seconds_total", "counter", {"": round(freezes.seconds, 6)}),
        *_family("freeze_seconds_max", "gauge", {"": round(freezes.longest, 6)}),
        *_family("watchdog_thaws_total", "counter", {"": freezes.ended_early}),
    ]
    labels = {
        f'{{driver="{DRIVER_NAME}",call="{call}",code="{code}"}}': count
        for (call, code), count in sorted(calls.items())
    }
    return "\n".join([*lines, *_family("calls_total", "counter", labels)]) + "\n"


def _family(name: str, kind: str, values: Mapping[str, float]) -> list[str]:
    full = f"campus_csi_{name}"
    return [f"# TYPE {full} {kind}", *(f"{full}{labels} {value}" for labels, value in values.items())]
