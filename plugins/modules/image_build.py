#!/usr/bin/python
# Copyright: campus.jupyterhub contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: image_build
short_description: Bring container images to where the cluster takes them from
version_added: 0.1.0
author:
  - campus.jupyterhub contributors (@campus-jupyterhub)
description:
  - Takes each image from a registry that has it, or builds it from packages of Debian, PyPI and the Go module proxy.
  - A build is keyed by its inputs and kept, so that nothing is built twice.
  - Shows how far it is while it runs. The log of each step is a file of its own.
attributes:
  action:
    description: An action plugin shows the progress and finds the collections.
    support: full
  check_mode:
    description: Says what would be built, and whether this machine can do it.
    support: full
  diff_mode:
    description: Images have no diff.
    support: none
options:
  recipes:
    description: What the images are made of.
    type: dict
    required: true
  folder:
    description: Folder of the images, one folder each.
    type: path
    required: true
  version:
    description: Version of the collection, which its own images are named by.
    type: str
    required: true
  collections:
    description:
      - Folders of the collections that images take files of, by the collections' names.
      - The action plugin finds those that are not named where Ansible has them.
    type: dict
    default: {}
    version_added: 0.2.0
  images:
    description: Images to bring.
    type: list
    elements: str
    required: true
  kind:
    description: Whether a kind cluster on this machine takes them; then kind and its node image are brought as well.
    type: bool
    default: true
  source:
    description:
      - V(registry) takes images only from registries, V(build) asks none, V(auto) builds what no registry has.
    type: str
    choices: [auto, registry, build]
    default: auto
  registry:
    description: Where the collection's own images are, such as V(registry.example.edu/jupyterhub).
    type: str
    default: ""
  references:
    description: Images to take from elsewhere, by name.
    type: dict
    default: {}
  runtime:
    description: The container runtime; V(auto) takes a running Docker, else podman.
    type: str
    choices: [auto, docker, podman]
    default: auto
  cache:
    description: Folder that keeps what was built.
    type: path
    required: true
  logs:
    description: Folder for the logs.
    type: path
    required: true
  registry_port:
    description: Port of the local registry on this machine.
    type: int
    default: 5001
  ca_bundle:
    description: File of certificates to trust during a build; none means those of this machine.
    type: str
    default: ""
  debian_mirror:
    description: Where Debian's packages come from; none means Debian's own servers.
    type: str
    default: ""
  jobs:
    description: Steps to do at a time.
    type: int
    default: 2
  progress:
    description: File to write the progress to; the action plugin sets it.
    type: path
requirements:
  - podman or Docker
  - Go, where something has to be compiled
  - mmdebstrap, where no registry has Debian
"""

EXAMPLES = r"""
---
- name: The image of the hub for a kind cluster
  campus.jupyterhub.image_build:
    recipes: "{{ lookup('ansible.builtin.file', 'images/recipes.yml') | from_yaml }}"
    folder: images
    version: 0.1.0
    images: [hub]
    cache: ~/.cache/campus.jupyterhub
    logs: build/logs/images
"""

RETURN = r"""
images:
  description: What the cluster calls each image.
  returned: success
  type: dict
  sample: {hub: "localhost:5001/campus/hub:0.1.0-3f1c7a9d0b2e"}
origins:
  description: V(registry) or V(build) for each image.
  returned: success
  type: dict
  sample: {hub: build}
steps:
  description: What was done, or would be done.
  returned: success
  type: list
  elements: dict
  sample: [{action: image, name: hub}]
megabytes:
  description: Disk space that the steps need, in MB.
  returned: success
  type: int
  sample: 1500
tools:
  description: Programs for this machine.
  returned: success
  type: dict
  sample: {kind: /home/ann/.cache/campus.jupyterhub/bin/kind-5c1f0e2b7a9d/kind}
versions:
  description: Pinned versions.
  returned: success
  type: dict
  sample: {kubernetes: v1.36.3}
runtime:
  description: The container runtime; empty where none is needed.
  returned: success
  type: str
  sample: podman
environment:
  description: Environment variables that the runtime's commands need on this machine.
  returned: success
  type: dict
  sample: {CONTAINERS_CONF: /home/ann/.cache/campus.jupyterhub/containers.conf}
seconds:
  description: How long it took.
  returned: success
  type: float
  sample: 512.7
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.campus.jupyterhub.plugins.module_utils._build import build
from ansible_collections.campus.jupyterhub.plugins.module_utils._images import ImagesError

ARGUMENT_SPEC = {
    "recipes": {"type": "dict", "required": True},
    "folder": {"type": "path", "required": True},
    "version": {"type": "str", "required": True},
    "collections": {"type": "dict", "default": {}},
    "images": {"type": "list", "elements": "str", "required": True},
    "kind": {"type": "bool", "default": True},
    "source": {"type": "str", "choices": ["auto", "registry", "build"], "default": "auto"},
    "registry": {"type": "str", "default": ""},
    "references": {"type": "dict", "default": {}},
    "runtime": {"type": "str", "choices": ["auto", "docker", "podman"], "default": "auto"},
    "cache": {"type": "path", "required": True},
    "logs": {"type": "path", "required": True},
    "registry_port": {"type": "int", "default": 5001},
    "ca_bundle": {"type": "str", "default": ""},
    "debian_mirror": {"type": "str", "default": ""},
    "jobs": {"type": "int", "default": 2},
    "progress": {"type": "path"},
}


def main() -> None:
    """Run the module."""
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    try:
        module.exit_json(**build(module.params, module.check_mode))
    except ImagesError as error:
        module.fail_json(msg=str(error))


if __name__ == "__main__":
    main()
