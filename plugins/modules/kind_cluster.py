#!/usr/bin/python
# Copyright: campus.jupyterhub contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: kind_cluster
short_description: A Kubernetes on this machine, made by kind
version_added: 0.1.0
author:
  - campus.jupyterhub contributors (@campus-jupyterhub)
description:
  - Makes a cluster whose nodes are containers, and lets it pull from the local registry.
  - A cluster that runs is used again. One that was made by somebody else, or that is dead, is refused, not repaired.
  - A cluster goes with everything on its disks. One on which students have disks or snapshots, or that does not answer
    when it is asked for them, is therefore removed with O(delete_disks=true) only.
attributes:
  check_mode:
    description: Refuses what could not be done, and says whether a cluster would be made.
    support: full
  diff_mode:
    description: A cluster has no diff.
    support: none
options:
  name:
    description: Name of the cluster.
    type: str
    default: jupyterhub
  state:
    description: Whether it should be there. With V(absent) the local registry goes too, when no other cluster is left.
    type: str
    choices: [present, absent]
    default: present
  delete_disks:
    description: Whether the cluster may be removed together with disks and snapshots of students.
    type: bool
    default: false
  canary:
    description: A user whose disk and snapshots do not count.
    type: str
    default: canary
  workers:
    description: Nodes besides the control plane.
    type: int
    default: 2
  image:
    description: Image of the nodes; needed to make a cluster.
    type: str
    default: ""
  built:
    description: Versions of etcd and CoreDNS in an image that was built on this machine; empty for kind's own image.
    type: dict
    default: {}
  host_ports:
    description: Ports of this machine that lead to ports of the nodes.
    type: list
    elements: dict
    default: []
    suboptions:
      address:
        description: Address of this machine to listen on.
        type: str
        default: 127.0.0.1
      host:
        description: Port of this machine.
        type: int
        required: true
      node:
        description: Port of the nodes.
        type: int
        required: true
  registry_port:
    description: Port of the local registry; V(0) for none.
    type: int
    default: 0
  runtime:
    description: The container runtime; V(auto) takes a running Docker, else podman.
    type: str
    choices: [auto, docker, podman]
    default: auto
  environment:
    description: Environment variables that the runtime's commands need on this machine.
    type: dict
    default: {}
  kind:
    description: The program kind.
    type: str
    default: kind
  kubeconfig:
    description: File to write the connection to.
    type: path
    required: true
  cluster_uid:
    description: The uid that the cluster must have, if it is there; any when empty.
    type: str
    default: ""
  cache:
    description: Folder that keeps what was built.
    type: path
    required: true
  log:
    description: File for what kind says.
    type: path
    required: true
requirements:
  - kind
  - podman or Docker
"""

EXAMPLES = r"""
---
- name: One worker, the hub at http://127.0.0.1:8000
  campus.jupyterhub.kind_cluster:
    workers: 1
    image: docker.io/kindest/node:v1.36.3
    host_ports:
      - {host: 8000, node: 30080}
    kubeconfig: build/kubeconfig
    cache: ~/.cache/campus.jupyterhub
    log: build/logs/cluster.log

- name: Remove the cluster, unless students have disks or snapshots there
  campus.jupyterhub.kind_cluster:
    state: absent
    kubeconfig: build/kubeconfig
    cache: ~/.cache/campus.jupyterhub
    log: build/logs/cluster.log
"""

RETURN = r"""
todo:
  description: Whether something was, or in check mode would be, done.
  returned: success
  type: bool
  sample: false
exists:
  description: Whether the cluster is there.
  returned: success
  type: bool
  sample: true
uid:
  description: The uid of the namespace kube-system, which tells this cluster from every other.
  returned: success
  type: str
  sample: 0f6c2f4e-6d3f-4f0b-9a53-0b9e8a1f4c77
context:
  description: Name of the connection in the kubeconfig file.
  returned: success
  type: str
  sample: kind-jupyterhub
kubeconfig:
  description: The file that was written.
  returned: success
  type: str
  sample: /home/ann/campus.jupyterhub/build/kubeconfig
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.campus.jupyterhub.plugins.module_utils._images import ImagesError
from ansible_collections.campus.jupyterhub.plugins.module_utils._kind import KindError
from ansible_collections.campus.jupyterhub.plugins.module_utils._kind_cluster import run

PORT = {
    "address": {"type": "str", "default": "127.0.0.1"},
    "host": {"type": "int", "required": True},
    "node": {"type": "int", "required": True},
}
ARGUMENT_SPEC = {
    "name": {"type": "str", "default": "jupyterhub"},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "delete_disks": {"type": "bool", "default": False},
    "canary": {"type": "str", "default": "canary"},
    "workers": {"type": "int", "default": 2},
    "image": {"type": "str", "default": ""},
    "built": {"type": "dict", "default": {}},
    "host_ports": {"type": "list", "elements": "dict", "default": [], "options": PORT},
    "registry_port": {"type": "int", "default": 0},
    "runtime": {"type": "str", "choices": ["auto", "docker", "podman"], "default": "auto"},
    "environment": {"type": "dict", "default": {}},
    "kind": {"type": "str", "default": "kind"},
    "kubeconfig": {"type": "path", "required": True},
    "cluster_uid": {"type": "str", "default": ""},
    "cache": {"type": "path", "required": True},
    "log": {"type": "path", "required": True},
}


def main() -> None:
    """Run the module."""
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    try:
        result = run(module.params, module.check_mode)
    except (ImagesError, KindError) as error:
        module.fail_json(msg=str(error))
    for warning in result.pop("warnings"):
        module.warn(warning)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
