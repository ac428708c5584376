#!/usr/bin/python
# Copyright: campus.jupyterhub contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: objects_info
short_description: Look for several kinds of objects at once
version_added: 0.2.0
author:
  - campus.jupyterhub contributors (@campus-jupyterhub)
description:
  - Answers several questions over one connection, where M(kubernetes.core.k8s_info) takes a process for each.
  - Changes nothing.
extends_documentation_fragment:
  - kubernetes.core.k8s_auth_options
attributes:
  check_mode:
    description: Runs the same in check mode, since it only reads.
    support: full
options:
  questions:
    description: What to look for. They are asked in this order, and the first that cannot be answered ends it.
    type: list
    elements: dict
    required: true
    suboptions:
      kind:
        description: Kind of the objects.
        type: str
        required: true
      api_version:
        description: API version of the kind.
        type: str
        default: v1
      name:
        description: Name of the object; all when it is not set.
        type: str
      namespace:
        description: Namespace of the objects; every one when it is not set.
        type: str
      label_selectors:
        description: Labels of the objects, in Kubernetes' own notation; only without a name.
        type: list
        elements: str
        default: []
      field_selectors:
        description: Fields of the objects, in Kubernetes' own notation; only without a name.
        type: list
        elements: str
        default: []
      hidden_fields:
        description: What of the objects is left out, such as V(metadata.managedFields).
        type: list
        elements: str
        default: []
requirements:
  - python >= 3.9
  - kubernetes >= 24.2.0
  - PyYAML >= 3.11
"""

EXAMPLES = r"""
---
- name: Look for the classes of disks and of snapshots
  campus.jupyterhub.objects_info:
    questions:
      - kind: StorageClass
        api_version: storage.k8s.io/v1
      - kind: VolumeSnapshotClass
        api_version: snapshot.storage.k8s.io/v1
        name: jupyterhub
  register: found

- name: The cluster knows snapshots
  ansible.builtin.assert:
    that: found.answers[1].api_found
"""

RETURN = r"""
answers:
  description:
    - An answer for each question, in their order. C(api_found) is false for a kind that the cluster does not know,
      and C(resources) has the objects.
    - After a failure those of the questions before the one that could not be answered.
  returned: always
  type: list
  elements: dict
  sample:
    - kind: StorageClass
      api_found: true
      resources:
        - {apiVersion: storage.k8s.io/v1, kind: StorageClass, metadata: {name: jupyterhub}}
    - {kind: VolumeSnapshotClass, api_found: false, resources: []}
"""

from typing import Any

from ansible_collections.campus.jupyterhub.plugins.module_utils._cluster import ClusterError, connect, new_module
from ansible_collections.campus.jupyterhub.plugins.module_utils._objects_info import each_answer


def main() -> None:
    """Run the module."""
    texts = {"type": "list", "elements": "str", "default": []}
    question = {
        "kind": {"type": "str", "required": True},
        "api_version": {"type": "str", "default": "v1"},
        "name": {"type": "str"},
        "namespace": {"type": "str"},
        "label_selectors": texts,
        "field_selectors": texts,
        "hidden_fields": texts,
    }
    options = {"questions": {"type": "list", "elements": "dict", "required": True, "options": question}}
    module = new_module(options, supports_check_mode=True)
    answers: list[dict[str, Any]] = []
    try:
        for answer in each_answer(connect(module), module.params["questions"]):
            answers.append(answer)
    except ClusterError as error:
        module.fail_json(msg=str(error), answers=answers)
    module.exit_json(changed=False, answers=answers)


if __name__ == "__main__":
    main()
