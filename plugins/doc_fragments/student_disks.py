# Copyright: campus.jupyterhub contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The options by which all modules choose students' disks."""

from __future__ import annotations


class ModuleDocFragment:
    """The fragment as Ansible finds it."""

    DOCUMENTATION = r"""
options:
  namespace:
    description: Namespace of the hub, where the disks are.
    type: str
    required: true
  students:
    description:
      - Names of the students whose disks are meant, as they log in.
      - All students are meant when neither this nor O(courses) is given.
      - One who has no disk is an error that tells which names are near.
    type: list
    elements: str
    default: []
  courses:
    description: Courses whose disks are meant besides, as in the label C(campus.jupyterhub/course) of the disks.
    type: list
    elements: str
    default: []
  query:
    description:
      - JMESPath expression over the fields of a disk; only those for which it is true are kept.
      - The fields are C(name), C(student), C(course), C(size) and C(wanted) in bytes, C(storage_class), C(volume),
        C(phase), C(created) and C(labels).
    type: str
    default: ""
  cluster_uid:
    description: The uid of the namespace kube-system of the cluster that is meant; another cluster is refused.
    type: str
    default: ""
requirements:
  - python >= 3.11
  - jmespath, where O(query) is given
  - kubernetes >= 24.2.0
  - PyYAML >= 3.11
"""
