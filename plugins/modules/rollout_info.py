#!/usr/bin/python
# Copyright: campus.jupyterhub contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: rollout_info
short_description: Wait until workloads are ready, and say why they are not
version_added: 0.1.0
author:
  - campus.jupyterhub contributors (@campus-jupyterhub)
description:
  - Waits for every Deployment, StatefulSet, DaemonSet and Job that a selector matches, all together in one pass.
  - When one is not ready in time, the failure shows its pods' reasons, the last warnings and the last log lines.
  - Changes nothing.
extends_documentation_fragment:
  - kubernetes.core.k8s_auth_options
attributes:
  check_mode:
    description: Runs the same in check mode, since it only reads.
    support: full
options:
  selectors:
    description: The workloads to wait for.
    type: list
    elements: dict
    required: true
    suboptions:
      namespace:
        description: Namespace of the workloads.
        type: str
        required: true
      label_selector:
        description: Labels of the workloads, in Kubernetes' own notation.
        type: str
        required: true
  timeout:
    description: Seconds to wait for all of them together; V(0) looks once.
    type: int
    default: 300
  log_lines:
    description: Log lines to show of each container in trouble.
    type: int
    default: 20
requirements:
  - python >= 3.9
  - kubernetes >= 24.2.0
  - PyYAML >= 3.11
"""

EXAMPLES = r"""
---
- name: Wait for the hub and the proxy together
  campus.jupyterhub.rollout_info:
    selectors:
      - namespace: jupyterhub
        label_selector: app=jupyterhub,component in (hub, proxy)
    timeout: 300
"""

RETURN = r"""
workloads:
  description: Where each workload stands.
  returned: always, except when the cluster cannot be reached
  type: list
  elements: dict
  sample:
    - {kind: Deployment, namespace: jupyterhub, name: hub, wanted: 1, ready: 1, done: true, reason: 1 of 1 pods ready}
seconds:
  description: How long it took.
  returned: success
  type: float
  sample: 12.5
details:
  description: Reasons of the pods, last warnings and last log lines of what is not ready.
  returned: failure
  type: list
  elements: str
"""

from ansible_collections.campus.jupyterhub.plugins.module_utils._cluster import ClusterError, connect, new_module
from ansible_collections.campus.jupyterhub.plugins.module_utils._rollout_wait import explain, wait


def main() -> None:
    """Run the module."""
    selector = {"namespace": {"type": "str", "required": True}, "label_selector": {"type": "str", "required": True}}
    module = new_module(
        {
            "selectors": {"type": "list", "elements": "dict", "required": True, "options": selector},
            "timeout": {"type": "int", "default": 300},
            "log_lines": {"type": "int", "default": 20},
        },
        supports_check_mode=True,
    )
    try:
        cluster = connect(module)
        outcome = wait(cluster, module.params["selectors"], module.params["timeout"])
        report = {"workloads": [state.as_dict() for state in outcome.states]}
        if outcome.message:
            details = explain(cluster, outcome, module.params["log_lines"])
            module.fail_json(msg=outcome.message, details=details, **report)
    except ClusterError as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=False, seconds=outcome.seconds, **report)


if __name__ == "__main__":
    main()
