# Copyright: campus.jupyterhub contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Options of the role hub_backup that cannot be meant are refused in a sentence."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.campus.jupyterhub.plugins.filter.hub_backup_problems import FilterModule
from ansible_collections.campus.jupyterhub.plugins.module_utils._hub_backup_schedule import problems

ARGUMENTS: dict[str, Any] = {
    "namespace": "jupyterhub",
    "keep_last": "3",
    "keep_daily": 14,
    "keep_weekly": 8,
    "keep_monthly": 6,
    "timezone": "Europe/Berlin",
}
NOTHING = dict.fromkeys(("keep_last", "keep_daily", "keep_weekly", "keep_monthly"), 0)


@pytest.mark.parametrize("schedule", ["23 3 * * *", "@daily", "0 */6 * * mon-fri"])
def test_what_can_be_meant(schedule: str) -> None:
    assert problems(ARGUMENTS, schedule) == []
    assert FilterModule().filters()["hub_backup_problems"](ARGUMENTS, schedule) == []


@pytest.mark.parametrize(
    ("change", "schedule", "says"),
    [
        ({}, "23 3 * *", "hub_backup_schedule: '23 3 * *' is no schedule; write minute, hour"),
        ({}, "23 24 * * *", "hub_backup_schedule: '24' in '23 24 * * *' is no hour (0 to 23)"),
        (
            {"timezone": "Europe/Belrin"},
            "@daily",
            "hub_backup_timezone is 'Europe/Belrin', which is no known time zone",
        ),
        ({"keep_daily": -1}, "@daily", "hub_backup_keep_daily is -1; it must be 0 or more."),
        (NOTHING, "@daily", "This policy keeps no backup; set hub_backup_keep_last or hub_backup_keep_daily above 0."),
    ],
)
def test_what_cannot(change: dict[str, Any], schedule: str, says: str) -> None:
    (sentence,) = problems({**ARGUMENTS, **change}, schedule)
    assert sentence.startswith(says)


def test_every_problem_is_said_at_once() -> None:
    assert len(problems({**ARGUMENTS, "keep_weekly": -1}, "never")) == 2
