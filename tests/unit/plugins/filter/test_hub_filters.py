# Copyright: campus.jupyterhub contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The filters as the role hub calls them; what they compute is tested with the module_utils."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from ansible_collections.campus.jupyterhub.plugins.filter import (
    hub_config,
    hub_problems,
    hub_secret,
    hub_secret_problems,
)

OPTIONS: dict[str, Any] = {
    "namespace": "jupyterhub",
    "existing_secret": "mine",
    "authenticator": "github",
    "admin_users": [],
    "cull": False,
    "canary": False,
    "files_history": False,
    "secrets": {},
}


@pytest.mark.parametrize("module", [hub_config, hub_problems, hub_secret, hub_secret_problems])
def test_a_filter_has_the_name_of_its_file_and_is_documented(module: Any) -> None:
    (name,) = module.FilterModule().filters()
    documentation = yaml.safe_load(module.DOCUMENTATION)
    assert module.__name__.endswith(f".{name}")
    assert documentation["name"] == name
    assert yaml.safe_load(module.EXAMPLES)
    assert yaml.safe_load(module.RETURN)["_value"]


def test_a_secret_is_completed() -> None:
    complete = hub_secret.FilterModule().filters()["hub_secret"]
    drawn = complete([])
    assert complete([{"data": drawn}]) == drawn
    assert complete([{"data": {"a": "Yg=="}}], {"c": "d"}, draw=False) == {"a": "Yg==", "c": "ZA=="}


def test_a_secret_is_judged() -> None:
    judge = hub_secret_problems.FilterModule().filters()["hub_secret_problems"]
    assert judge([{"data": {}}], OPTIONS) == ["Secret mine lacks the key 'cookie_secret'; add it."]
