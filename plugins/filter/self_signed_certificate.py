# Copyright: campus.jupyterhub contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Make a certificate that is signed by its own key, once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from ansible_collections.campus.jupyterhub.plugins.module_utils import _certificate

DOCUMENTATION = r"""
name: self_signed_certificate
author:
  - campus.jupyterhub contributors (@campus-jupyterhub)
version_added: 0.2.0
short_description: Make a certificate that is signed by its own key, once
description:
  - Keeps the certificate that is there as long as it is for the hosts and good for 90 days more.
  - Makes one for 825 days otherwise.
positional: _input, hosts
options:
  _input:
    description: The data of the Secret that is there, values encoded in base64, or nothing.
    type: dict
    required: true
  hosts:
    description: The names or addresses that people are to see, such as V(*.hub.example.edu) for all names below one.
    type: list
    elements: str
    required: true
"""

EXAMPLES = r"""
- name: Make the certificate once
  ansible.builtin.set_fact:
    data: "{{ found.data | default({}) | campus.jupyterhub.self_signed_certificate(['hub.example.edu']) }}"
  no_log: true
"""

RETURN = r"""
_value:
  description: The data of a Secret of type C(kubernetes.io/tls), values encoded in base64.
  type: dict
"""


class FilterModule:
    """The filter as Ansible finds it."""

    def filters(self) -> dict[str, Any]:
        """Return the filters of this file by name."""
        return {"self_signed_certificate": self_signed_certificate}


def self_signed_certificate(data: Mapping[str, str], hosts: Sequence[str]) -> dict[str, str]:
    """Return the data of the Secret."""
    return _certificate.self_signed(data, hosts, datetime.now(UTC))
