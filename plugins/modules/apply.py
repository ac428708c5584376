#!/usr/bin/python
# Copyright: campus.jupyterhub contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: apply
short_description: Apply objects to a cluster, server-side and in one go
version_added: 0.1.0
author:
  - campus.jupyterhub contributors (@campus-jupyterhub)
description:
  - Applies any number of objects by server-side apply, namespaces and custom resource definitions first, without
    waiting for them. Only a new kind is waited for until the API server takes objects of it.
  - The diff shows every object that changes. Values of Secrets show nowhere, only that they are new.
  - In check mode the API server tries every object. One whose namespace or kind is not there yet, since the same run
    would create it first, is reported as created; so is every object as long as there is no cluster.
extends_documentation_fragment:
  - kubernetes.core.k8s_auth_options
attributes:
  check_mode:
    description: The API server tries the objects and keeps none.
    support: full
  diff_mode:
    description: Shows the objects before and after, without values of Secrets.
    support: full
options:
  objects:
    description: The objects; Secrets without their values.
    type: list
    elements: dict
    required: true
  secret_values:
    description: The values of the Secrets among O(objects), base64-encoded, by the Secret's name and key.
    type: dict
    default: {}
  namespace:
    description: Namespace of the objects that name none.
    type: str
  field_manager:
    description: The name under which the API server keeps who owns which field.
    type: str
    default: campus.jupyterhub
  cluster_uid:
    description: The uid of the cluster's namespace kube-system; when set, any other cluster is refused.
    type: str
    default: ""
requirements:
  - python >= 3.9
  - kubernetes >= 24.2.0
  - PyYAML >= 3.11
"""

EXAMPLES = r"""
---
- name: A namespace and what belongs into it
  campus.jupyterhub.apply:
    objects:
      - apiVersion: v1
        kind: Namespace
        metadata:
          name: notes
      - apiVersion: v1
        kind: ConfigMap
        metadata:
          name: welcome
        data:
          text: Hello
    namespace: notes
"""

RETURN = r"""
objects:
  description: What became of each object.
  returned: success
  type: list
  elements: dict
  sample:
    - {object: ConfigMap notes/welcome, action: created}
"""

from ansible_collections.campus.jupyterhub.plugins.module_utils._apply_run import apply_all
from ansible_collections.campus.jupyterhub.plugins.module_utils._cluster import ClusterError, new_module


def main() -> None:
    """Run the module."""
    module = new_module(
        {
            "objects": {"type": "list", "elements": "dict", "required": True},
            "secret_values": {"type": "dict", "default": {}, "no_log": True},
            "namespace": {"type": "str"},
            "field_manager": {"type": "str", "default": "campus.jupyterhub"},
            "cluster_uid": {"type": "str", "default": ""},
        },
        supports_check_mode=True,
    )
    try:
        changes = apply_all(module)
    except ClusterError as error:
        module.fail_json(msg=str(error))
    done = [entry for entry in changes if entry.action != "unchanged"]
    module.exit_json(
        changed=bool(done),
        objects=[{"object": entry.title, "action": entry.action} for entry in changes],
        diff=[entry.diff() for entry in done],
    )


if __name__ == "__main__":
    main()
