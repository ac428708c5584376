#!/usr/bin/python
# Copyright: campus.jupyterhub contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: cluster_info
short_description: Which cluster this is, and whether it is the right one
version_added: 0.1.0
author:
  - campus.jupyterhub contributors (@campus-jupyterhub)
description:
  - Asks the API server for the cluster's uid and version, and fails when they are not the wanted ones.
  - Changes nothing.
extends_documentation_fragment:
  - kubernetes.core.k8s_auth_options
attributes:
  check_mode:
    description: Runs the same in check mode, since it only reads.
    support: full
options:
  cluster_uid:
    description: The uid that the cluster must have; any when empty.
    type: str
    default: ""
  minimum_version:
    description: The oldest Kubernetes that will do, such as V(v1.30); any when empty.
    type: str
    default: ""
requirements:
  - python >= 3.9
  - kubernetes >= 24.2.0
  - PyYAML >= 3.11
"""

EXAMPLES = r"""
---
- name: The production cluster and no other
  campus.jupyterhub.cluster_info:
    context: production
    cluster_uid: 0f6c2f4e-6d3f-4f0b-9a53-0b9e8a1f4c77
    minimum_version: v1.30
"""

RETURN = r"""
uid:
  description: The uid of the namespace kube-system, which tells this cluster from every other.
  returned: success
  type: str
  sample: 0f6c2f4e-6d3f-4f0b-9a53-0b9e8a1f4c77
version:
  description: Version of the API server.
  returned: success
  type: str
  sample: v1.36.3
"""

from ansible_collections.campus.jupyterhub.plugins.module_utils._cluster import ClusterError, connect, new_module
from ansible_collections.campus.jupyterhub.plugins.module_utils._images_source import newer_or_same


def main() -> None:
    """Run the module."""
    options = {"cluster_uid": {"type": "str", "default": ""}, "minimum_version": {"type": "str", "default": ""}}
    module = new_module(options, supports_check_mode=True)
    minimum = module.params["minimum_version"]
    try:
        cluster = connect(module)
        version = cluster.version()
        if minimum and not newer_or_same(version, minimum):
            module.fail_json(
                msg=f"This Kubernetes is {version}, but {minimum} or newer is needed: upgrade the cluster."
            )
        cluster.expect_uid(module.params["cluster_uid"])
        uid = cluster.uid()
    except ClusterError as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=False, uid=uid, version=version)


if __name__ == "__main__":
    main()
