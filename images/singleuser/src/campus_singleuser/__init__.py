"""What campus.jupyterhub adds to the student's server: it works without the hub and minds a full disk."""

from __future__ import annotations

from typing import Any

__version__ = "0.1.0"


def _jupyter_server_extension_points() -> list[dict[str, Any]]:
    """Tell Jupyter Server where the extension is."""
    from campus_singleuser.app import CampusSingleUser  # noqa: PLC0415  (the package must load without Jupyter Server)

    return [{"module": "campus_singleuser", "app": CampusSingleUser}]
