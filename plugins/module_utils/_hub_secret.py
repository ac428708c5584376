# Copyright: campus.jupyterhub contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The hub's own secrets: drawn once, kept ever after, never shown."""

from __future__ import annotations

import binascii
import re
import secrets
import string
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

ADMIN_PASSWORD_LENGTH: Final = 32
STUDENT_PASSWORD_LENGTH: Final = 8
SHARED_PASSWORD: Final = ("shared-password", "jupyterhub.authenticators.shared.SharedPasswordAuthenticator")

_KEY: Final = re.compile(r"[0-9a-fA-F]{64}")
_MAKE_ONE: Final = "make one with 'openssl rand -hex 32'"
# Without characters that look alike: the students' password is read off a blackboard.
_LETTERS: Final = "".join(sorted(set(string.ascii_letters + string.digits) - set("0O1lI")))


def _word(length: int) -> str:
    return "".join(secrets.choice(_LETTERS) for _letter in range(length))


# How each value is drawn; the keys are those that the hub reads.
_DRAW: Final[Mapping[str, Callable[[], str]]] = {
    "cookie_secret": lambda: secrets.token_hex(32),
    "crypt_keys": lambda: secrets.token_hex(32),
    "admin_password": lambda: _word(40),
    "student_password": lambda: _word(16),
    "culler_token": lambda: secrets.token_hex(32),
    "canary_token": lambda: secrets.token_hex(32),
    "files_history_token": lambda: secrets.token_hex(32),
}
KEYS: Final = tuple(_DRAW)


def data_of(found: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """The data, in base64, of the Secret that a query found; empty when it found none."""
    return dict(found[0].get("data") or {}) if found else {}


def complete(data: Mapping[str, str], given: Mapping[str, str], draw: bool = True) -> dict[str, str]:
    """The data, in base64, with what the user gave in clear text laid over it and missing values drawn at random."""
    complete_data = {**data, **{key: _encode(value) for key, value in given.items()}}
    if draw:
        for key, one in _DRAW.items():
            complete_data[key] = complete_data.get(key) or _encode(one())
    return dict(sorted(complete_data.items()))


def problems(found: Sequence[Mapping[str, Any]], options: Mapping[str, Any]) -> list[str]:
    """What is wrong with the Secret in the cluster.

    Args:
        found: what a query for it found.
        options: the role's options without their prefix.
    """
    name = options["existing_secret"]
    if not name:
        # Ours: missing values are about to be drawn.
        return value_problems({**_decoded(found), **options["secrets"]}, "Secret hub-secret")
    if not found:
        return [
            f"Secret {name} does not exist in namespace {options['namespace']}; create it or empty hub_existing_secret."
        ]
    where = f"Secret {name}"
    data = _decoded(found)
    missing = [key for key in _needed(options) if not data.get(key)]
    return [f"{where} lacks the key {key!r}; add it." for key in missing] + value_problems(data, where)


def value_problems(data: Mapping[str, str], where: str) -> list[str]:
    """What is wrong with values in clear text; the sentences name keys, never values."""
    found = []
    admin, student = data.get("admin_password", ""), data.get("student_password", "")
    if admin and len(admin) < ADMIN_PASSWORD_LENGTH:
        found.append(f"{where}: admin_password has {len(admin)} characters; use {ADMIN_PASSWORD_LENGTH} or more.")
    if student and len(student) < STUDENT_PASSWORD_LENGTH:
        found.append(f"{where}: student_password has {len(student)} characters; use {STUDENT_PASSWORD_LENGTH} or more.")
    if admin and admin == student:
        found.append(f"{where}: admin_password and student_password are the same; use two different ones.")
    if data.get("cookie_secret") and not _KEY.fullmatch(data["cookie_secret"].strip()):
        found.append(f"{where}: cookie_secret is not 64 hexadecimal characters; {_MAKE_ONE}.")
    keys = [key for key in data.get("crypt_keys", "").split(";") if key.strip()]
    if not all(_KEY.fullmatch(key.strip()) for key in keys):
        found.append(f"{where}: crypt_keys are not 64 hexadecimal characters each, ';' between them; {_MAKE_ONE}.")
    return found


def _needed(options: Mapping[str, Any]) -> Iterable[str]:
    yield "cookie_secret"
    if options["cull"]:
        yield "culler_token"
    if options["canary"]:
        yield "canary_token"
    if options["files_history"]:
        yield "files_history_token"
    if options["authenticator"] in SHARED_PASSWORD:
        yield "student_password"
        if options["admin_users"]:
            yield "admin_password"


def _decoded(found: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    return {key: _decode(value) for key, value in data_of(found).items()}


def _encode(text: str) -> str:
    return b64encode(str(text).encode()).decode()


def _decode(text: str) -> str:
    try:
        return b64decode(text, validate=True).decode(errors="replace").strip()
    except binascii.Error:
        return ""
