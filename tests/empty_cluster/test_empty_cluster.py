"""A dry run on a cluster that has nothing yet."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.campus.jupyterhub.tests.cluster.support import SITE, playbook
from kubernetes import client, config


@pytest.fixture
def api() -> Any:
    """The empty cluster."""
    return config.new_client_from_config(str(Path(os.environ[SITE]).parent / "kubeconfig"))


def everything(api: Any) -> set[str]:
    """Names of what a run would add to: namespaces, storage classes, drivers, rights and workloads."""
    apps, rights, storage = client.AppsV1Api(api), client.RbacAuthorizationV1Api(api), client.StorageV1Api(api)
    lists = [
        client.CoreV1Api(api).list_namespace(),
        client.CoreV1Api(api).list_config_map_for_all_namespaces(),
        client.CoreV1Api(api).list_secret_for_all_namespaces(),
        storage.list_storage_class(),
        storage.list_csi_driver(),
        rights.list_cluster_role(),
        apps.list_deployment_for_all_namespaces(),
        apps.list_daemon_set_for_all_namespaces(),
    ]
    return {f"{each.metadata.namespace}/{each.metadata.name}" for listed in lists for each in listed.items}


def test_a_dry_run_ends_well_reports_and_changes_nothing(api: Any) -> None:
    before = everything(api)
    recap = playbook("campus.jupyterhub.site", "--check", "--diff")
    assert recap["failed"] == 0
    assert recap["changed"] > 0
    assert everything(api) == before
    assert not Path(os.environ[SITE]).exists()
