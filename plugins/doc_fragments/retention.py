# Copyright: campus.jupyterhub contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The options by which modules say what stays of what is taken again and again."""

from __future__ import annotations


class ModuleDocFragment:
    """The fragment as Ansible finds it."""

    DOCUMENTATION = r"""
options:
  keep_last:
    description: How many of the newest stay.
    type: int
  keep_hourly:
    description: For how many hours that have some the last one of each stays.
    type: int
  keep_daily:
    description: The same for days.
    type: int
  keep_weekly:
    description: The same for weeks, which begin on Mondays.
    type: int
  keep_monthly:
    description: The same for months.
    type: int
  keep_yearly:
    description: The same for years.
    type: int
  keep_within:
    description: What is no older than this before the newest good one stays, such as V(36h), V(14d) or V(6m).
    type: str
    default: ""
  timezone:
    description: Where hours, days, weeks, months and years begin, as an IANA name.
    type: str
    default: UTC
"""
