# Copyright: campus.jupyterhub contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Name the students that disks and snapshots belong to."""

from __future__ import annotations

from typing import Any

from ansible_collections.campus.jupyterhub.plugins.module_utils._disk_owners import owners

DOCUMENTATION = r"""
name: students
author:
  - campus.jupyterhub contributors (@campus-jupyterhub)
version_added: 0.1.0
short_description: Name the students that disks and snapshots belong to
description:
  - Reads the user names out of the annotations of KubeSpawner's disks and of their snapshots; a disk without one goes
    by its own name.
positional: _input
options:
  _input:
    description: PersistentVolumeClaims.
    type: list
    elements: dict
    required: true
  volumes:
    description: PersistentVolumes; one whose claim is gone still holds somebody's work, and goes by the claim's name.
    type: list
    elements: dict
    default: []
  without:
    description: A user who is no student, such as the one of the smoke test.
    type: str
    default: ""
  snapshots:
    description: VolumeSnapshots; those of students count.
    type: list
    elements: dict
    default: []
  contents:
    description:
      - VolumeSnapshotContents; one whose snapshot is gone still holds somebody's work, and goes by the student of its
        disk or, when that is gone too, by the snapshot's name.
    type: list
    elements: dict
    default: []
"""

EXAMPLES = r"""
- name: Who has a disk
  ansible.builtin.debug:
    msg: "{{ claims.resources | campus.jupyterhub.students }}"
"""

RETURN = r"""
_value:
  description: The user names, each once, in order.
  type: list
  elements: str
"""

Json = dict[str, Any]


def students(
    claims: list[Json],
    volumes: list[Json] | None = None,
    without: str = "",
    snapshots: list[Json] | None = None,
    contents: list[Json] | None = None,
) -> list[str]:
    """Return whose disks and snapshots there are, each once, in order."""
    return owners(claims, volumes or [], without, snapshots or [], contents or [])


class FilterModule:
    """The filter as Ansible finds it."""

    def filters(self) -> dict[str, Any]:
        """Return the filters of this file by name."""
        return {"students": students}
