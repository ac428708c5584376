# Copyright: campus.jupyterhub contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Say what is wrong with a certificate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from ansible_collections.campus.jupyterhub.plugins.module_utils import _certificate

DOCUMENTATION = r"""
name: certificate_problems
author:
  - campus.jupyterhub contributors (@campus-jupyterhub)
version_added: 0.2.0
short_description: Say what is wrong with a certificate
description:
  - Checks that the key belongs to the certificate, and that it is good now and for the hosts.
  - The answer never shows the key.
positional: _input, where
options:
  _input:
    description: The data of a Secret of type C(kubernetes.io/tls), values encoded in base64.
    type: dict
    required: true
  where:
    description: What the sentences call it.
    type: str
    required: true
  hosts:
    description:
      - The names or addresses that people are to see, such as V(*.hub.example.edu) for all names below one.
      - Empty checks none.
    type: list
    elements: str
    default: []
"""

EXAMPLES = r"""
- name: Refuse a certificate that browsers would refuse
  ansible.builtin.assert:
    that: secret.data | campus.jupyterhub.certificate_problems('Secret tls', hosts=['hub.example.edu']) | length == 0
"""

RETURN = r"""
_value:
  description: One sentence for each problem, with what to do about it.
  type: list
  elements: str
"""


class FilterModule:
    """The filter as Ansible finds it."""

    def filters(self) -> dict[str, Any]:
        """Return the filters of this file by name."""
        return {"certificate_problems": certificate_problems}


def certificate_problems(data: Mapping[str, str], where: str, hosts: Sequence[str] = ()) -> list[str]:
    """Return the problems of the certificate."""
    return _certificate.problems(data, where, hosts, datetime.now(UTC))
