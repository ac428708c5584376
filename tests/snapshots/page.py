"""The students' own page: where it is, and that it leaves nothing behind."""

from __future__ import annotations

from ansible_collections.campus.jupyterhub.tests.cluster.support import Kube, Site, wait_until

SECONDS = 120.0
MARK = "campus.jupyterhub/files-history"


def address(site: Site, path: str = "") -> str:
    """Where something of the page is."""
    return f"{site.url.rstrip('/')}/services/files-history/{path}"


def close(kube: Kube) -> None:
    """End the page, which takes away what it made; another one starts."""
    for each in kube.pods("app=jupyterhub,component=files-history"):
        kube.core.delete_namespaced_pod(each.metadata.name, kube.namespace)
    wait_until("nothing of the page is left", lambda: not left(kube), SECONDS)


def left(kube: Kube) -> list[str]:
    """Names of the disks and pods that the page made."""
    claims = kube.core.list_namespaced_persistent_volume_claim(kube.namespace, label_selector=MARK).items
    return [each.metadata.name for each in [*claims, *kube.pods(MARK)]]
