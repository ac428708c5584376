"""Disks and pods that the tests make themselves, beside what the hub makes."""

from __future__ import annotations

from typing import Any

from ansible_collections.campus.jupyterhub.tests.cluster.support import USERNAME

Json = dict[str, Any]

SCRATCH = "jupyterhub-scratch"


def claim(
    student: str,
    size: int | str,
    name: str = "",
    *,
    labels: dict[str, str] | None = None,
    annotations: dict[str, str] | None = None,
) -> Json:
    """A student's disk, which goes with its claim; ``size`` is in bytes or as Kubernetes writes it."""
    return {
        "metadata": {
            "name": name or f"claim-{student}",
            "labels": {"component": "singleuser-storage", **(labels or {})},
            "annotations": {USERNAME: student, **(annotations or {})},
        },
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "storageClassName": SCRATCH,
            "resources": {"requests": {"storage": str(size)}},
        },
    }


def pod(name: str, image: str, command: list[str], mounts: dict[str, str]) -> Json:
    """A restricted pod that mounts claims, each at a path."""
    container = {
        "name": "main",
        "image": image,
        "command": command,
        "volumeMounts": [{"name": disk, "mountPath": path} for disk, path in mounts.items()],
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
        "resources": {"requests": {"cpu": "1m", "memory": "32Mi"}, "limits": {"memory": "128Mi"}},
    }
    security = {
        "runAsNonRoot": True,
        "runAsUser": 1000,
        "fsGroup": 1000,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    spec = {
        "containers": [container],
        "securityContext": security,
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "terminationGracePeriodSeconds": 1,
        "volumes": [{"name": disk, "persistentVolumeClaim": {"claimName": disk}} for disk in mounts],
    }
    return {"metadata": {"name": name}, "spec": spec}
