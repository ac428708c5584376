"""What a run leaves behind for people and for tools."""

from __future__ import annotations

import os
from pathlib import Path

from ansible_collections.campus.jupyterhub.tests.cluster.support import SITE, Kube, Site

FIELDS = {"url", "namespace", "kubeconfig", "context", "cluster_uid", "versions", "login", "seconds"}


def test_site_json_has_every_field(site: Site, kube: Kube) -> None:
    assert set(site.facts) >= FIELDS
    assert site.facts["cluster_uid"] == kube.core.read_namespace("kube-system").metadata.uid
    assert set(site.facts["login"]) >= {"authenticator", "secret", "key"}
    assert site.facts["versions"]
    assert site.facts["seconds"]
    assert all(seconds >= 0 for seconds in site.facts["seconds"].values())


def test_no_secret_is_written_beside_it(site: Site, kube: Kube) -> None:
    written = Path(os.environ[SITE]).read_text()
    name = site.facts["login"]["secret"]
    for key in kube.core.read_namespaced_secret(name, kube.namespace).data:
        assert kube.secret(name, key) not in written, key
