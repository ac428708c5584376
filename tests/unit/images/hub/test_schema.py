"""The schema that the collection keeps is the one that the pinned packages give."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from campus_hub import schema

ROOT = Path(__file__).parents[4]
PINS = (ROOT / "images/hub/requirements.lock").read_text()


def pin(package: str) -> str:
    """Return the pinned version of a package."""
    found = re.search(rf"^{package}==(\S+)$", PINS, re.MULTILINE)
    assert found
    return found[1]


@pytest.fixture(scope="module")
def kept() -> dict[str, Any]:
    """The schema in the collection for the pinned JupyterHub."""
    found: dict[str, Any] = json.loads(
        (ROOT / f"roles/hub/files/schema/jupyterhub-{pin('jupyterhub')}.json").read_text()
    )
    return found


@pytest.fixture(scope="module")
def fresh() -> dict[str, Any]:
    """The schema of what is installed here, which may be less than what the image has."""
    return schema.schema()


@pytest.mark.parametrize("package", schema.DISTRIBUTIONS)
def test_the_kept_schema_is_of_the_pinned_versions(kept: dict[str, Any], package: str) -> None:
    assert kept["versions"][package] == pin(package)


def test_the_kept_schema_is_up_to_date(kept: dict[str, Any], fresh: dict[str, Any]) -> None:
    for name, described in fresh["classes"].items():
        assert shape(kept["classes"][name]) == shape(described), f"{name}: dump the schema again"


def shape(described: dict[str, Any]) -> dict[str, Any]:
    """Return a class without its help texts, into which OAuthenticator writes when it is installed."""
    traits = {name: (trait["type"], trait["default"]) for name, trait in described["traits"].items()}
    return {**described, "traits": traits}


@pytest.mark.parametrize(
    ("cls", "trait"),
    [
        ("JupyterHub", "concurrent_spawn_limit"),
        ("KubeSpawner", "profile_list"),
        ("CampusSpawner", "canary_user"),
        ("EndpointSliceProxy", "silent_replica_timeout"),
        ("GenericOAuthenticator", "token_url"),
        ("LTI13Authenticator", "client_id"),
        ("NativeAuthenticator", "open_signup"),
        ("SharedPasswordAuthenticator", "user_password"),
    ],
)
def test_a_trait_that_people_set_is_found_through_the_mro(kept: dict[str, Any], cls: str, trait: str) -> None:
    classes = kept["classes"]

    assert any(trait in classes[base]["traits"] for base in classes[cls]["mro"])


def test_every_class_of_an_mro_is_described(kept: dict[str, Any]) -> None:
    for described in kept["classes"].values():
        assert set(described["mro"]) <= set(kept["classes"])


def test_it_says_nothing_of_the_machine_it_was_made_on(kept: dict[str, Any]) -> None:
    text = json.dumps(kept)

    assert str(Path(__file__).parents[4]) not in text
    assert "/opt/" not in text
    assert " at 0x" not in text
