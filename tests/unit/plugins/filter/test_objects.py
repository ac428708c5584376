"""Rendered manifests become objects, and the values of Secrets go apart."""

from __future__ import annotations

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.campus.jupyterhub.plugins.filter.objects import FilterModule, objects

CONFIG = """
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data: {colour: blue}
---
---
apiVersion: v1
kind: Secret
metadata: {name: keys}
data: {a: eA==}
stringData: {b: "why"}
"""


def test_values_of_secrets_are_taken_out() -> None:
    read = objects([CONFIG])
    assert [item["kind"] for item in read["objects"]] == ["ConfigMap", "Secret"]
    assert read["secret_values"] == {"keys": {"a": "eA==", "b": "d2h5"}}
    assert read["objects"][1] == {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "keys"}}
    assert read["objects"][0]["data"] == {"colour": "blue"}


@pytest.mark.parametrize("text", ["- a list", "kind: Pod", "apiVersion: v1\nkind: Pod\nmetadata: {}", "a: [", "text"])
def test_what_is_no_object_is_refused(text: str) -> None:
    with pytest.raises(AnsibleFilterError, match="Could not read a rendered manifest"):
        objects([text])


def test_a_template_that_leaves_nothing() -> None:
    assert objects([None, "", "---\n"]) == {"objects": [], "secret_values": {}}


def test_the_filter_has_its_name() -> None:
    assert FilterModule().filters() == {"objects": objects}
