"""The role's objects as a cluster gets them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

Json = dict[str, Any]
Render = Callable[..., list[Json]]
Objects = Callable[..., dict[tuple[str, str], Json]]

LOCAL = ("namespace", "crds", "controller", "rights", "classes", "workloads")
IMAGES = {
    "csi": "csi:1",
    "csi_provisioner": "provisioner:1",
    "csi_resizer": "resizer:1",
    "csi_snapshotter": "snapshotter:1",
    "snapshot_controller": "controller:1",
}
# What the preflight finds on a cluster that has no definitions of snapshots.
NO_DEFINITIONS: Json = {"answers": [{"kind": "CustomResourceDefinition", "api_found": True, "resources": []}] * 3}


@pytest.fixture
def objects(render: Render) -> Objects:
    """objects(…, option=value): what the named templates make, all those of the local driver when none is named."""

    def rendered(*names: str, **options: Any) -> dict[tuple[str, str], Json]:
        templates = [("storage", f"{name}.yml.j2") for name in names or LOCAL]
        found = render(*templates, **{"jupyterhub_images": IMAGES, "__storage_found": NO_DEFINITIONS, **options})
        return {(item["kind"], item["metadata"]["name"]): item for item in found}

    return rendered
