#!/usr/bin/python
# Copyright: campus.jupyterhub contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: hub_smoke_test
short_description: Do what a student does, through the hub's public address
version_added: 0.1.0
author:
  - campus.jupyterhub contributors (@campus-jupyterhub)
description:
  - Logs in as the canary student, starts its server, opens it, starts a kernel, runs C(1+1) over the kernel's websocket
    and stops the server again.
  - Goes to the address that the hub gives for the server, which may be at a host of its own below that of O(url).
  - Uses the login form where students share a password that the hub's Secret holds, and the API token of the canary
    service otherwise.
  - When a step fails, the failure names it and shows the last events of the canary's server and the last log lines of
    hub, proxy and server.
  - Changes nothing that lasts. The canary's server has no disk of its own.
extends_documentation_fragment:
  - kubernetes.core.k8s_auth_options
attributes:
  check_mode:
    description: Does nothing in check mode and says so.
    support: full
options:
  url:
    description: The hub's public address, such as V(https://hub.example.edu).
    type: str
    required: true
  namespace:
    description: Namespace of the hub.
    type: str
    required: true
  user:
    description: Name of the canary student.
    type: str
    default: canary
  login:
    description:
      - V(form) fills in the login form with the students' shared password.
      - V(token) takes the canary service's API token alone.
      - V(auto) looks into the hub's configuration whether its authenticator is JupyterHub's shared password.
    type: str
    choices: [auto, form, token]
    default: auto
  secret:
    description: Name of the hub's Secret, which holds C(canary_token) and C(student_password).
    type: str
    default: hub-secret
  config:
    description: Name of the hub's ConfigMap, which holds C(config.yaml).
    type: str
    default: hub-config
  timeout:
    description: Seconds allowed for all steps together. Pulling the student image to a node counts.
    type: int
    default: 180
  log_lines:
    description: Log lines to show of each container when a step fails.
    type: int
    default: 15
  url_validate_certs:
    description: Check the certificate of an https address.
    type: bool
    default: true
  url_ca_path:
    description:
      - File with the certificates to check the address with, instead of the machine's own.
      - A certificate that the proxy signed itself is checked with the one in its Secret, unless this says otherwise.
    type: path
  connect_to:
    description:
      - Address of the host of O(url) and every name below it, such as that of a load balancer before DNS knows it.
      - Names below C(localhost) are this machine's, as they are for browsers.
    type: str
    default: ""
    version_added: 0.2.0
  proxy_namespace:
    description: Namespace of the proxy, where it is not O(namespace).
    type: str
    default: ""
    version_added: 0.2.0
requirements:
  - python >= 3.9
  - kubernetes >= 24.2.0
  - PyYAML >= 3.11
  - websocket-client, which kubernetes brings along
"""

EXAMPLES = r"""
---
- name: Try the hub as a student would
  campus.jupyterhub.hub_smoke_test:
    url: https://hub.example.edu
    namespace: jupyterhub
"""

RETURN = r"""
url:
  description: The address that was tried.
  returned: always
  type: str
  sample: https://hub.example.edu
steps:
  description: Each step that was done, in order, with its duration in seconds.
  returned: always
  type: list
  elements: dict
  sample:
    - {name: log in, seconds: 0.2}
    - {name: start the server, seconds: 4.1}
step:
  description: The step that failed.
  returned: failure of a step
  type: str
  sample: start the server
details:
  description: Last events of the canary's server and last log lines of hub, proxy and server.
  returned: failure of a step
  type: list
  elements: str
"""

from tempfile import TemporaryDirectory

from ansible_collections.campus.jupyterhub.plugins.module_utils._cluster import ClusterError, connect, new_module
from ansible_collections.campus.jupyterhub.plugins.module_utils._smoke_test import StepFailed
from ansible_collections.campus.jupyterhub.plugins.module_utils._smoke_test_report import report
from ansible_collections.campus.jupyterhub.plugins.module_utils._smoke_test_setup import ARGUMENTS, smoke_test


def main() -> None:
    """Run the module."""
    module = new_module(ARGUMENTS, supports_check_mode=True)
    options = module.params
    if module.check_mode:
        module.exit_json(
            changed=False, url=options["url"], steps=[], msg="Not tried: in check mode no server is started."
        )
    try:
        cluster = connect(module)
        with TemporaryDirectory() as folder:
            test = smoke_test(cluster, options, folder)
            try:
                test.run()
            except StepFailed as failed:
                places = options["namespace"], options["proxy_namespace"] or options["namespace"]
                details = report(cluster, *places, options["user"], options["log_lines"])
                test.clean_up()
                msg = f"The smoke test failed at the step '{failed.step}': {failed.reason}."
                module.fail_json(msg=msg, step=failed.step, steps=test.steps, url=options["url"], details=details)
    except ClusterError as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=False, url=options["url"], steps=test.steps)


if __name__ == "__main__":
    main()
